package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Requests that a client sends without waiting are answered in order, each on its
// own.
func TestPipelining(t *testing.T) {
	var underWay, together atomic.Int32
	addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if underWay.Add(1) > 1 {
			together.Add(1)
		}
		defer underWay.Add(-1)
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, b)
	}))
	f := start(t, config(), map[string]string{"api.test:443": addr})
	conn := f.open("api.test:443")
	io.WriteString(conn, "GET /1 HTTP/1.1\r\nHost: api.test\r\n\r\n"+
		"POST /2 HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n\r\ntwo"+
		"POST /3 HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\n"+
		"HEAD /4 HTTP/1.1\r\nHost: api.test\r\n\r\n"+
		"GET /5 HTTP/1.1\r\nHost: api.test\r\n\r\n"+
		"GET /6 HTTP/1.1\r\nHost: evil.test\r\n\r\n"+
		"GET /7 HTTP/1.1\r\nHost: api.test\r\n\r\n")
	r := bufio.NewReader(conn)
	for _, want := range []string{"GET /1 ", "POST /2 two", "POST /3 three", "", "GET /5 "} {
		method, _, _ := strings.Cut(want, " ")
		if want == "" {
			method = "HEAD"
		}
		if got := text(t, f.read(r, method)); got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
		f.record()
	}
	refused := f.read(r, "GET")
	expectEnd(t, r) // and the seventh is never answered
	conn.Close()
	refusal{421, "http_request_error", "evil.test"}.check(t, refused, f.record())
	if all := f.end(); len(all) != 6 || together.Load() != 0 {
		t.Errorf("%d records, %d requests at a time with another", len(all), together.Load())
	}
}

// A request that two parties could read differently is refused before a byte of
// it is sent (I10).
func TestSmuggling(t *testing.T) {
	const get = "GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n"
	for _, test := range []struct{ name, raw string }{
		{"length and chunked", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get},
		{"chunked and length", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + get},
		{"two lengths", "Content-Length: 0\r\nContent-Length: 46\r\n\r\n" + get},
		{"a list of lengths", "Content-Length: 0, 0\r\n\r\n" + get},
		{"signed length", "Content-Length: +0\r\n\r\n" + get},
		{"space before colon", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + get},
		{"folded", "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + get},
		{"vertical tab", "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n" + get},
		{"two codings", "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n" + get},
		{"chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get},
		{"unknown coding", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + get},
		{"bare line feed", "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get},
		{"bare carriage return", "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get},
		{"chunk size", "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + get},
		{"chunk end", "Transfer-Encoding: chunked\r\n\r\n1\r\naGET\r\n0\r\n\r\n" + get},
		{"chunk extension with a line feed", "Transfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n" + get},
		{"trailer that frames", "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n" + get},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, upstream := startRaw(t, answering(noContent))
			conn := f.open("api.test:443")
			resp := f.do(conn, "POST", "POST / HTTP/1.1\r\nHost: api.test\r\n"+test.raw)
			conn.Close()
			refusal{400, "http_request_error", ""}.check(t, resp, f.oneRecord())
			upstream.gotNothing(t, false)
		})
	}
	t.Run("chunked in HTTP/1.0", func(t *testing.T) {
		f, upstream := startRaw(t, answering(noContent))
		conn := f.open("api.test:443")
		resp := f.do(conn, "POST", "POST / HTTP/1.0\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		conn.Close()
		refusal{400, "http_request_error", ""}.check(t, resp, f.record())
		upstream.gotNothing(t, false)
	})
}

// A body that turns out malformed on the way ends both connections: what the
// upstream has is no complete request.
func TestMalformedBodyLater(t *testing.T) {
	ended := make(chan error, 1)
	f, upstream := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.ReadFull(r, make([]byte, len("5\r\nhello\r\n")))
		io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		_, err := r.ReadByte()
		ended <- err
	})
	conn := f.open("api.test:443")
	r := bufio.NewReader(conn)
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 100 {
		t.Fatalf("%v, %v", resp, err)
	}
	io.WriteString(conn, "-1\r\n")
	refused := f.read(r, "POST")
	conn.Close()
	refusal{400, "http_request_error", "malformed"}.check(t, refused, f.record())
	if err := <-ended; err == nil {
		t.Error("the upstream received more")
	}
	if got := upstream.String(); !strings.HasSuffix(got, "5\r\nhello\r\n") {
		t.Errorf("the upstream received %q", got)
	}
}

// A client that hangs up sets the upstream free, while it waits for the answer and
// in the middle of it, in the middle of its own body too.
func TestClientHangsUp(t *testing.T) {
	post := strings.Replace(apiGet, "GET", "POST", 1)
	post = strings.TrimSuffix(post, "\r\n") + "Content-Length: 100\r\n\r\nhalf"
	for _, test := range []struct{ name, request, answer string }{
		{"slow answer", apiGet, ""},
		{"half an answer", apiGet, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"},
		{"half a request", post, ""},
		{"both halves", post, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			arrived, ended := make(chan bool, 1), make(chan error, 1)
			f, _ := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
				head(r)
				if test.request == post {
					io.ReadFull(r, make([]byte, 4))
				}
				io.WriteString(conn, test.answer)
				arrived <- true
				_, err := r.ReadByte()
				ended <- err
			})
			conn := f.open("api.test:443")
			io.WriteString(conn, test.request)
			<-arrived
			if test.answer != "" {
				expect(t, conn, test.answer[:10])
			}
			conn.Close()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the upstream received more")
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the upstream was not set free")
			}
			if r := f.oneRecord(); !strings.Contains(r.Reason, "client went away") {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// One upstream connection serves many requests of one client, whichever of the
// client's connections they come by, and the one that was opened to learn the
// protocol is used.
func TestUpstreamReuse(t *testing.T) {
	f, upstream := startRaw(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
	for range 3 {
		conn := f.open("api.test:443", protoHTTP2, protoHTTP1)
		for range 3 {
			if resp := f.do(conn, "GET", apiGet); resp.StatusCode != 200 {
				t.Fatalf("status %d", resp.StatusCode)
			}
		}
		conn.Close()
	}
	if n := upstream.conns.Load(); n != 1 {
		t.Errorf("9 requests took %d upstream connections", n)
	}
}

// What makes an upstream connection unfit for another request.
func TestUpstreamNotReused(t *testing.T) {
	for _, test := range []struct{ name, answer string }{
		{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
		{"more than asked for", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, upstream := startRaw(t, answering(test.answer))
			conn := f.open("api.test:443")
			for range 3 {
				if got := text(t, f.do(conn, "GET", apiGet)); got != "hi" {
					t.Errorf("answer %q", got)
				}
			}
			if n := upstream.conns.Load(); n != 3 {
				t.Errorf("3 requests took %d upstream connections", n)
			}
		})
	}
}

// A response that comes late, after the one that was asked for, reaches nobody
// (I12).
func TestDelayedSecondResponse(t *testing.T) {
	have, sent := make(chan bool, 10), make(chan bool, 10)
	f, upstream := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
		for strings.HasSuffix(head(r), "\r\n\r\n") {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
			<-have
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			sent <- true
		}
	})
	defer close(have)
	for range 3 {
		conn := f.open("api.test:443")
		if got := text(t, f.do(conn, "GET", apiGet)); got != "good" {
			t.Errorf("answer %q", got)
		}
		f.record()
		have <- true
		<-sent
	}
	if n := upstream.conns.Load(); n != 3 {
		t.Errorf("3 requests took %d upstream connections", n)
	}
}

// An upstream may close an idle connection at any moment. What it closed before
// is not used; if it closes as the next request arrives, one without side effects
// is sent once more, and one with them is not.
func TestUpstreamClosesIdle(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: api.test\r\n\r\n"
	for _, test := range []struct {
		name, request string
		before        bool // it closes before the second request
		status        int
	}{
		{"before GET", apiGet, true, 200},
		{"before POST", post, true, 200},
		{"at GET", apiGet, false, 200},
		{"at HEAD", strings.Replace(apiGet, "GET", "HEAD", 1), false, 200},
		{"at POST", post, false, 502},
		{"at POST with a body", strings.Replace(post, "\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nhi", 1), false, 502},
		{"at PATCH", strings.Replace(post, "POST", "PATCH", 1), false, 502},
	} {
		t.Run(test.name, func(t *testing.T) {
			closed := make(chan bool, 10)
			f, upstream := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
				head(r)
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				if !test.before {
					head(r)
				}
				conn.Close()
				closed <- true
			})
			method, _, _ := strings.Cut(test.request, " ")
			conn := f.open("api.test:443")
			if resp := f.do(conn, "GET", apiGet); resp.StatusCode != 200 {
				t.Fatalf("status %d", resp.StatusCode)
			}
			f.record()
			if test.before {
				<-closed
			}
			resp := f.do(conn, method, test.request)
			conn.Close()
			r := f.record()
			if resp.StatusCode != test.status {
				t.Fatalf("status %d: %s", resp.StatusCode, text(t, resp))
			}
			if test.status == 502 {
				refusal{502, "http_response_incomplete", ""}.check(t, resp, r)
			}
			if n := strings.Count(upstream.String(), method+" / "); test.status == 502 && n != 1 {
				t.Errorf("the request was sent %d times", n)
			}
		})
	}
}
