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

	// UpstreamProxy is on the way to the upstreams; nil: they are reached directly.
	UpstreamProxy *UpstreamProxy

	// UpstreamRoots verify upstream certificates; nil means the system's roots.
	// The Authority's own certificates are never accepted from an upstream, even
	// if they stand here.
	UpstreamRoots *x509.CertPool

	// MaxConns is how many client connections may be open at once; those beyond
	// it are answered 503. One client of another machine may have half of them.
	// 0 means 10,000.
	MaxConns int

	// Own are addresses on which this process listens for something else: like the
	// proxy's own they are never dialled.
	Own []net.Addr

	// Admit decides whether a client may use the proxy at all, by its connection.
	// Nil admits all. Its error is told to nobody: the client gets a 403.
	Admit func(net.Conn) error

	// Identify tells which program a client of this machine is, and what to do if it
	// does not trust the Authority: for the records of clients that do not. It is
	// called while a client waits for its connection, and not often. Nil, or an empty
	// process, means that it is not known.
	Identify func(net.Conn) (process, advice string)

	// Emit receives one Record after each exchange and each tunnel, from the
	// goroutine that served it. It must be safe for concurrent use and must not
	// block. Nil drops the records.
	Emit func(Record)

	policy    atomic.Pointer[Policy]
	recordID  atomic.Uint64
	setup     sync.Once
	upstreams upstreams
	exchanges sync.Pool // of *h1 that serve none
	h2        h2Server

	handshakes handshakes
	open       connections
	tunnels    census
	intercepts census
	strangers  strangers
	mints      mintLimit
	splices    atomic.Int32
	draining   atomic.Bool
	reserve    reserve
	questions  turnstile
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
	if !p.open.listen(l) {
		l.Close()
		return ErrClosed
	}
	defer p.open.unlisten(l)
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
	p.handshakes.init()
	p.h2.init(p)
}

func isTemporary(err error) bool {
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}

func (p *Proxy) serve(conn net.Conn) {
	c := newClientConn(p, conn)
	defer c.contain()
	switch err := p.open.add(c, p.maxConns()); {
	case errors.Is(err, ErrClosed):
		conn.Close()
	case err != nil:
		c.turnAway(fail(err))
	case !p.admits(conn):
		c.turnAway(&failUser)
	default:
		c.serve()
	}
}

// admits asks Admit. A panic is no answer, and no answer is no.
func (p *Proxy) admits(conn net.Conn) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return p.Admit == nil || p.Admit(conn) == nil
}

func (p *Proxy) maxConns() int {
	const usual = 10_000
	if p.MaxConns == 0 {
		return usual
	}
	return p.MaxConns
}

// Shutdown stops accepting, lets every exchange under way come to its end and
// closes idle connections at once. Clients are told: answers over HTTP/1.1 carry
// Connection: close, HTTP/2 connections get a GOAWAY. When ctx ends it closes
// whatever is left, tunnels and WebSockets included, and returns the context's error.
func (p *Proxy) Shutdown(ctx context.Context) error {
	p.setup.Do(p.init)
	p.draining.Store(true)
	p.open.closeListeners()
	go p.h2.shutdown(ctx)
	defer p.upstreams.close()

	const poll = 10 * time.Millisecond
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for p.open.each((*clientConn).closeIfIdle) > 0 {
		select {
		case <-ctx.Done():
			p.open.each((*clientConn).kill)
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
