package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"keybearer/proxy/http1"
	"keybearer/rules"
	"keybearer/secrets"
)

// UpstreamProxy is a forward proxy between this one and the upstreams, as
// corporate networks have them. It is asked for tunnels with CONNECT, in which TLS
// with the upstream is verified as ever: it is not trusted with more than the
// name of the target. Plain http:// requests it gets in absolute form, because
// many such proxies open tunnels to port 443 alone; plain WebSockets through a
// tunnel, because few upgrade.
//
// It resolves the names of targets, so the addresses that they have cannot be
// checked; a target that is written as an address is, as ever. An [Override] leads
// around it, and so does loopback.
type UpstreamProxy struct {
	// Address is where it listens. The operator has named it, so it may be a
	// private address.
	Address rules.Target

	// TLS is whether it is spoken to over TLS, verified like an upstream.
	TLS bool

	// Direct reports whether a target is reached without it. Nil: none is.
	Direct func(rules.Target) bool

	// Credentials are what it wants in Proxy-Authorization; nil: nothing. Lookup
	// finds their secrets, anew for every connection.
	Credentials *rules.Injection
	Lookup      func(name string) (secrets.Value, error)
}

// Check returns an error that joins a [*SecretError] for each secret of the
// credentials that does not resolve.
func (v *UpstreamProxy) Check() error {
	_, err := v.authorization()
	return err
}

// Serves reports whether a target is reached through the proxy, which may be nil.
// What is on this machine is not another machine's to reach (RFC 6761 section 6.3).
func (v *UpstreamProxy) Serves(t rules.Target) bool {
	local := t.Addr().IsLoopback() || t.Host() == "localhost" || strings.HasSuffix(t.Host(), ".localhost")
	return v != nil && !local && (v.Direct == nil || !v.Direct(t))
}

// proxyFor returns the proxy on the way to a target, nil if there is none.
func (u *upstreams) proxyFor(t rules.Target) *UpstreamProxy {
	if !u.p.UpstreamProxy.Serves(t) || u.override(t).IsValid() {
		return nil
	}
	return u.p.UpstreamProxy
}

// dialThrough opens a tunnel to a target. The connection reads first what the proxy
// sent behind its answer.
func (u *upstreams) dialThrough(ctx context.Context, v *UpstreamProxy, t rules.Target, named bool) (net.Conn, error) {
	conn, next, err := u.dialProxy(ctx, v, t, named)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, headTimeout)
	defer cancel()
	conn.SetDeadline(time.Now().Add(headTimeout))
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(longAgo) })
	rest, err := v.ask(conn, t, next.fields)
	if !stop() && err == nil {
		err = v.blame(ctx.Err())
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	if len(rest) > 0 {
		return &resumed{Conn: conn, rest: rest}, nil
	}
	return conn, nil
}

// dialPlain returns a connection for plain http:// requests to a target.
func (u *upstreams) dialPlain(ctx context.Context, key upstreamKey, named bool) (*upstream, error) {
	var conn net.Conn
	var err error
	up := &upstream{key: key, opened: new(opening)}
	begin := time.Now()
	if v := u.proxyFor(key.target); v == nil || key.upgrade {
		conn, err = u.dial(ctx, key.target, named)
	} else {
		conn, up.via, err = u.dialProxy(ctx, v, key.target, named)
	}
	if err != nil {
		return nil, err
	}
	up.opened.connect = time.Since(begin)
	up.wire, up.raw = newWire(conn), bottom(conn)
	return up, nil
}

// dialProxy connects to the proxy on behalf of a target, and returns what the proxy
// wants.
func (u *upstreams) dialProxy(ctx context.Context, v *UpstreamProxy, t rules.Target, named bool) (net.Conn, *nextProxy, error) {
	if err := u.mayAsk(t, named); err != nil {
		return nil, nil, err
	}
	next, err := v.authorization()
	if err != nil {
		return nil, nil, failSecret.because("the credentials of upstream_proxy are not available")
	}
	conn, err := u.connect(ctx, v.Address.String(), func(addr netip.AddrPort) error {
		if !MayDial(addr.Addr(), true, u.p.AllowPrivate) {
			return &failProhibited
		}
		return nil
	})
	if err == nil && v.TLS {
		conn, err = u.secure(ctx, conn, v.Address.Host(), []string{protoHTTP1}, nil)
	}
	if err != nil {
		return nil, nil, v.blame(err)
	}
	return conn, next, nil
}

// mayAsk checks what can be known of a target whose name the proxy resolves (I7):
// a target written as an address, and the names under which clouds hand out
// credentials.
func (u *upstreams) mayAsk(t rules.Target, named bool) error {
	if ip := t.Addr(); ip.IsValid() {
		addr := netip.AddrPortFrom(ip, t.Port())
		if u.p.own(addr) {
			return &failLoop
		}
		return u.mayReach(addr, named, false)
	}
	switch t.Host() {
	case "metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal":
		return failProhibited.because("%s is a cloud's metadata service", t.Host())
	}
	return nil
}

// ask asks for a tunnel and returns what came behind the answer.
func (v *UpstreamProxy) ask(conn net.Conn, t rules.Target, fields http1.Header) (rest []byte, err error) {
	req := http1.Request{Method: "CONNECT", Target: t.String(), Minor: 1, Header: append(http1.Header{{Name: "Host", Value: t.String()}}, fields...)}
	if _, err := conn.Write(req.Append(nil)); err != nil {
		return nil, v.blame(err)
	}
	w := wire{conn: conn}
	defer func() {
		w.consume(len(w.received()))
		w.release()
	}()
	var resp http1.Response
	for resp.Status < 200 && resp.Status != 101 { // RFC 9110 section 15.2: any number of 1xx may come first
		head, err := w.readHead(http1.ResponseLength, outerHeadLimit, 0)
		if err == nil {
			err = resp.Parse(head)
		}
		if err != nil {
			return nil, v.blame(err)
		}
	}
	if resp.Status/100 != 2 {
		return nil, v.refusal(resp.Status)
	}
	return append(rest, w.received()...), nil
}

// refusal is what an answer other than 2xx means.
func (v *UpstreamProxy) refusal(status int) *failure {
	if status == 407 {
		return failProxyCredentials.because("the upstream proxy %s wants other credentials", v.Address)
	}
	return failProxyRefused.because("the upstream proxy %s answered CONNECT with %d", v.Address, status)
}

// blame says of an error that it is the proxy's and not the upstream's.
func (v *UpstreamProxy) blame(err error) *failure {
	var malformed http1.Error
	f, known := failProxy, fail(err)
	switch {
	case errors.As(err, &malformed), errors.Is(err, errHeadTooLarge):
		f.kind, f.reason = failProtocol.kind, "sent a malformed answer to CONNECT"
	case errors.Is(err, io.EOF):
		f.kind, f.reason = failIncomplete.kind, "closed the connection instead of answering"
	case blamed[known.kind] != "":
		f.kind, f.reason = known.kind, blamed[known.kind]
	}
	if f.kind == failCertificate.kind {
		f.next = failCertificate.next
	}
	return f.because("the upstream proxy %s %s", v.Address, f.reason)
}

// blamed are the ways in which a proxy cannot be reached, by the type of failure.
var blamed = map[string]string{
	failDNS.kind:         "has a name that does not resolve",
	failRefused.kind:     "refused the connection",
	failUnroutable.kind:  "cannot be reached: there is no route to it",
	failTimeout.kind:     "did not answer in time",
	failCertificate.kind: "has a certificate that is not valid for it",
	failTLS.kind:         "did not complete the TLS handshake",
	failLoop.kind:        "is this proxy itself",
	failProhibited.kind:  "has the address of a cloud's metadata service",
}
