// Package proxy is keybearer's forward proxy: it lets clients use credentials
// that they can never learn.
//
// # Use
//
// Fill the fields of a [Proxy], give it a [Policy] and a listener:
//
//	p := &proxy.Proxy{Authority: authority, Emit: log}
//	p.SetPolicy(policy)
//	err := p.Serve(listener)
//
// # The life of a connection
//
//	accept ─ read head ─ parse target ─ decide ─┬─ deny       403
//	                                            ├─ tunnel     dial, 200, relay
//	                                            └─ intercept  200, TLS, exchanges
//
// A tunnel is relayed byte for byte. On an intercepted connection every request
// is an exchange of its own: admitted (it must name the target that CONNECT
// named), matched against the rules of the policy in force, given its headers
// or refused, sent, and its response streamed back. HTTP/1.1 is this package's
// own engine, HTTP/2 is net/http's; both ask the same functions in exchange.go.
//
// What was done is told in one [Record] per exchange or tunnel, and nowhere
// else: the package does not log, count or read configuration.
//
// # Non-goals
//
// It does not cache, does not translate between HTTP/1.1 and HTTP/2 (the upstream's
// choice is mirrored to the client), and has no switch to skip the verification
// of an upstream's certificate.
package proxy

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"keybearer/certs"
)

// Proxy is a forward proxy. The fields are set before Serve and not changed
// after. All methods are safe for concurrent use.
type Proxy struct {
	// Authority mints the leaf certificates of intercepted connections.
	Authority *certs.Authority

	// Overrides name addresses to connect to instead of asking DNS. The
	// certificate is still verified for the name.
	Overrides []Override

	// AllowPrivate lists special-purpose addresses that may be dialled for any
	// host. A cloud metadata address is dialled only if it stands here as a
	// single address.
	AllowPrivate []netip.Prefix

	// UpstreamRoots verify upstream certificates; nil means the system's roots.
	// The Authority's own certificates are never accepted from an upstream, even
	// if they stand here.
	UpstreamRoots *x509.CertPool

	// Emit receives one Record after each exchange and each tunnel, from the
	// goroutine that served it. It must be safe for concurrent use and must not
	// block. Nil drops the records.
	Emit func(Record)

	policy    atomic.Pointer[Policy]
	recordID  atomic.Uint64
	setup     sync.Once
	upstreams upstreams
	h2        h2Server

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*clientConn]struct{}
	draining  atomic.Bool
}

// ErrClosed is what Serve returns after Shutdown.
var ErrClosed = errors.New("proxy closed")

// SetPolicy puts a policy in force for every request read from now on, in open
// connections as well.
func (p *Proxy) SetPolicy(policy *Policy) { p.policy.Store(policy) }

// Serve accepts clients from l until Shutdown and serves each in a goroutine of
// its own. A policy must have been set. It returns [ErrClosed], or the error of
// the listener.
func (p *Proxy) Serve(l net.Listener) error {
	p.setup.Do(p.init)
	if !p.track(l) {
		l.Close()
		return ErrClosed
	}
	defer p.untrack(l)
	var backoff time.Duration
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			backoff = 0
			go p.serve(conn)
		case p.draining.Load():
			return ErrClosed
		case isTemporary(err):
			// Out of descriptors, or the client is gone already: the next one
			// may fare better.
			backoff = min(max(2*backoff, 5*time.Millisecond), time.Second)
			time.Sleep(backoff)
		default:
			return err
		}
	}
}

func (p *Proxy) init() {
	p.upstreams.init(p)
	p.h2.init(p)
}

func isTemporary(err error) bool {
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}

func (p *Proxy) serve(conn net.Conn) {
	c := newClientConn(p, conn)
	if !p.trackConn(c) {
		conn.Close()
		return
	}
	c.serve()
}

// Shutdown stops accepting, lets every exchange under way come to its end and
// closes idle connections at once; when ctx ends it closes whatever is left,
// tunnels included, and returns the context's error.
func (p *Proxy) Shutdown(ctx context.Context) error {
	p.setup.Do(p.init)
	p.draining.Store(true)
	p.closeListeners()
	go p.h2.shutdown(ctx)
	defer p.upstreams.close()

	const poll = 10 * time.Millisecond
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for p.closeConns((*clientConn).closeIfIdle) > 0 {
		select {
		case <-ctx.Done():
			p.closeConns((*clientConn).kill)
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func (p *Proxy) closeListeners() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.listeners {
		l.Close()
	}
}

// closeConns calls end for every open connection and returns how many there are.
func (p *Proxy) closeConns(end func(*clientConn)) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		end(c)
	}
	return len(p.conns)
}

func (p *Proxy) track(l net.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining.Load() {
		return false
	}
	if p.listeners == nil {
		p.listeners = make(map[net.Listener]struct{})
	}
	p.listeners[l] = struct{}{}
	return true
}

func (p *Proxy) untrack(l net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.listeners, l)
}

func (p *Proxy) trackConn(c *clientConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining.Load() {
		return false
	}
	if p.conns == nil {
		p.conns = make(map[*clientConn]struct{})
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) untrackConn(c *clientConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// ownListener reports whether dialling addr would reach this proxy itself.
func (p *Proxy) ownListener(addr netip.AddrPort) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.listeners {
		tcp, ok := l.Addr().(*net.TCPAddr)
		if !ok || tcp.Port != int(addr.Port()) {
			continue
		}
		own, ip := tcp.AddrPort().Addr().Unmap(), addr.Addr().Unmap()
		if own == ip || ip.IsUnspecified() || own.IsUnspecified() && isLocal(ip) {
			return true
		}
	}
	return false
}

func isLocal(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true // when in doubt it is ours: a loop is worse than a refusal
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip.AsSlice()) {
			return true
		}
	}
	return false
}
