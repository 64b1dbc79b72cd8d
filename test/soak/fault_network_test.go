package soak

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// A response that ends too early does not look whole, whether its length was told or
// not, and however the upstream's connection ended.
// seen red: h1_respond.go responseBody, any end taken for that of the body; h2_exchange.go serve,
// the stream not reset.
func TestFaultUpstreamEndsMidBody(t *testing.T) {
	up := newUpstream()
	n := newNetwork(t, up.tls)
	k := inFront(t, up, behind(n))
	before := k.warm(up)
	overBoth(t, k, func(t *testing.T, c *http.Client) {
		for _, path := range []string{"/reset", "/reset?1000"} {
			resp, err := c.Get("https://api.test" + path)
			if err != nil {
				continue // the reset was faster than the head
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil {
				t.Errorf("%s: the client takes %d bytes for the whole", path, len(body))
			}
		}
		n.breaks(`{"type": "limit_data", "attributes": {"bytes": 60000}}`)
		up.dropIdle()
		for _, path := range []string{"/bytes?500000", "/chunks?500000"} {
			resp, err := c.Get("https://other.test" + path)
			if err != nil {
				continue // of HTTP/2, of which the connection that was open is cut
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil || resp.StatusCode != 200 || len(body) == 0 || !bytes.HasPrefix(bytes.Repeat(filler, 8), body) {
				t.Errorf("%s: the client takes %d bytes for the whole, status %d, %v", path, len(body), resp.StatusCode, err)
			}
		}
		n.heals()
		expect(t, c, "https://other.test/", 200, "ok")
		expect(t, c, "https://api.test/", 200, "ok")
	})
	k.settles(before, up.dropIdle, localhost)
}

// An upstream that no longer answers, and whose connection stays, costs the client that
// waits for it what the client wants to wait, and nobody else anything.
// seen red: h1_upload.go start, the client not watched.
func TestFaultHalfOpen(t *testing.T) {
	up := newUpstream()
	n := newNetwork(t, up.tls)
	k := inFront(t, up, behind(n))
	before := k.warm(up)
	overBoth(t, k, func(t *testing.T, c *http.Client) {
		expect(t, c, "https://other.test/", 200, "ok")
		n.breaks(`{"type": "timeout", "attributes": {"timeout": 0}}`)
		c.Timeout = 700 * time.Millisecond
		if status, _, err := fetch(c, "https://other.test/hold"); !isTimeout(err) {
			t.Errorf("status %d, %v; want a timeout of the client", status, err)
		}
		select {
		case <-up.givenUp:
		case <-time.After(5 * time.Second):
			t.Error("the upstream still works for a client that has given up")
		}
		k.undisturbed(t)
		n.heals() // and ends the connections that were stuck
		c.Timeout = 20 * time.Second
		expect(t, c, "https://other.test/", 200, "ok")
	})
	k.settles(before, up.dropIdle, localhost)
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// Clients that do not read what they asked for hold a bounded piece of it each, and
// stop neither others nor, over HTTP/2, their own other requests.
// seen red: h1_respond.go, the response held until it is whole.
func TestFaultSlowReader(t *testing.T) {
	up := newUpstream()
	k := inFront(t, up)
	before := k.warm(up)
	const clients, size = 40, 30_000_000
	var conns []net.Conn
	for range clients {
		conn, err := k.secure("api.test")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /bytes?%d HTTP/1.1\r\nHost: api.test\r\n\r\n", size)
		conns = append(conns, conn)
	}
	k.once(true, func(c *http.Client) {
		c.Timeout = 5 * time.Second
		resp, err := c.Get(fmt.Sprintf("https://api.test/bytes?%d", size))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for range 20 {
			expect(t, c, "https://api.test/", 200, "ok")
		}
	})
	k.undisturbed(t)
	if now := k.state(); now.heap > before.heap+clients*(1<<20) {
		t.Errorf("%d clients that do not read hold %.1f MiB", clients, (now.heap-before.heap)/(1<<20))
	}
	// One of them reads after all, and gets all.
	resp := readResponse(t, conns[0])
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("%d bytes, %v; want %d", n, err, size)
	}
	closeAll(conns)
	k.settles(before, up.dropIdle, localhost)
}

// A body that comes slowly and in small pieces arrives whole, and one that breaks off
// is not taken for whole by the upstream.
// seen red: h1_upload.go abort, the last chunk written.
func TestFaultSlowWriter(t *testing.T) {
	up := newUpstream()
	n := newNetwork(t, up.tls)
	k := inFront(t, up, behind(n))
	before := k.warm(up)
	overBoth(t, k, func(t *testing.T, c *http.Client) {
		n.breaks(`{"type": "bandwidth", "stream": "upstream", "attributes": {"rate": 400}}`)
		const size = 300_000
		resp, err := c.Post("https://other.test/count", "text/plain", io.LimitReader(slow{}, size))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := <-up.uploaded; got != fmt.Sprint(size, " <nil>") {
			t.Errorf("the upstream received %s, want %d", got, size)
		}
		<-up.arrived
		n.heals()
		body, writer := io.Pipe()
		go func() {
			io.WriteString(writer, strings.Repeat("x", 50_000))
			<-up.arrived
			writer.CloseWithError(os.ErrClosed) // the client breaks off
		}()
		if resp, err := c.Post("https://other.test/count", "text/plain", body); err == nil {
			resp.Body.Close()
			t.Errorf("the client got %s for half a request", resp.Status)
		}
		if got := <-up.uploaded; strings.HasSuffix(got, "<nil>") {
			t.Errorf("the upstream takes %s for the whole", got)
		}
		k.undisturbed(t)
	})
	k.settles(before, up.dropIdle, localhost)
}

// slow is a body without end that comes in small pieces.
type slow struct{}

// Read implements io.Reader.
func (slow) Read(b []byte) (int, error) {
	time.Sleep(2 * time.Millisecond) // it is what the test is about
	return copy(b, filler[:min(len(b), 4096)]), nil
}

// Clients that stop in the middle of a handshake stop nobody else.
// seen red: conn.go request, a lock held while a head is waited for.
func TestFaultStalledHandshake(t *testing.T) {
	up := newUpstream()
	k := inFront(t, up)
	before := k.warm(up)
	hello := []byte{22, 3, 1, 2, 0, 1} // a ClientHello begins so
	var conns []net.Conn
	for i := range 300 {
		switch i % 3 {
		case 0: // half a head
			conn, err := net.Dial("tcp", k.addr)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, "CONNECT api.test:443 HTTP/1.1\r\nHo")
			conns = append(conns, conn)
		case 1, 2:
			conn, err := k.connect("api.test:443")
			if err != nil {
				t.Fatal(err)
			}
			conn.Write(hello[:i%3*3])
			conns = append(conns, conn)
		}
	}
	k.undisturbed(t)
	closeAll(conns)
	k.settles(before, up.dropIdle, localhost)
}

// keybearer itself ends a handshake that does not go on.
func TestFaultStalledHandshakeEnds(t *testing.T) {
	needsLong(t)
	up := newUpstream()
	n := newNetwork(t, up.tls)
	k := inFront(t, up, behind(n))
	before := k.warm(up)
	silent, err := k.connect("api.test:443")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	n.breaks(`{"type": "timeout", "attributes": {"timeout": 0}}`)
	up.dropIdle()
	k.once(false, func(c *http.Client) {
		begin := time.Now()
		expect(t, c, "https://other.test/", 504, "keybearer: ")
		if took := time.Since(begin); took > 12*time.Second {
			t.Errorf("an upstream that says nothing was waited for for %s", took)
		}
	})
	silent.SetReadDeadline(time.Now().Add(12 * time.Second))
	if _, err := silent.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a client that says nothing: %v, want the end of the connection", err)
	}
	n.heals()
	k.settles(before, up.dropIdle, localhost)
}

// A certificate that expires while the process runs is refused from the next connection
// on, with a session that was begun before as well; with a new one all is well again.
// seen red: dial.go secure, with the clock of an hour ago.
func TestFaultCertificateExpires(t *testing.T) {
	up := newUpstream()
	k := inFront(t, up)
	before := k.warm(up)
	good := up.certificate.Load()
	hosts := []string{"https://fresh.test/", "https://newer.test/"} // there is no session with them yet
	overBoth(t, k, func(t *testing.T, c *http.Client) {
		expires := time.Now().Add(1500 * time.Millisecond).Truncate(time.Second).Add(time.Second)
		up.certificate.Store(up.issuer.issue(expires, "*.test"))
		host := hosts[0]
		hosts = hosts[1:]
		expect(t, c, host, 200, "ok")
		time.Sleep(time.Until(expires.Add(time.Second)))
		requests := up.requests.Load()
		up.drop()
		expect(t, c, host, 502, "keybearer: the upstream's certificate")
		if up.requests.Load() != requests {
			t.Error("a request reached the upstream with the expired certificate")
		}
		up.certificate.Store(good)
		expect(t, c, host, 200, "ok")
		expect(t, c, host+"close", 200, "ok")
	})
	k.settles(before, up.dropIdle, localhost)
}

func readResponse(t *testing.T, conn net.Conn) *http.Response {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}
