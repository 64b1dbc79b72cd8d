package proxy

import (
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"
	"weak"

	"golang.org/x/net/http2"
)

// Connections that are over are forgotten, although their clients have reset streams: a
// timer that goes on would hold all that belongs to them. Not each of them at once:
// net/http holds some until idleTimeout has passed.
// seen red: without the WriteTimeout of h2Server, when none was.
func TestHTTP2ConnectionsAreForgotten(t *testing.T) {
	f := start(t, config(), map[string]string{"api.test:443": serveHTTP(t, "api.test", http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))})
	const connections, streams, enough = 20, 50, 5
	var over []weak.Pointer[clientConn]
	for range connections {
		c := f.openHTTP2("api.test:443")
		for i := range uint32(streams) {
			c.headers(2*i+1, true, get("/")...)
			c.reset(2*i+1, http2.ErrCodeCancel)
		}
		for range streams {
			f.record()
		}
		f.proxy.open.each(func(c *clientConn) { over = append(over, weak.Make(c)) })
		c.conn.Close()
		f.await(func() bool { return f.proxy.open.each(func(*clientConn) {}) == 0 })
	}
	forgotten := func() (n int) {
		runtime.GC()
		for _, c := range over {
			if c.Value() == nil {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(10 * time.Second); forgotten() < enough; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d connections are forgotten 10 s after their end", forgotten(), connections)
		}
	}
	t.Logf("%d of %d at once", forgotten(), connections)
}
