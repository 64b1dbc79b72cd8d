package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"keybearer/rules"
)

// dial connects to a target: to the address that an override names for it, through
// the upstream proxy, or directly. Every address is checked on its way into the
// socket (I7): what DNS said a moment ago does not count.
func (u *upstreams) dial(ctx context.Context, t rules.Target, named bool) (net.Conn, error) {
	if v := u.proxyFor(t); v != nil {
		return u.dialThrough(ctx, v, t, named)
	}
	address, override := t.String(), u.override(t)
	if override.IsValid() {
		address = override.String()
	}
	conn, err := u.connect(ctx, address, func(addr netip.AddrPort) error {
		return u.mayReach(addr, named, override.IsValid())
	})
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", t, err)
	}
	return conn, nil
}

// connect opens a socket to host:port, if check lets its address pass.
func (u *upstreams) connect(ctx context.Context, address string, check func(netip.AddrPort) error) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(address)
		switch {
		case err != nil:
			return &failProhibited
		case u.p.own(addr):
			return &failLoop
		}
		return check(addr)
	}}
	return dialer.DialContext(ctx, "tcp", address)
}

// own reports whether dialling addr would reach this process.
func (p *Proxy) own(addr netip.AddrPort) bool {
	return p.open.own(addr) || slices.ContainsFunc(p.Own, func(own net.Addr) bool { return leadsTo(own, addr) })
}

// mayReach refuses an address of a target that must not be dialled. The operator
// may have chosen the very address.
func (u *upstreams) mayReach(addr netip.AddrPort, named, chosen bool) error {
	switch {
	case u.p.policy.Load().set.DeniesAddr(addr):
		return failDenied.because("the host has the address %s, which access_control denies", addr.Addr())
	case !chosen && !MayDial(addr.Addr(), named, u.p.AllowPrivate):
		return failProhibited.because("the host has the special-purpose address %s", addr.Addr())
	}
	return nil
}

// override returns the address to connect to for a target, the zero AddrPort if the
// operator has named none.
func (u *upstreams) override(t rules.Target) netip.AddrPort {
	i := slices.IndexFunc(u.p.Overrides, func(o Override) bool { return o.target == t })
	if i < 0 {
		return netip.AddrPort{}
	}
	return u.p.Overrides[i].addr
}

// dialTLS connects to the target of the key and verifies its certificate. It offers the
// protocols in that order; none when the list is empty.
func (u *upstreams) dialTLS(ctx context.Context, key upstreamKey, named bool, protocols []string) (*tls.Conn, error) {
	begin := time.Now()
	raw, err := u.dial(ctx, key.target, named)
	if err != nil {
		return nil, err
	}
	connected := time.Now()
	conn, err := u.secure(ctx, raw, key.target.Host(), protocols, key.identity)
	if err != nil {
		return nil, err
	}
	o := &conn.NetConn().(*socket).opening
	o.connect, o.handshake = connected.Sub(begin), time.Since(connected)
	return conn, nil
}

// opening is how long it took to open a connection to an upstream. The first
// exchange on it tells.
type opening struct {
	connect, handshake time.Duration
	told               atomic.Bool
}

func (o *opening) tell(r *Record) {
	if !o.told.Load() && !o.told.Swap(true) {
		r.Connect, r.Handshake = o.connect, o.handshake
	}
}

// secure makes a TLS connection of raw and verifies that it is with host, which is shown
// the identity if it asks. It closes raw if that fails.
func (u *upstreams) secure(ctx context.Context, raw net.Conn, host string, protocols []string, shown *identity) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	config := &tls.Config{
		ServerName:                  host,
		RootCAs:                     u.p.UpstreamRoots,
		NextProtos:                  protocols,
		MinVersion:                  tls.VersionTLS12,
		ClientSessionCache:          u.sessions,
		VerifyConnection:            u.refuseOwnAuthority,
		DynamicRecordSizingDisabled: true,
	}
	shown.show(config)
	conn := tls.Client(newSocket(raw), config)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("%w with %s: %w", errHandshake, host, err)
	}
	return conn, nil
}

// refuseOwnAuthority rejects a chain that ends in keybearer's own authority. It
// may stand among the system's roots, where a user put it for the clients; from
// an upstream it would mean that a proxy, perhaps this one, is in the way.
func (u *upstreams) refuseOwnAuthority(state tls.ConnectionState) error {
	if u.p.Authority == nil {
		return nil
	}
	own := u.p.Authority.Certificates()
	for _, chain := range state.VerifiedChains {
		if !slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return slices.ContainsFunc(own, c.Equal) }) {
			return nil // one chain to a root that is not ours is enough
		}
	}
	return failCertificate.because("the upstream's certificate was issued by keybearer's own authority")
}

// Override names the address to connect to for one target. Use [ParseOverride]
// to make one.
type Override struct {
	target rules.Target
	addr   netip.AddrPort
}

// ParseOverride reads HOST:PORT:ADDR[:PORT], as curl's --resolve does; ADDR is an
// IP address, an IPv6 address stands in brackets.
func ParseOverride(s string) (Override, error) {
	host, rest := cutHost(s)
	port, address, ok := strings.Cut(rest, ":")
	if !ok {
		return Override{}, errOverride(s)
	}
	t, err := rules.ParseTarget(host+":"+port, 0)
	if err != nil {
		return Override{}, fmt.Errorf("%w: %w", errOverride(s), err)
	}
	ip, rest := cutHost(address)
	if rest == "" {
		rest = port
	}
	addr, err := netip.ParseAddrPort(ip + ":" + rest)
	if err != nil {
		return Override{}, fmt.Errorf("%w: %w", errOverride(s), err)
	}
	return Override{target: t, addr: addr}, nil
}

// cutHost cuts s behind a host, which may be in brackets, and its colon.
func cutHost(s string) (host, rest string) {
	if strings.HasPrefix(s, "[") {
		if end := strings.IndexByte(s, ']'); end > 0 {
			return s[:end+1], strings.TrimPrefix(s[end+1:], ":")
		}
	}
	host, rest, _ = strings.Cut(s, ":")
	return host, rest
}

func errOverride(s string) error {
	return errors.New(`"` + printable(s) + `" is not HOST:PORT:ADDR[:PORT], as in api.example.com:443:127.0.0.1:8443`)
}
