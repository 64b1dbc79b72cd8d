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
	dialing sync.Mutex // one dial at a time: those who wait share its connection
	mu      sync.Mutex
	conns   []*http.ClientConn
	used    time.Time
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
			SendPingTimeout: 30 * time.Second,
			PingTimeout:     15 * time.Second,
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
	pool.conns = append(pool.conns, cc)
	pool.used = time.Now()
	return nil
}

// http2 returns a connection on which one stream is reserved: the caller calls
// RoundTrip once, or Release.
func (u *upstreams) http2(ctx context.Context, key upstreamKey, named bool) (*http.ClientConn, error) {
	pool := u.pool(key)
	if cc := pool.reserve(); cc != nil {
		return cc, nil
	}
	pool.dialing.Lock()
	defer pool.dialing.Unlock()
	for {
		if cc := pool.reserve(); cc != nil {
			return cc, nil
		}
		conn, err := u.dialTLS(ctx, key.target, named, []string{protoHTTP2})
		if err != nil {
			return nil, err
		}
		if conn.ConnectionState().NegotiatedProtocol != protoHTTP2 {
			conn.Close()
			u.forget(key.target)
			return nil, fmt.Errorf("%w: %w", errHandshake, errNotHTTP2)
		}
		if err := u.addHTTP2(ctx, key, conn); err != nil {
			return nil, err
		}
	}
}

// reserve returns a connection with a stream reserved on it, nil if none has one
// free.
func (p *h2Pool) reserve() *http.ClientConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = time.Now()
	p.conns = slices.DeleteFunc(p.conns, func(cc *http.ClientConn) bool { return cc.Err() != nil })
	for _, cc := range p.conns {
		if cc.Reserve() == nil {
			return cc
		}
	}
	return nil
}

// sweep closes the connections of a pool that has not been used for long, and
// reports whether none is left.
func (p *h2Pool) sweep(all bool) (empty bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	unused := time.Since(p.used) > idleTimeout
	p.conns = slices.DeleteFunc(p.conns, func(cc *http.ClientConn) bool {
		idle := cc.InFlight() == 0 && (all || unused)
		if idle {
			cc.Close()
		}
		return idle || cc.Err() != nil
	})
	return len(p.conns) == 0 && unused
}
