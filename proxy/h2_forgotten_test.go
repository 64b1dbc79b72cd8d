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

// A connection that is over is forgotten, whenever its client has reset its streams: a
// timer that goes on would hold all that belongs to it.
// seen red: without the WriteTimeout of h2Server.
func TestHTTP2ConnectionIsForgotten(t *testing.T) {
	f := start(t, config(), map[string]string{"api.test:443": serveHTTP(t, "api.test", http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))})
	c := f.openHTTP2("api.test:443")
	const streams = 100
	for i := range uint32(streams) {
		c.headers(2*i+1, true, get("/")...)
		if i%2 == 0 {
			c.reset(2*i+1, http2.ErrCodeCancel)
		}
	}
	for range streams {
		f.record()
	}
	var gone weak.Pointer[clientConn]
	f.proxy.open.each(func(c *clientConn) { gone = weak.Make(c) })
	c.conn.Close()
	for deadline := time.Now().Add(10 * time.Second); gone.Value() != nil; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		if time.Now().After(deadline) {
			t.Fatal("something holds the connection 10 s after its end")
		}
	}
}
