package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Request and response flow at the same time: each piece comes back before the
// next is sent.
func TestStreamBothWays(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(w)
			control.EnableFullDuplex()
			control.Flush()
			buf := make([]byte, 100)
			for {
				n, err := r.Body.Read(buf)
				w.Write(buf[:n])
				control.Flush()
				if err != nil {
					return
				}
			}
		}))
		f := start(t, config(), map[string]string{"api.test:443": addr})
		body, send := io.Pipe()
		req, _ := http.NewRequest("POST", "https://api.test/", body)
		resp, err := f.client(http2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for i := range 10 {
			piece := fmt.Sprintf("piece %d\n", i)
			io.WriteString(send, piece)
			expect(t, resp.Body, piece)
		}
		send.Close()
		if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		if r := f.record(); r.BytesReceived != 80 || r.BytesSent != 80 || r.Error != "" {
			t.Errorf("record %+v", r)
		}
	})
}

// Expect: 100-continue reaches the upstream, whose 100 reaches the client, which
// only then sends its body.
func TestExpectContinue(t *testing.T) {
	f, upstream := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		io.ReadFull(r, make([]byte, 5))
		io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	conn := f.open("api.test:443")
	io.WriteString(conn, "PUT / HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	expect(t, conn, "HTTP/1.1 100 Continue\r\n\r\n")
	if got := upstream.String(); !strings.Contains(got, "\r\nExpect: 100-continue\r\n") || strings.Contains(got, "hello") {
		t.Errorf("before the body the upstream received %q", got)
	}
	io.WriteString(conn, "hello")
	expect(t, conn, "HTTP/1.1 204 No Content\r\n\r\n")
}

// An answer that comes before the request was sent reaches the client, which is
// told that the connection ends.
func TestEarlyResponse(t *testing.T) {
	for _, expectation := range []string{"", "Expect: 100-continue\r\n"} {
		t.Run("expect="+expectation, func(t *testing.T) {
			f, _ := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
				head(r)
				io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo big\n")
			})
			conn := f.open("api.test:443")
			fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1000000000\r\n%s\r\n", expectation)
			if expectation == "" {
				conn.Write(make([]byte, 1000))
			}
			expect(t, conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo big\n")
			expectEnd(t, conn)
			conn.Close()
			if r := f.record(); r.Status != 413 || r.Error != "" {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// A client that is busy with a large upload, and reads only then, still sees the
// early answer: what it sends meanwhile must not reset the connection.
func TestEarlyResponseToBusyClient(t *testing.T) {
	f, _ := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo big\n")
	})
	conn := f.open("api.test:443")
	fmt.Fprint(conn, "PUT / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1000000000\r\n\r\n")
	if _, err := io.CopyN(conn, zeros{}, 8<<20); err != nil {
		t.Errorf("upload: %v", err)
	}
	expect(t, conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo big\n")
}

// The same with a real client, over both protocols.
func TestEarlyResponseToRealClient(t *testing.T) {
	addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 100<<10))
		http.Error(w, "too big", http.StatusRequestEntityTooLarge)
	}))
	overBoth(t, func(t *testing.T, http2 bool) {
		f := start(t, config(), map[string]string{"api.test:443": addr})
		req, _ := http.NewRequest("PUT", "https://api.test/", io.LimitReader(zeros{}, 1<<30))
		resp, err := f.client(http2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := text(t, resp); resp.StatusCode != 413 || got != "too big\n" {
			t.Errorf("%d %q", resp.StatusCode, got)
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// Events reach the client one by one, before the next is sent, also where
// responses are searched for the secret.
func TestEventStream(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		next := make(chan string)
		addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			http.NewResponseController(w).Flush()
			for event := range next {
				io.WriteString(w, event)
				http.NewResponseController(w).Flush()
			}
		}))
		f := start(t, config(), map[string]string{"api.test:443": addr})
		req, _ := http.NewRequest("GET", "https://api.test/", nil)
		resp, err := f.client(http2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for i := range 20 {
			event := fmt.Sprintf("data: %d\n\n", i)
			next <- event
			expect(t, resp.Body, event)
		}
		close(next)
		if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

// Bodies of 10 MiB arrive as they were sent, in every framing.
func TestLargeBodies(t *testing.T) {
	const size = 10 << 20
	payload := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(payload)
	overBoth(t, func(t *testing.T, http2 bool) {
		for _, framing := range []string{"length", "chunked"} {
			t.Run(framing, func(t *testing.T) {
				addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					b, err := io.ReadAll(r.Body)
					if err != nil || !bytes.Equal(b, payload) {
						t.Errorf("the upstream received %d bytes, %v", len(b), err)
					}
					if framing == "length" {
						w.Header().Set("Content-Length", fmt.Sprint(len(b)))
					}
					w.Header().Set("Content-Type", "text/plain") // searched for the secret
					w.Write(b)
				}))
				f := start(t, config(), map[string]string{"api.test:443": addr})
				req, _ := http.NewRequest("PUT", "https://api.test/", bytes.NewReader(payload))
				if framing == "chunked" {
					req.ContentLength = -1
				}
				resp, err := f.client(http2).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if b, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(b, payload) {
					t.Errorf("the client received %d bytes, %v", len(b), err)
				}
				if (resp.ContentLength == size) != (framing == "length") {
					t.Errorf("Content-Length %d", resp.ContentLength)
				}
				if r := f.record(); r.BytesReceived != size || r.BytesSent != size {
					t.Errorf("record %+v", r)
				}
			})
		}
	})
}

func (w *alertWatch) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.in = append(w.in, b[:n]...)
	for len(w.in) >= 5 {
		const typeAlert = 21
		w.alert = w.alert || w.in[0] == typeAlert
		length := 5 + (int(w.in[3])<<8 | int(w.in[4]))
		if len(w.in) < length {
			break
		}
		w.in = w.in[length:]
	}
	return n, err
}
