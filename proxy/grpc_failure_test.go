package proxy

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// A gRPC client learns what it would have learned without a proxy: of the reset of a
// stream or the end of a connection a status, in a head alone or in trailers. Seen red
// with the 502 and the resets of before.
func TestGRPCFailure(t *testing.T) {
	head := []pair{{":status", "200"}, {"content-type", "application/grpc"}}
	for _, test := range []struct {
		name    string
		timeout string
		send    func(c *frames, stream uint32)
		ended   string
		status  string
	}{
		{"refused", "1H", func(c *frames, stream uint32) { c.reset(stream, http2.ErrCodeRefusedStream) }, "headers", "14"},
		{"cancelled", "1H", func(c *frames, stream uint32) { c.reset(stream, http2.ErrCodeCancel) }, "headers", "1"},
		{"time is up", "1u", func(c *frames, stream uint32) { c.reset(stream, http2.ErrCodeCancel) }, "headers", "4"},
		{"internal", "1H", func(c *frames, stream uint32) { c.reset(stream, http2.ErrCodeInternal) }, "headers", "13"},
		{"closed", "1H", func(c *frames, stream uint32) { c.conn.Close() }, "headers", "14"},
		{"calm, after the head", "1H", func(c *frames, stream uint32) {
			c.headers(stream, false, head...)
			c.reset(stream, http2.ErrCodeEnhanceYourCalm)
		}, "trailer", "8"},
		{"closed after a message", "1H", func(c *frames, stream uint32) {
			c.headers(stream, false, head...)
			c.data(stream, false, "\x00\x00\x00\x00\x02hi")
			c.conn.Close()
		}, "trailer", "14"},
	} {
		t.Run(test.name, func(t *testing.T) {
			upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) { test.send(c, head.StreamID) })
			f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
			c := f.openHTTP2("api.test:443")
			c.headers(1, false, pair{":method", "POST"}, pair{":scheme", "https"}, pair{":authority", "api.test"}, pair{":path", "/"},
				pair{"te", "trailers"}, pair{"content-type", "application/grpc+proto"}, pair{"grpc-timeout", test.timeout})
			c.data(1, false, "\x00\x00\x00\x00\x00")
			a := c.answer(1)
			fields := a.head()
			if test.ended == "trailer" {
				fields = a.trailer
			}
			if a.ended != test.ended || a.head()[":status"][0] != "200" || !slices.Equal(fields["grpc-status"], []string{test.status}) {
				t.Errorf("ended by %s with head %v and trailers %v, want status %s", a.ended, a.heads, a.trailer, test.status)
			}
			if !strings.HasPrefix(strings.Join(fields["grpc-message"], ""), "keybearer: ") {
				t.Errorf("message %q", fields["grpc-message"])
			}
		})
	}
}

// An answer that is not gRPC's and breaks off is not ended as if it were whole, whatever
// the client has said it sends.
//
// seen red: h2_grpc.go isGRPC without the answer's Content-Type (ended by a trailer).
func TestNotGRPCIsCut(t *testing.T) {
	upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
		c.headers(head.StreamID, false, pair{":status", "200"}, pair{"content-type", "application/json"})
		c.data(head.StreamID, false, `{"half":`)
		c.reset(head.StreamID, http2.ErrCodeInternal)
	})
	f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
	if a := f.openHTTP2("api.test:443").ask(get("/", pair{"content-type", "application/grpc"})...); a.ended != "reset" {
		t.Errorf("%q ended by %s", a.body, a.ended)
	}
}

// A request of which nothing was sent goes out on another connection, whatever it is.
// Seen red without the case of unsent in roundTrip.
func TestRepeatAfterGoAwayHTTP2(t *testing.T) {
	upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
		c.mu.Lock()
		c.fr.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil) // and answers what is on its way (RFC 9113 section 6.8)
		c.mu.Unlock()
		c.headers(head.StreamID, true, pair{":status", "204"})
	})
	f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
	client := f.client(true)
	failed := make(chan error)
	for range 8 {
		go func() {
			for range 50 {
				resp, err := client.Post("https://api.test/", "text/plain", io.MultiReader(strings.NewReader("x")))
				if err == nil {
					resp.Body.Close()
				}
				if err == nil && resp.StatusCode != http.StatusNoContent {
					err = fmt.Errorf("status %d", resp.StatusCode)
				}
				if err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range 8 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// A server of gRPC ends a connection on which an idle call is pinged more often than
// every five minutes, with GOAWAY and too_many_pings.
func TestPingsAreFewHTTP2(t *testing.T) {
	u := new(upstreams)
	u.initTransport()
	if d := u.transport.HTTP2.SendPingTimeout; d <= 5*time.Minute {
		t.Errorf("a silent upstream is pinged every %v", d)
	}
}

// filling are bodies without end, of which so much is taken that a connection's window
// of net/http is full.
type filling struct {
	mu   sync.Mutex
	left int
	done chan struct{} // closed when nothing is left
}

func (b *filling) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left > 0 && b.left <= len(p) {
		close(b.done)
	}
	b.left -= len(p)
	return len(p), nil
}

// Requests whose upstream does not read do not hold up others of the connection. Seen
// red with net/http's own windows.
func TestUpstreamDoesNotReadHTTP2(t *testing.T) {
	upstream := serveFrames(t, "api.test", func(c *frames) {
		stalled := map[uint32]bool{}
		for {
			frame, err := c.fr.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if !frame.IsAck() {
					c.fr.WriteSettingsAck()
				}
			case *http2.MetaHeadersFrame:
				stalled[frame.StreamID] = frame.PseudoValue("path") == "/stall"
				c.headers(frame.StreamID, false, pair{":status", "200"})
			case *http2.DataFrame:
				switch {
				case frame.StreamEnded():
					c.data(frame.StreamID, true, "done")
				case frame.Length > 0:
					c.fr.WriteWindowUpdate(0, frame.Length)
					if !stalled[frame.StreamID] {
						c.fr.WriteWindowUpdate(frame.StreamID, frame.Length)
					}
				}
			}
		}
	})
	f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
	client := f.client(true)
	full := &filling{left: 1 << 20, done: make(chan struct{})}
	for range 4 {
		resp, err := client.Post("https://api.test/stall", "text/plain", io.MultiReader(full))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
	}
	<-full.done
	client.Timeout = 5 * time.Second
	resp, err := client.Post("https://api.test/", "text/plain", &io.LimitedReader{R: zeros{}, N: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, resp); got != "done" {
		t.Errorf("answered %q", got)
	}
}
