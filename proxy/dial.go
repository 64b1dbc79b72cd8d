package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"keybearer/rules"
)

// dial connects to a target, or to the address that an override names for it.
// Every address is checked on its way into the socket (I7): what DNS said a
// moment ago does not count.
func (u *upstreams) dial(ctx context.Context, t rules.Target, named bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	address, overridden := t.String(), false
	if o, ok := u.override(t); ok {
		address, overridden = o.String(), true
	}
	dialer := net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(address)
		if err != nil {
			return &failProhibited
		}
		if u.p.open.own(addr) {
			return &failLoop
		}
		if u.p.policy.Load().set.DeniesAddr(addr) {
			return failDenied.because("the host has the address %s, which access_control denies", addr.Addr())
		}
		if !overridden && !MayDial(addr.Addr(), named, u.p.AllowPrivate) {
			return failProhibited.because("the host has the special-purpose address %s", addr.Addr())
		}
		return nil
	}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", t, err)
	}
	return conn, nil
}

func (u *upstreams) override(t rules.Target) (netip.AddrPort, bool) {
	i := slices.IndexFunc(u.p.Overrides, func(o Override) bool { return o.target == t })
	if i < 0 {
		return netip.AddrPort{}, false
	}
	return u.p.Overrides[i].addr, true
}

// dialTLS connects to a target and verifies its certificate. It offers the
// protocols in that order; none when the list is empty.
func (u *upstreams) dialTLS(ctx context.Context, t rules.Target, named bool, protocols []string) (*tls.Conn, error) {
	raw, err := u.dial(ctx, t, named)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Client(&socket{Conn: raw}, &tls.Config{
		ServerName:                  t.Host(),
		RootCAs:                     u.p.UpstreamRoots,
		NextProtos:                  protocols,
		MinVersion:                  tls.VersionTLS12,
		ClientSessionCache:          u.sessions,
		VerifyConnection:            u.refuseOwnAuthority,
		DynamicRecordSizingDisabled: true,
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("%w with %s: %w", errHandshake, t, err)
	}
	return conn, nil
}

// socket is what lies below the TLS connection to an upstream. It tells an end of
// the connection from an end of TLS, which crypto/tls reports alike: without a
// close_notify anybody on the way may have cut the stream.
type socket struct {
	net.Conn
	ended bool // the connection ended, whatever TLS had said by then
}

// Read implements net.Conn.
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.ended = s.ended || err == io.EOF
	return n, err
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
