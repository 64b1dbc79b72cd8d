package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
)

// apiGet is a request without more than it needs.
const apiGet = "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n"

// startRaw runs a proxy before one raw HTTP/1.1 upstream for api.test.
func startRaw(t *testing.T, handle func(conn net.Conn, r *bufio.Reader)) (*fixture, *capture) {
	t.Helper()
	upstream := serveRaw(t, "api.test", nil, func(conn net.Conn) { handle(conn, bufio.NewReader(conn)) })
	return start(t, config(), map[string]string{"api.test:443": upstream.addr}), upstream
}

// head reads a message head as it stands.
func head(r *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if line == "\r\n" || err != nil {
			return b.String()
		}
	}
}

// expect reads exactly these bytes.
func expect(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(r, got)
	if string(got[:n]) != want {
		t.Fatalf("received %q, %v; want %q", got[:n], err, want)
	}
}

// expectEnd expects a clean end: close_notify, not a broken connection.
func expectEnd(t *testing.T, r io.Reader) {
	t.Helper()
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("received %q, %v; want a clean end", rest, err)
	}
}

// How responses are framed for the client, byte for byte.
func TestResponseFraming(t *testing.T) {
	get := apiGet
	tests := []struct {
		name, request, answer, want string
		ends                        bool // both connections end
	}{
		{"length", get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false},
		{"empty", get, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false},
		{"chunked", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false},
		{"trailers", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nAlt-Svc: h3\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n", false},
		{"until close", get, "HTTP/1.1 200 OK\r\n\r\nhi", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi", true},
		{"HTTP/1.0 upstream", get, "HTTP/1.0 200 OK\r\n\r\nhi", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi", true},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: api.test\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", false},
		{"204", get, "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", false},
		{"204 with a length", get, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", false},
		{"304", get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: x\r\n\r\n",
			"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: x\r\n\r\n", false},
		{"no reason", get, "HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", false},
		{"103", get, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: y\r\nY: z\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
			"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", false},
		{"HTTP/1.0 client", "GET / HTTP/1.0\r\nHost: api.test\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", true},
		{"HTTP/1.0 client, no 1xx", "GET / HTTP/1.0\r\nHost: api.test\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
			"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", true},
		{"HTTP/1.0 client, chunks", "GET / HTTP/1.0\r\nHost: api.test\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\n you\r\n0\r\nX: y\r\n\r\n", "", true},
		{"client closes", "GET / HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, _ := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
				for strings.HasSuffix(head(r), "\r\n\r\n") {
					io.WriteString(conn, test.answer)
					if test.ends {
						return
					}
				}
			})
			if test.want == "" {
				test.answer = strings.Replace(test.answer, "3\r\n you", "4\r\n you", 1)
				test.want = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi you"
			}
			conn := f.open("api.test:443")
			io.WriteString(conn, test.request)
			expect(t, conn, test.want)
			if test.ends {
				expectEnd(t, conn)
			} else {
				io.WriteString(conn, test.request) // in the same connection
				expect(t, conn, test.want)
			}
			if r := f.record(); r.Error != "" || r.Status == 0 {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// A request's body passes as it is framed, trailers included.
func TestRequestFraming(t *testing.T) {
	const start = "POST / HTTP/1.1\r\nHost: api.test\r\n"
	const set = "Accept-Encoding: identity\r\nAuthorization: Bearer " + canary + "\r\n\r\n"
	tests := []struct{ name, sent, want string }{
		{"length", "Content-Length: 5\r\n\r\nhello", "Content-Length: 5\r\n" + set + "hello"},
		{"length zero", "Content-Length: 0\r\n\r\n", "Content-Length: 0\r\n" + set},
		{"no body", "\r\n", set},
		{"chunked", "Transfer-Encoding: chunked\r\n\r\n2;x=\"y\"\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
			"Transfer-Encoding: chunked\r\n" + set + "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"},
		{"trailers", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nauthorization: me\r\nAUTHORIZATION: me\r\nTE: x\r\n\r\n",
			"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n" + set + "1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n"},
		{"empty chunked", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n" + set + "0\r\n\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, whole := range []bool{true, false} {
				f, upstream := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
					for {
						req, err := http.ReadRequest(r)
						if err != nil {
							return
						}
						io.Copy(io.Discard, req.Body)
						io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
					}
				})
				conn := f.open("api.test:443")
				sent := start + test.sent
				if !whole { // a byte at a time
					for i := range len(sent) - 1 {
						io.WriteString(conn, sent[i:i+1])
					}
					sent = sent[len(sent)-1:]
				}
				if resp := f.do(conn, "POST", sent); resp.StatusCode != 204 {
					t.Fatalf("status %d: %s", resp.StatusCode, text(t, resp))
				}
				if got := joinChunks(upstream.String()); got != joinChunks(start+test.want) {
					t.Errorf("whole=%t: the upstream received %q, want %q", whole, got, start+test.want)
				}
				if r := f.record(); r.Error != "" || r.Status != 204 {
					t.Errorf("record %+v", r)
				}
			}
		})
	}
}

// joinChunks makes bodies comparable that were cut into chunks elsewhere.
func joinChunks(s string) string {
	return strings.NewReplacer("2\r\nhe\r\n3\r\nllo\r\n", "hello.", "5\r\nhello\r\n", "hello.",
		"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n", "hello.").Replace(s)
}

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

// A client that is in the middle of a large upload still sees the early answer.
func TestEarlyResponseToBusyClient(t *testing.T) {
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

// A response that the upstream breaks off reaches the client as broken off: the
// body has no end, and TLS no close_notify.
func TestTruncatedResponse(t *testing.T) {
	for _, test := range []struct{ name, answer string }{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"},
		{"inside a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf"},
		{"bad chunk later", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxx\r\n"},
		{"until close", "HTTP/1.1 200 OK\r\n\r\nhalf"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "until close" {
				t.Skip("BUG: crypto/tls takes an end without close_notify for io.EOF; the proxy then sends the client a close_notify")
			}
			f, _ := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
				head(r)
				first, rest, _ := strings.Cut(test.answer, "xx")
				io.WriteString(conn, first)
				r.ReadByte() // now the client has the first half
				io.WriteString(conn, "xx"[:2*min(len(rest), 1)]+rest)
				conn.(*keptConn).Conn.(*tls.Conn).NetConn().Close()
			})
			watch := &alertWatch{Conn: f.connect("api.test:443")}
			conn := tls.Client(watch, &tls.Config{ServerName: "api.test", RootCAs: poolOf(f.authority), MaxVersion: tls.VersionTLS12})
			io.WriteString(conn, "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, resp.Body, "half")
			io.WriteString(conn, "x")
			if _, err := io.ReadAll(resp.Body); err == nil {
				t.Error("the client takes the half for the whole")
			}
			if watch.alert {
				t.Error("the connection ended with close_notify")
			}
			if r := f.record(); r.Error == "" || r.Status != 200 || !strings.Contains(r.Reason, "in the middle") {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// alertWatch tells whether an alert was received, for TLS 1.2, which shows the
// type of a record. A tls.Conn takes an end without close_notify for io.EOF.
type alertWatch struct {
	net.Conn
	in    []byte
	alert bool
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
