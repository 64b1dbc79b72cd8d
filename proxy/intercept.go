package proxy

import (
	"crypto/tls"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// intercept terminates TLS with a leaf for the target and serves the exchanges
// inside. It reports whether the connection was handed over, to net/http or to a goroutine.
func (c *clientConn) intercept(r *Record) (handedOver bool) {
	if err := c.mint(); err != nil {
		return c.refuseConnect(r, fail(err))
	}
	c.stranger = c.p.meet(c)
	c.Conn.SetDeadline(time.Now().Add(handshakeTimeout))
	if _, err := c.Conn.Write(established); err != nil {
		r.Error, r.Reason = "http_request_error", "the client went away"
		c.p.emit(r)
		return false
	}
	c.wire.release() // TLS has buffers of its own
	conn := tls.Server(newSocket(c), &c.p.handshakes.outer)
	if err := conn.Handshake(); err != nil {
		r.Error, r.Reason = "tls_protocol_error", c.handshakeReason(err)
		c.p.emit(r)
		return false
	}
	c.Conn.SetDeadline(time.Time{})
	c.p.intercepts.join(c)
	c.stranger.accepted()
	state := conn.ConnectionState()
	c.version = state.Version
	if state.NegotiatedProtocol == protoHTTP2 {
		c.idle.Store(true) // until the preface, see noteState: net/http waits 10 s for it
		return c.p.h2.serve(conn)
	}
	go c.serveIntercepted(conn)
	return true
}

// serveIntercepted serves the exchanges of a connection that speaks HTTP/1.1. It
// has a goroutine of its own because the handshake leaves a big stack behind,
// which an idle connection would keep.
func (c *clientConn) serveIntercepted(conn *tls.Conn) {
	defer c.Close()
	defer c.contain()
	client := newWire(conn)
	for c.inner(client) {
	}
	client.closeWrite() // close_notify: what was sent is complete
}

// inner serves the next exchange inside an intercepted connection. It reports
// whether the connection may be used for another.
func (c *clientConn) inner(client *wire) (again bool) {
	head, err := c.awaitHead(client, innerHeadLimit)
	s := newHTTP1(c, client)
	defer s.release()
	if err == nil {
		c.trusts()
		err = s.req.Parse(head)
	}
	if err != nil {
		c.refuseHead(client, err)
		return false
	}
	return s.serve(c.target, c.name)
}

// mint gets the leaf for the target, before the client is told that the
// connection stands.
func (c *clientConn) mint() (err error) {
	host := c.target.Host()
	if !c.p.Authority.Has(host) && !c.p.mints.allow(c.client) {
		return failConnections.because("this client asks for certificates of new hosts too fast")
	}
	if c.leaf, err = c.p.Authority.Leaf(host); err != nil {
		return failAuthority.because("keybearer's authority signs no certificate for %s", host)
	}
	return nil
}

// mintLimit bounds how fast each client has leaves minted. A program that talks
// to many hosts never notices; one that makes up names cannot push the leaves of
// others out of the cache.
type mintLimit struct {
	mu      sync.Mutex
	clients map[string]*rate.Limiter
}

func (l *mintLimit) allow(client string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients == nil || len(l.clients) >= maxMintClients {
		l.clients = make(map[string]*rate.Limiter)
	}
	limiter := l.clients[client]
	if limiter == nil {
		limiter = rate.NewLimiter(mintRate, mintBurst)
		l.clients[client] = limiter
	}
	return limiter.Allow()
}
