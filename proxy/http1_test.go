package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
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

// A response that the upstream breaks off reaches the client as broken off: the
// body has no end, and TLS no close_notify.
func TestTruncatedResponse(t *testing.T) {
	for _, test := range []struct{ name, answer string }{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"},
		{"inside a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf"},
		{"bad chunk later", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n|xx\r\n"},
		{"until close", "HTTP/1.1 200 OK\r\n\r\nhalf"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, _ := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
				head(r)
				first, rest, _ := strings.Cut(test.answer, "|")
				io.WriteString(conn, first)
				r.ReadByte() // now the client has the first half
				io.WriteString(conn, rest)
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
