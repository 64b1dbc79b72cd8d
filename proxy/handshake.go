package proxy

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"keybearer/rules"
)

const (
	protoHTTP1 = "http/1.1"
	protoHTTP2 = "h2"
)

// handshakes hold what TLS with clients is configured with. Connections to the same
// target that speak the same protocol share a configuration, and with it the keys
// of its session tickets: a ticket that was given out for one target and protocol
// is worth nothing for another, and no more once the leaf is replaced.
type handshakes struct {
	outer tls.Config // asks the connection for one of those below

	mu    sync.Mutex
	inner map[handshakeKind]leafConfig
}

type handshakeKind struct {
	target   rules.Target
	protocol string // to select; "" if the client has offered none
	local    bool   // the client is on this machine
}

type leafConfig struct {
	leaf   *tls.Certificate
	config *tls.Config
}

func (h *handshakes) init() {
	h.inner = make(map[handshakeKind]leafConfig)
	h.outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return hello.Conn.(*socket).Conn.(*clientConn).configFor(hello)
	}
}

// config returns the configuration for a kind of handshake with that leaf.
func (h *handshakes) config(kind handshakeKind, leaf *tls.Certificate) *tls.Config {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known := h.inner[kind]; known.leaf == leaf {
		return known.config
	}
	if len(h.inner) >= maxHandshakes {
		clear(h.inner) // to make one anew is cheap, and rare
	}
	config := newConfig(kind, leaf)
	h.inner[kind] = leafConfig{leaf, config}
	return config
}

func newConfig(kind handshakeKind, leaf *tls.Certificate) *tls.Config {
	config := &tls.Config{
		Certificates:                []tls.Certificate{*leaf},
		MinVersion:                  tls.VersionTLS12,
		DynamicRecordSizingDisabled: true,
	}
	if kind.protocol != "" {
		config.NextProtos = []string{kind.protocol}
	}
	if kind.local {
		// What passes between two programs of one machine is not worth a key
		// exchange that costs more than all the rest of the handshake.
		config.CurvePreferences = classicalCurves
	}
	var tickets [32]byte // or those of outer would do for all
	rand.Read(tickets[:])
	config.SetSessionTicketKeys([][32]byte{tickets})
	return config
}

// configFor answers a ClientHello: it checks that the client wants the host that
// it named in CONNECT, and mirrors the upstream's choice of protocol, so that no
// request is ever translated from one protocol to the other.
func (c *clientConn) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if !c.sameServer(hello.ServerName) {
		return nil, errServerName
	}
	kind := handshakeKind{target: c.target, local: c.local()}
	if offered := spoken(hello.SupportedProtos); len(hello.SupportedProtos) > 0 {
		// The client waits while the upstream is asked; its own time begins anew.
		c.Conn.SetDeadline(time.Time{})
		kind.protocol = c.mirror(hello.Context(), offered)
		c.Conn.SetDeadline(time.Now().Add(handshakeTimeout))
	}
	return c.p.handshakes.config(kind, c.leaf), nil
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
