package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// h2Pool holds the HTTP/2 connections of one client to one target. Each carries
// many streams; another is dialled when all are full.
type h2Pool struct {
	mu      sync.Mutex
	conns   []*h2Upstream
	used    time.Time
	dialing *dialing // nil if none is under way
}

// h2Upstream is an HTTP/2 connection to an upstream.
type h2Upstream struct {
	*http.ClientConn
	socket *socket
	heard  uint64    // what the socket had received when it was asked last
	asked  time.Time // the first request since then
}

// reserve reserves a stream, unless the upstream has left a request without any sign
// of life for so long that the connection may be dead: those who try again must not
// all wait for the ping that tells.
func (c *h2Upstream) reserve(now time.Time) bool {
	heard := c.socket.heard.Load()
	if heard == c.heard && now.Sub(c.asked) > silentTimeout || c.Reserve() != nil {
		return false
	}
	if heard != c.heard {
		c.heard, c.asked = heard, now
	}
	return true
}

// dialing is a dial that every stream in need of a connection waits for.
type dialing struct {
	done chan struct{}
	err  error // set before done is closed
}

// dialledKey is the context key under which the transport finds the connection
// that it is to make a client connection of.
type dialledKey struct{}

func (u *upstreams) initTransport() {
	u.transport = http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return ctx.Value(dialledKey{}).(*tls.Conn), nil
		},
		DisableCompression: true,
		IdleConnTimeout:    idleTimeout,
		Protocols:          new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: pingInterval,
			PingTimeout:     pingTimeout,
			// Not per connection: there a few clients that do not read would stop
			// the others.
			MaxReceiveBufferPerStream: streamWindow,
		},
	}
	u.transport.Protocols.SetHTTP2(true)
	u.transport.MaxResponseHeaderBytes = innerHeadLimit
}

func (u *upstreams) pool(key upstreamKey) *h2Pool {
	u.mu.Lock()
	defer u.mu.Unlock()
	pool := u.h2[key]
	if pool == nil {
		pool = new(h2Pool)
		u.h2[key] = pool
		u.sweepLater()
	}
	return pool
}

// addHTTP2 makes an HTTP/2 client connection of conn and adds it to the pool.
func (u *upstreams) addHTTP2(ctx context.Context, key upstreamKey, conn *tls.Conn) error {
	cc, err := u.transport.NewClientConn(context.WithValue(ctx, dialledKey{}, conn), "https", key.target.String())
	if err != nil {
		conn.Close()
		return fmt.Errorf("%w: %w", errHandshake, err)
	}
	pool := u.pool(key)
	pool.mu.Lock()
	defer pool.mu.Unlock()
	pool.conns = append(pool.conns, &h2Upstream{ClientConn: cc, socket: conn.NetConn().(*socket)})
	pool.used = time.Now()
	return nil
}

// http2 returns a connection on which one stream is reserved: the caller calls
// RoundTrip once, or Release. If none has one free it waits for a new connection,
// together with all others who do, for as long as ctx lives.
func (u *upstreams) http2(ctx context.Context, key upstreamKey, named bool) (*h2Upstream, error) {
	pool := u.pool(key)
	for {
		cc, dial, first := pool.reserve()
		if cc != nil {
			return cc, nil
		}
		if first {
			go func() {
				dial.err = u.dialHTTP2(key, named)
				pool.dialed(dial)
			}()
		}
		select {
		case <-dial.done:
			if dial.err != nil {
				return nil, dial.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (u *upstreams) dialHTTP2(key upstreamKey, named bool) error {
	ctx := context.Background() // the dial is not one stream's
	conn, err := u.dialTLS(ctx, key, named, []string{protoHTTP2})
	if err != nil {
		u.forget(key.target)
		return err
	}
	if conn.ConnectionState().NegotiatedProtocol != protoHTTP2 {
		conn.Close()
		u.forget(key.target)
		return &failNotHTTP2
	}
	return u.addHTTP2(ctx, key, conn)
}

// reserve returns a connection with a stream reserved on it. If none has one free
// it returns the dial to wait for, and whether the caller is the one to make it.
func (p *h2Pool) reserve() (cc *h2Upstream, dial *dialing, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = time.Now()
	p.conns = slices.DeleteFunc(p.conns, func(cc *h2Upstream) bool { return cc.Err() != nil })
	for _, cc := range p.conns {
		if cc.reserve(p.used) {
			return cc, nil, false
		}
	}
	if p.dialing == nil {
		p.dialing, first = &dialing{done: make(chan struct{})}, true
	}
	return nil, p.dialing, first
}

func (p *h2Pool) dialed(d *dialing) {
	p.mu.Lock()
	p.dialing = nil
	p.mu.Unlock()
	close(d.done)
}

// sweep closes the connections of a pool that has not been used for long, and
// reports whether none is left.
func (p *h2Pool) sweep(all bool) (empty bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	unused := time.Since(p.used) > idleTimeout
	p.conns = slices.DeleteFunc(p.conns, func(cc *h2Upstream) bool {
		idle := cc.InFlight() == 0 && (all || unused)
		if idle {
			go cc.Close() // it may wait for a peer that does not read
		}
		return idle || cc.Err() != nil
	})
	return len(p.conns) == 0 && unused
}
