package proxy

import (
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// A connection to an upstream that died without a word, as they do when a laptop changes
// its network, does not get every request of a client that gives up and tries again,
// until a ping tells.
//
// seen red: upstream_h2.go reserve without silentTimeout (in a bubble, with a request
// every 20 s: 19 were lost; 3 when pings were sent every 30 s).
func TestDeadUpstreamHTTP2(t *testing.T) {
	var lost atomic.Int32
	upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
		if lost.CompareAndSwap(0, 1) {
			for { // and is not heard of any more
				if _, err := c.fr.ReadFrame(); err != nil {
					return
				}
			}
		}
		c.headers(head.StreamID, true, pair{":status", "204"})
	})
	f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
	c := f.openHTTP2("api.test:443")
	c.headers(1, true, get("/")...)
	f.await(func() bool { return lost.Load() == 1 })
	f.proxy.upstreams.mu.Lock()
	for _, pool := range f.proxy.upstreams.h2 {
		pool.mu.Lock()
		for _, conn := range pool.conns {
			conn.asked = conn.asked.Add(-silentTimeout)
			conn.heard = conn.socket.heard.Load() // what had come with the handshake
		}
		pool.mu.Unlock()
	}
	f.proxy.upstreams.mu.Unlock()
	c.headers(3, true, get("/")...)
	if a := c.answer(3); a.status() != 204 || upstream.conns.Load() != 2 {
		t.Errorf("status %d, %d connections", a.status(), upstream.conns.Load())
	}
}
