package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
)

// What serves one exchange serves another client next: nothing of the first can be
// seen in the second, however the first one ended (I12).
//
// seen red: h1.go release without exchange{}, without masker{}, and without answered;
// h1_upload.go release without u.gone.
func TestExchangesLeaveNothing(t *testing.T) {
	const plain = "GET /plain HTTP/1.1\r\nHost: api.test\r\n\r\n"
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nplain"
	upstream := serveRaw(t, "api.test", nil, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			switch req.URL.Path {
			case "/switch":
				io.WriteString(conn, "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				return
			case "/cut":
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"+canary[:6])
				return
			case "/broken":
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\n"+canary[:5]+"\r\n0\r\nX: y\r\nbad\r\n\r\n")
				return
			}
			io.Copy(io.Discard, req.Body)
			io.WriteString(conn, answer)
		}
	})
	f := start(t, config(), map[string]string{"api.test:443": upstream.addr, "plain.test:80": closedPort(t)})
	for _, test := range []struct{ name, raw string }{
		{"closing", "GET /plain HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n"},
		{"old", "GET /plain HTTP/1.0\r\nHost: api.test\r\n\r\n"},
		{"gone in the body", "POST /plain HTTP/1.1\r\nHost: api.test\r\nContent-Length: 9\r\n\r\nabc"},
		{"malformed body", "POST /plain HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\nzz"},
		{"switched", "GET /switch HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
		{"cut off", "GET /cut HTTP/1.1\r\nHost: api.test\r\n\r\n"},
		{"malformed answer", "GET /broken HTTP/1.1\r\nHost: api.test\r\n\r\n"},
		{"plain http", "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n"},
		{"refused", "GET /plain HTTP/1.1\r\nHost: evil.test\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 8 {
				var first net.Conn = f.dial()
				if test.name != "plain http" {
					first = f.open("api.test:443")
				}
				io.WriteString(first, test.raw)
				if test.name != "gone in the body" {
					first.(interface{ CloseWrite() error }).CloseWrite()
					io.Copy(io.Discard, first)
				}
				first.Close()
				f.record()
				second := f.open("api.test:443")
				for range 2 {
					io.WriteString(second, plain)
					got := make([]byte, len(answer))
					if n, err := io.ReadFull(second, got); err != nil || string(got) != answer {
						t.Fatalf("received %q, %v", got[:n], err)
					}
					if r := f.record(); r.Status != 200 || r.Path != "/plain" || r.BytesReceived != 0 || r.BytesSent != 5 || r.Error != "" || r.Reason != "" {
						t.Errorf("record %+v", r)
					}
				}
				io.WriteString(second, "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n")
				if resp := f.read(bufio.NewReader(second), "GET"); resp.StatusCode != 421 {
					t.Errorf("a refusal has status %d", resp.StatusCode)
				}
				second.Close()
				f.record()
			}
		})
	}
}
