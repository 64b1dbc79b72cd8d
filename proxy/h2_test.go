package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
)

// exchangeFrames runs an upstream that calls handle with each stream whose head
// has arrived.
func exchangeFrames(t *testing.T, handle func(c *frames, head *http2.MetaHeadersFrame)) *capture {
	return serveFrames(t, "api.test", func(c *frames) {
		for {
			frame, err := c.read()
			if err != nil {
				return
			}
			if head, ok := frame.(*http2.MetaHeadersFrame); ok {
				handle(c, head)
			}
		}
	})
}

// A stream that one side resets is reset on the other.
func TestResetPasses(t *testing.T) {
	t.Run("from the upstream before the head", func(t *testing.T) {
		upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
			c.reset(head.StreamID, http2.ErrCodeInternal)
		})
		f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
		resp := f.ask(true, "api.test:443", get("/")...)
		refusal{502, "http_response_incomplete", "try again"}.check(t, resp, f.record())
	})
	t.Run("from the upstream in the body", func(t *testing.T) {
		upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
			c.headers(head.StreamID, false, pair{":status", "200"})
			c.data(head.StreamID, false, "half")
			c.reset(head.StreamID, http2.ErrCodeInternal)
		})
		f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
		if a := f.openHTTP2("api.test:443").ask(get("/")...); a.ended != "reset" || a.status() != 200 {
			t.Errorf("ended by %s", a.ended)
		}
		if r := f.record(); r.Error != "http_response_incomplete" || r.Status != 200 || !strings.Contains(r.Reason, "in the middle") {
			t.Errorf("record %+v", r)
		}
	})
	t.Run("the upstream's connection ends in the body", func(t *testing.T) {
		upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
			c.headers(head.StreamID, false, pair{":status", "200"}, pair{"content-length", "100"})
			c.data(head.StreamID, false, "half")
			c.conn.Close()
		})
		f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
		if a := f.openHTTP2("api.test:443").ask(get("/")...); a.ended != "reset" {
			t.Errorf("ended by %s", a.ended)
		}
	})
	for _, when := range []string{"before the head", "in the body"} {
		t.Run("from the client "+when, func(t *testing.T) {
			arrived, reset := make(chan bool, 1), make(chan http2.ErrCode, 1)
			upstream := serveFrames(t, "api.test", func(c *frames) {
				for {
					frame, err := c.read()
					if err != nil {
						return
					}
					switch frame := frame.(type) {
					case *http2.MetaHeadersFrame:
						if when == "in the body" {
							c.headers(frame.StreamID, false, pair{":status", "200"})
							c.data(frame.StreamID, false, "half")
						}
						arrived <- true
					case *http2.RSTStreamFrame:
						reset <- frame.ErrCode
					}
				}
			})
			f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
			c := f.openHTTP2("api.test:443")
			c.headers(1, true, get("/")...)
			<-arrived
			c.reset(1, http2.ErrCodeCancel)
			if code := <-reset; code != http2.ErrCodeCancel {
				t.Errorf("the upstream received %v", code)
			}
			if r := f.record(); !strings.Contains(r.Reason, "client went away") {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// Many streams of one connection are served at the same time, each with its own
// answer.
func TestConcurrentStreams(t *testing.T) {
	const n = 200
	var together sync.WaitGroup
	together.Add(n)
	addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		together.Done()
		together.Wait() // nobody is answered before all have come
		fmt.Fprint(w, r.URL.Path)
	}))
	f := start(t, config(), map[string]string{"api.test:443": addr})
	c := f.openHTTP2("api.test:443")
	answers := make(map[uint32]*answer)
	for i := range uint32(n) {
		answers[2*i+1] = new(answer)
		c.headers(2*i+1, true, get(fmt.Sprintf("/%d", 2*i+1))...)
	}
	for left := n; left > 0; {
		frame, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		a := answers[frame.Header().StreamID]
		if a.take(frame); a.ended != "" {
			left--
		}
	}
	for stream, a := range answers {
		if want := fmt.Sprintf("/%d", stream); a.status() != 200 || a.body != want {
			t.Errorf("stream %d: %d %q", stream, a.status(), a.body)
		}
	}
}

// 1xx responses pass; the server's own 100 is one of them.
func TestInformationalHTTP2(t *testing.T) {
	upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
		c.headers(head.StreamID, false, pair{":status", "103"}, pair{"link", "</a>"}, pair{"alt-svc", "h3"})
		c.headers(head.StreamID, false, pair{":status", "103"}, pair{"x", "y"})
		c.headers(head.StreamID, true, pair{":status", "204"}, pair{"z", "1"})
	})
	f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
	a := f.openHTTP2("api.test:443").ask(get("/")...)
	want := []rawFields{
		{":status": {"103"}, "link": {"</a>"}},
		{":status": {"103"}, "x": {"y"}},
		{":status": {"204"}, "z": {"1"}},
	}
	if got, want := fmt.Sprint(a.heads), fmt.Sprint(want); got != want {
		t.Errorf("heads\n%v, want\n%v", got, want)
	}
}

// Fields pass as they are: several cookies, repeated fields, an empty value, the
// query byte for byte; nothing is added.
func TestFieldsHTTP2(t *testing.T) {
	seen := make(chan rawFields, 1)
	upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
		h := make(rawFields)
		for _, f := range head.Fields {
			h[f.Name] = append(h[f.Name], f.Value)
		}
		seen <- h
		c.headers(head.StreamID, true, pair{":status", "200"}, pair{"set-cookie", "a=1"}, pair{"set-cookie", "b=2"}, pair{"empty", ""})
	})
	f := start(t, pathRule(), map[string]string{"api.test:443": upstream.addr})
	const path = "//a/../b%2F;c?q=%zz&&{}|"
	a := f.openHTTP2("api.test:443").ask(get(path, pair{"cookie", "a=1"}, pair{"cookie", "b=2"}, pair{"x", "1"}, pair{"x", "2"},
		pair{"empty", ""}, pair{"authorization", "mine"}, pair{"accept-encoding", "gzip"})...)
	if got, want := fmt.Sprint(a.head()), fmt.Sprint(rawFields{":status": {"200"}, "set-cookie": {"a=1", "b=2"}, "empty": {""}}); got != want {
		t.Errorf("the client received %v, want %v", got, want)
	}
	h := <-seen
	if got := strings.Join(h["cookie"], "; "); got != "a=1; b=2" { // RFC 9113 section 8.2.3
		t.Errorf("the upstream received cookie %q", h["cookie"])
	}
	delete(h, "cookie")
	want := rawFields{":method": {"GET"}, ":scheme": {"https"}, ":authority": {"api.test"}, ":path": {path},
		"x": {"1", "2"}, "empty": {""}, "authorization": {"mine"}, "accept-encoding": {"gzip"}}
	if fmt.Sprint(h) != fmt.Sprint(want) {
		t.Errorf("the upstream received\n%v, want\n%v", h, want)
	}
}

// The answer to HEAD keeps its Content-Length.
func TestBodilessHTTP2(t *testing.T) {
	upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
		c.headers(head.StreamID, true, pair{":status", "200"}, pair{"content-length", "99"})
	})
	f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
	a := f.openHTTP2("api.test:443").ask(pair{":method", "HEAD"}, pair{":scheme", "https"}, pair{":authority", "api.test"}, pair{":path", "/"})
	if fmt.Sprint(a.head()) != fmt.Sprint(rawFields{":status": {"200"}, "content-length": {"99"}}) || a.body != "" {
		t.Errorf("%v %q, ended by %s", a.head(), a.body, a.ended)
	}
}

// One upstream connection serves all requests of a client, also those of another
// connection of it.
func TestUpstreamReuseHTTP2(t *testing.T) {
	upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
		c.headers(head.StreamID, true, pair{":status", "204"})
	})
	f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
	for range 3 {
		c := f.openHTTP2("api.test:443")
		for range 3 {
			if a := c.ask(get("/")...); a.status() != 204 {
				t.Fatalf("status %d: %s", a.status(), a.body)
			}
		}
		c.conn.Close()
	}
	if n := upstream.conns.Load(); n != 1 {
		t.Errorf("9 requests took %d upstream connections", n)
	}
}

// A client that reads one stream slowly does not hold up the others.
func TestSlowStreamHTTP2(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 4<<20)
	addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			w.Write(big)
			return
		}
		io.WriteString(w, "small")
	}))
	f := start(t, config(), map[string]string{"api.test:443": addr})
	client := f.client(true)
	slow, err := client.Get("https://api.test/big") // its body waits
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Body.Close()
	for range 10 {
		resp, err := client.Get("https://api.test/small")
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, resp); got != "small" {
			t.Errorf("received %q", got)
		}
	}
	if b, err := io.ReadAll(slow.Body); err != nil || !bytes.Equal(b, big) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// A failure of the proxy's own ends one request and not the connection: net/http
// sends the GOAWAY before the response, and Python's httpx reads no further.
func TestFailureKeepsHTTP2(t *testing.T) {
	upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
		c.headers(head.StreamID, true, pair{":status", "200"}, pair{"content-encoding", "gzip"}, pair{"content-type", "text/plain"}, pair{"content-length", "9"})
	})
	f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
	c := f.openHTTP2("api.test:443")
	c.headers(1, true, get("/")...)
	a := new(answer)
	for a.ended == "" {
		frame, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if goAway, ok := frame.(*http2.GoAwayFrame); ok {
			t.Fatalf("GOAWAY %v for a failure of one request", goAway.ErrCode)
		}
		a.take(frame)
	}
	if a.status() != 502 {
		t.Errorf("status %d, want 502: %s", a.status(), a.body)
	}
}
