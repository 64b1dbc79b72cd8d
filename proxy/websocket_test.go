package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
)

const (
	upgrade = "GET /ws HTTP/1.1\r\nHost: api.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

// After a 101 that the client asked for, bytes flow untouched both ways, and the
// request had the rule's header (I11).
func TestWebSocket(t *testing.T) {
	t.Run("without a length", func(t *testing.T) { testWebSocket(t, upgrade) })
	t.Run("length 0", func(t *testing.T) { // as Java's HttpClient asks for it
		testWebSocket(t, strings.Replace(upgrade, "\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n", 1))
	})
}

func testWebSocket(t *testing.T, upgrade string) {
	payload := randomBytes(1 << 20)
	f, upstream := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, switched+"at once")
		io.Copy(conn, r)
		conn.(*keptConn).Conn.(*tls.Conn).CloseWrite()
	})
	conn := f.open("api.test:443", protoHTTP2, protoHTTP1)
	io.WriteString(conn, upgrade+"early")
	r := bufio.NewReader(conn)
	got := head(r)
	for _, want := range []string{"HTTP/1.1 101 ", "\r\nConnection: Upgrade\r\n", "\r\nUpgrade: websocket\r\n", "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("the client received %q without one %q", got, want)
		}
	}
	expect(t, r, "at onceearly")
	go func() {
		conn.Write(payload)
		conn.CloseWrite() // and still reads
	}()
	echoed, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(echoed, payload) {
		t.Errorf("%d bytes came back, %v", len(echoed), err)
	}
	sent := upstream.String()
	for _, want := range []string{"\r\nAuthorization: Bearer " + canary + "\r\n", "\r\nConnection: Upgrade\r\n", "\r\nUpgrade: websocket\r\n", "\r\nSec-WebSocket-Version: 13\r\n"} {
		if strings.Count(sent, want) != 1 {
			t.Errorf("the upstream received %.400q without one %q", sent, want)
		}
	}
	rec := f.oneRecord()
	if rec.Status != 101 || rec.Rule != "api" || rec.BytesReceived != int64(len(payload)+5) || rec.BytesSent != int64(len(payload)+12) || rec.Error != "" {
		t.Errorf("record %+v", rec)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{2}).Read(b)
	return b
}

// The upstream may end first.
func TestWebSocketUpstreamEnds(t *testing.T) {
	rest := make(chan string, 1)
	f, _ := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, switched+"bye")
		conn.(*keptConn).Conn.(*tls.Conn).CloseWrite()
		b, _ := io.ReadAll(r)
		rest <- string(b)
	})
	conn := f.open("api.test:443")
	io.WriteString(conn, upgrade)
	r := bufio.NewReader(conn)
	head(r)
	expect(t, r, "bye")
	expectEnd(t, r)
	io.WriteString(conn, "still here")
	conn.CloseWrite()
	if got := <-rest; got != "still here" {
		t.Errorf("the upstream received %q", got)
	}
	if rec := f.oneRecord(); rec.BytesSent != 3 || rec.BytesReceived != 10 {
		t.Errorf("record %+v", rec)
	}
}

// What a client sends behind its upgrade does not reach the upstream before the
// 101; and where none comes it is the next request, judged on its own.
func TestUpgradeRefused(t *testing.T) {
	proceed := make(chan bool)
	f, upstream := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n\r\n")
		<-proceed
		io.WriteString(conn, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
		answering(noContent)(conn, r)
	})
	conn := f.open("api.test:443")
	io.WriteString(conn, upgrade+"GET /next HTTP/1.1\r\nHost: api.test\r\n\r\nGET /evil HTTP/1.1\r\nHost: evil.test\r\n\r\n")
	r := bufio.NewReader(conn)
	if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 103 ") {
		t.Fatalf("received %q", got)
	}
	if got := upstream.String(); strings.Contains(got, "/next") {
		t.Errorf("before the answer the upstream received %q", got)
	}
	close(proceed)
	if got := f.read(r, "GET").StatusCode; got != 426 {
		t.Errorf("status %d", got)
	}
	if got := f.read(r, "GET").StatusCode; got != 204 {
		t.Errorf("status %d", got)
	}
	if got := f.read(r, "GET").StatusCode; got != 421 {
		t.Errorf("status %d", got)
	}
	if got := upstream.String(); strings.Contains(got, "evil") {
		t.Errorf("the upstream received %q", got)
	}
}

// Only a 101 to websocket, for a client that asked for websocket, is one.
func TestSwitchNotAskedFor(t *testing.T) {
	h2c := strings.Replace(upgrade, "Upgrade: WebSocket", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", 1)
	for _, test := range []struct{ name, request, answer string }{
		{"unsolicited", apiGet, switched},
		{"h2c asked and given", h2c, strings.Replace(switched, "websocket", "h2c", 1)},
		{"h2c asked, websocket given", h2c, switched},
		{"websocket asked, h2c given", upgrade, strings.Replace(switched, "websocket", "h2c", 1)},
		{"without Connection", strings.Replace(upgrade, "keep-alive, Upgrade", "keep-alive", 1), switched},
		{"two protocols", strings.Replace(upgrade, "Upgrade: WebSocket", "Upgrade: websocket, h2c", 1), switched},
		{"two fields", strings.Replace(upgrade, "Upgrade: WebSocket", "Upgrade: websocket\r\nUpgrade: h2c", 1), switched},
		{"POST", strings.Replace(upgrade, "GET", "POST", 1), switched},
		{"with a body", strings.Replace(upgrade, "\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nhi", 1), switched},
		{"HTTP/1.0", strings.Replace(upgrade, "HTTP/1.1", "HTTP/1.0", 1), switched},
		{"answer without Upgrade", upgrade, strings.Replace(switched, "Upgrade: websocket\r\n", "", 1)},
		{"answer without Connection", upgrade, strings.Replace(switched, "Connection: Upgrade\r\n", "", 1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			received := make(chan string, 1)
			f, _ := startRaw(t, func(conn net.Conn, r *bufio.Reader) {
				got := head(r)
				io.WriteString(conn, test.answer+"evil")
				rest, _ := io.ReadAll(r)
				received <- got + string(rest)
			})
			conn := f.open("api.test:443")
			resp := f.do(conn, "GET", test.request+"smuggled")
			conn.Close()
			refusal{502, "http_protocol_error", ""}.check(t, resp, f.record())
			if got := <-received; strings.Contains(got, "smuggled") || strings.Contains(strings.ToLower(got), "h2c") {
				t.Errorf("the upstream received %q", got)
			}
		})
	}
}
