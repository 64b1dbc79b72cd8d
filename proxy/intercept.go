package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"keybearer/rules"
)

// intercept terminates TLS with a leaf for the target and serves the exchanges
// inside. It reports whether the connection was handed over, to net/http or to a goroutine.
func (c *clientConn) intercept(r *Record) (handedOver bool) {
	if err := c.mint(); err != nil {
		return c.refuseConnect(r, fail(err))
	}
	c.Conn.SetDeadline(time.Now().Add(handshakeTimeout))
	if _, err := c.Conn.Write(established); err != nil {
		r.Error, r.Reason = "http_request_error", "the client went away"
		c.p.emit(r)
		return false
	}
	c.wire.release() // TLS has buffers of its own
	conn := tls.Server(c, &tls.Config{GetConfigForClient: c.configFor})
	if err := conn.Handshake(); err != nil {
		r.Error, r.Reason = "tls_protocol_error", handshakeReason(err)
		c.p.emit(r)
		return false
	}
	c.Conn.SetDeadline(time.Time{})
	if conn.ConnectionState().NegotiatedProtocol == protoHTTP2 {
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
	newHTTP1(c, newWire(conn), false).serve()
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

const (
	protoHTTP1 = "http/1.1"
	protoHTTP2 = "h2"
)

// configFor answers a ClientHello: it checks that the client wants the host that
// it named in CONNECT, and mirrors the upstream's choice of protocol, so that no
// request is ever translated from one protocol to the other.
func (c *clientConn) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if !c.sameServer(hello.ServerName) {
		return nil, errServerName
	}
	config := &tls.Config{
		Certificates:                []tls.Certificate{*c.leaf},
		MinVersion:                  tls.VersionTLS12,
		DynamicRecordSizingDisabled: true,
	}
	if c.local() {
		// What passes between two programs of one machine is not worth a key
		// exchange that costs more than all the rest of the handshake.
		config.CurvePreferences = classicalCurves
	}
	if offered := spoken(hello.SupportedProtos); len(hello.SupportedProtos) > 0 {
		// The client waits while the upstream is asked; its own time begins anew.
		c.Conn.SetDeadline(time.Time{})
		config.NextProtos = []string{c.mirror(hello.Context(), offered)}
		c.Conn.SetDeadline(time.Now().Add(handshakeTimeout))
	}
	return config, nil
}

// classicalCurves leave out the post-quantum hybrids, which Go prefers.
var classicalCurves = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}

// local reports whether the client is on this machine.
func (c *clientConn) local() bool {
	ip, err := netip.ParseAddr(c.client)
	return err == nil && ip.IsLoopback()
}

var errServerName = errors.New("the server name in the TLS handshake is not the host of the CONNECT request")

// sameServer reports whether the server name is absent or agrees with the target
// (I2). An IP address is never sent as a server name (RFC 6066 section 3).
func (c *clientConn) sameServer(name string) bool {
	if name == "" {
		return true
	}
	t, err := rules.ParseTarget(name, c.target.Port())
	return err == nil && t == c.target
}

// spoken returns the protocols of the client's list that keybearer can relay, in
// the client's order.
func spoken(offered []string) []string {
	return slices.DeleteFunc(slices.Clone(offered), func(p string) bool {
		return p != protoHTTP1 && p != protoHTTP2
	})
}

// mirror returns the protocol to select: the one that the upstream selects when
// it is offered the client's list. If the upstream cannot be reached, the
// handshake goes on all the same, and the first request gets the reason.
func (c *clientConn) mirror(ctx context.Context, offered []string) string {
	if !slices.Contains(offered, protoHTTP2) {
		return protoHTTP1
	}
	proto, err := c.p.upstreams.negotiate(ctx, c, offered)
	if err != nil {
		c.dialErr.Store(fail(err))
		return offered[0]
	}
	return proto
}

// handshakeReason says in words why the client's side of a TLS handshake failed.
func handshakeReason(err error) string {
	var alert tls.AlertError
	switch {
	case errors.Is(err, errServerName):
		return errServerName.Error()
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error"):
		return "the client refused the TLS handshake (" + printable(err.Error()) + "); " +
			"if it does not trust keybearer's CA, give it the file that keybearer ca path names: keybearer env lists the variables"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "the client did not finish the TLS handshake in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the client closed the connection during the TLS handshake; " +
			"if it does not trust keybearer's CA, see keybearer env"
	}
	return "the TLS handshake with the client failed: " + printable(err.Error())
}
