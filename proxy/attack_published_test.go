package proxy

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The published flaws of this kind of program, by their names.

// CVE-2023-37788 (goproxy): a bad request ended the process. Here each is refused
// or ignored, outside and inside an intercepted connection, and the next client is
// served.
//
// seen red: conn.go connect, a panic for a target that is not valid: the process
// went on, the record said proxy_internal_error.
func TestCVE2023_37788(t *testing.T) {
	f, o := besiege(t, false, pathRule())
	for _, raw := range []string{
		"\r\n\r\n", "\x00", "GET", "GET \r\n\r\n", "GET  HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"GET http:// HTTP/1.1\r\n\r\n", "GET http:///x HTTP/1.1\r\n\r\n", "GET http://:80/ HTTP/1.1\r\n\r\n", "GET http://[ HTTP/1.1\r\n\r\n", "GET :// HTTP/1.1\r\n\r\n",
		"GET https://api.test/ HTTP/1.1\r\n\r\n", "GET % HTTP/1.1\r\nHost: %\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: evil.test\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: api.test\r\n\r\n",
		"CONNECT  HTTP/1.1\r\n\r\n", "CONNECT / HTTP/1.1\r\n\r\n", "CONNECT : HTTP/1.1\r\n\r\n", "CONNECT [ HTTP/1.1\r\n\r\n", "CONNECT % HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 99999999999999999999\r\n\r\n", "POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"GET / HTTP/1.1\r\n: \r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", "\x05\x01\x00", "\x04\x01\x01\xbb\x7f\x00\x00\x01\x00",
		http2.ClientPreface, "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n\r\n", strings.Repeat("\xff", 70<<10), "GET /" + strings.Repeat("a", 70<<10) + " HTTP/1.1\r\nHost: api.test\r\n\r\n",
	} {
		for where, conn := range map[string]net.Conn{"outside": f.dial(), "inside": f.open("api.test:443", protoHTTP1)} {
			go func() {
				io.WriteString(conn, raw)
				conn.(interface{ CloseWrite() error }).CloseWrite()
			}()
			for _, status := range statuses(f.hear(conn)) {
				if status < 400 || status > 431 {
					t.Errorf("%s, %.40q: status %d", where, raw, status)
				}
			}
			conn.Close()
		}
	}
	if got := fmt.Sprint(statuses(f.attack("api.test:443", rawRequest("GET", "/v1/a", "api.test")+last))); got != "[200 200]" {
		t.Errorf("afterwards: statuses %s", got)
	}
	checkEach(t, o.settled(f), "GET /v1/a", "GET /last")
	for _, r := range f.end() {
		if r.Status >= 500 || r.Error == failInternal.kind {
			t.Errorf("record %+v", r)
		}
	}
}

// CVE-2025-22871 (net/http): a chunk line that ended with a bare line feed, in its
// extension too, let a body end where another recipient saw it go on.
//
// seen red: http1/body.go size, "b[lf-1] != '\r'" taken out.
func TestCVE2025_22871(t *testing.T) {
	for _, body := range []string{
		"5\nhello\r\n0\r\n\r\n", "5;\nhello\r\n0\r\n\r\n", "5;a\nhello\r\n0\r\n\r\n", "2;\nxx\r\n4c\r\n0\r\n\r\n", "1\r\nx\r\n0\n\r\n", "1\r\nx\r\n0;\n\r\n", "0\r\n\n", "0\r\nX: y\n\r\n",
	} {
		t.Run(fmt.Sprintf("request %q", body), func(t *testing.T) {
			f, o := besiege(t, false, pathRule())
			checkRefusedSecond(t, f, o, rawRequest("POST", "/v1/second", "api.test", "Transfer-Encoding: chunked")+body)
		})
		t.Run(fmt.Sprintf("response %q", body), func(t *testing.T) {
			f, upstream := startRaw(t, answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+body))
			f.watch(canary)
			conn := f.open("api.test:443", protoHTTP1)
			io.WriteString(conn, rawRequest("GET", "/", "api.test")+last)
			if all := f.hear(conn); strings.HasSuffix(all, "0\r\n\r\n") || slices.Contains(statuses(all)[min(1, len(statuses(all))):], 200) {
				t.Errorf("the client received %q", all)
			}
			conn.Close()
			f.end()
			if got := upstream.String(); strings.Contains(got, "/last") {
				t.Errorf("the upstream received %q", got)
			}
		})
	}
}

// CVE-2023-44487, rapid reset: a client that opens streams and resets them at once
// does not keep another from being served.
//
// seen red: h2.go ServeHTTP, 50 ms under one mutex for all connections.
func TestCVE2023_44487(t *testing.T) {
	f, o := besiege(t, true, pathRule())
	c := f.openHTTP2("api.test:443")
	heard := make(chan bool)
	go func() {
		defer close(heard)
		f.hearFrames(c)
	}()
	for range 1000 {
		c.headers(c.next, true, get("/v1/flood")...)
		c.reset(c.next, http2.ErrCodeCancel)
		c.next += 2
	}
	for range 10 { // the proxy is at it
		f.record()
	}
	begin := time.Now()
	resp := f.askOn(f.openFrom("127.0.0.2", "api.test:443", protoHTTP2), get("/v1/other"))
	if took := time.Since(begin); resp.StatusCode != 200 || took > time.Second {
		t.Errorf("the other client: status %d after %v", resp.StatusCode, took)
	}
	c.conn.Close()
	<-heard
	others := 0
	for _, a := range o.settled(f) {
		a.checkKeyed(t)
		switch a.path {
		case "/v1/other":
			others++
		case "/v1/flood":
		default:
			t.Errorf("%s arrived", a.path)
		}
	}
	if others != 1 {
		t.Errorf("the request of the other client arrived %d times", others)
	}
}

// hearFrames keeps what is received on all streams until the connection ends.
func (f *fixture) hearFrames(c *frames) {
	for {
		frame, err := c.read()
		if err != nil {
			return
		}
		a := new(answer)
		a.take(frame)
		f.heard(fmt.Sprint(a.heads, a.body, a.trailer))
	}
}

// CVE-2023-45288, CONTINUATION flood: a head that never ends costs the client its
// connection after a bounded number of bytes, and the proxy no memory, whether its
// fields are long or one byte each that stands for a long one.
//
// seen red: h2.go, MaxHeaderBytes: 1 << 30.
func TestCVE2023_45288(t *testing.T) {
	const most = 64 << 20 // bytes sent; what is bounded leaves room for the sockets' buffers
	for name, fill := range map[string]func(c *frames) []byte{
		"long fields": func(c *frames) []byte {
			c.hb.Reset()
			for c.hb.Len() < 15<<10 {
				c.he.WriteField(hpack.HeaderField{Name: "x-flood", Value: strings.Repeat("~", 1000), Sensitive: true})
			}
			return slices.Clone(c.hb.Bytes())
		},
		"references": func(c *frames) []byte { // to the newest entry of the table
			return slices.Repeat([]byte{0x80 | 62}, 15<<10)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, o := besiege(t, true, pathRule())
			c := f.openHTTP2("api.test:443")
			ended := make(chan bool)
			go func() {
				defer close(ended)
				f.hearFrames(c)
			}()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			sent := c.flood(fill(c), ended, most)
			runtime.ReadMemStats(&after)
			if sent >= most/2 {
				t.Errorf("the connection took %d bytes", sent)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
				t.Errorf("%d bytes were allocated", n)
			}
			c.conn.Close()
			<-ended
			if resp := f.ask(true, "api.test:443", get("/v1/a")...); resp.StatusCode != 200 {
				t.Errorf("afterwards: status %d", resp.StatusCode)
			}
			checkEach(t, o.settled(f), "GET /v1/a")
		})
	}
}

// flood begins a head and adds block to it until the connection ends, and returns
// how many bytes went out.
func (c *frames) flood(block []byte, ended <-chan bool, most int) (sent int) {
	c.mu.Lock()
	c.hb.Reset()
	for _, p := range get("/v1/flood", pair{"x-flood", strings.Repeat("x", 3000)}) {
		c.he.WriteField(hpack.HeaderField{Name: p[0], Value: p[1]})
	}
	c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.hb.Bytes(), EndStream: true})
	c.mu.Unlock()
	for sent < most {
		select {
		case <-ended:
			return sent
		default:
		}
		c.mu.Lock()
		err := c.fr.WriteContinuation(1, false, block)
		c.mu.Unlock()
		if err != nil {
			return sent
		}
		sent += len(block)
	}
	return sent
}

// CVE-2024-24791 (net/http): after Expect: 100-continue was answered by a final
// status, the connection to the upstream was used on in a state where the body of
// one request was the head of the next. What the client sends instead of its body
// is no request.
//
// seen red: h1_respond.go respond, "complete := true".
func TestCVE2024_24791(t *testing.T) {
	f, upstream := startRaw(t, answering("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno"))
	f.setPolicy(pathRule(), map[string]string{"KEY": canary})
	f.watch(canary)
	for range 3 {
		conn := f.open("api.test:443", protoHTTP1)
		io.WriteString(conn, rawRequest("POST", "/v1/a", "api.test", "Expect: 100-continue", fmt.Sprint("Content-Length: ", len(hidden))))
		r := bufio.NewReader(conn)
		if resp := f.read(r, "POST"); resp.StatusCode != 417 {
			t.Errorf("status %d", resp.StatusCode)
		}
		io.WriteString(conn, hidden+last)
		rest, _ := io.ReadAll(r)
		if f.heard(string(rest)); len(statuses(string(rest))) > 0 {
			t.Errorf("the client received %q behind the answer", rest)
		}
		conn.Close()
	}
	f.end()
	if got := upstream.String(); strings.Contains(got, "/hidden") || strings.Contains(got, "/last") || strings.Count(got, canary) != 3 || strings.Count(got, "POST /v1/a ") != 3 {
		t.Errorf("the upstream received %q", got)
	}
	if n := upstream.conns.Load(); n != 3 {
		t.Errorf("3 requests took %d connections", n)
	}
}

// Leaf keys that can be predicted or are shared (stripe/goproxy, issue 36): no two
// leaves and no two authorities have a key in common, for the same host neither.
// certs.TestAuthoritiesAreDistinct looks at the authorities' own keys.
//
// seen red: certs/issue.go newKey, one key for all.
func TestAttackLeafKeys(t *testing.T) {
	seen := make(map[string]string)
	for proxy := range 2 {
		f, api, evil := twoHosts(t, false)
		for _, host := range []string{"api.test", "evil.test"} {
			conn := f.open(host+":443", protoHTTP1)
			io.WriteString(conn, rawRequest("GET", "/", host, "Connection: close"))
			if got := fmt.Sprint(statuses(f.hear(conn))); got != "[200]" {
				t.Errorf("%s: statuses %s", host, got)
			}
			leaf := conn.ConnectionState().PeerCertificates[0]
			seen[keyOf(t, leaf)] += fmt.Sprint(" ", host, proxy)
			for i, c := range f.authority.Certificates() {
				if host == "api.test" {
					seen[keyOf(t, c)] += fmt.Sprint(" authority ", proxy, i)
				}
			}
			conn.Close()
		}
		if got := append(api.settled(f), evil.settled(f)...); len(got) != 2 {
			t.Errorf("%d requests arrived, want 2", len(got))
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d keys, want 8: %q", len(seen), seen)
	}
}

func keyOf(t *testing.T, c *x509.Certificate) string {
	t.Helper()
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		t.Fatalf("a key of type %T", c.PublicKey)
	}
	b, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
