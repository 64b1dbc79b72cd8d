package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"keybearer/proxy/http1"
	"keybearer/rules"
)

// clientConn is one connection from a client. As a net.Conn it reads what the
// wire has received first, so that TLS can start in the middle of the stream.
type clientConn struct {
	net.Conn
	p      *Proxy
	wire   *wire
	remote string // the client's address, for records
	client string // the address, whom upstream connections are pooled for

	account string      // by which the proxy is used, "" if clients are not told apart
	sent    credentials // those of the account

	target  rules.Target // of an intercepted connection
	name    string       // the target's, for records
	named   bool         // the operator named the target
	leaf    *tls.Certificate
	version uint16 // of TLS, once its handshake has ended
	dialErr atomic.Pointer[failure]

	census   *census   // that counts it; nil: none
	stranger *stranger // nil if it is not known who the client is

	idle   atomic.Bool // between two requests: may be closed without harm
	closed sync.Once
}

func newClientConn(p *Proxy, conn net.Conn) *clientConn {
	c := &clientConn{Conn: conn, p: p, wire: newWire(conn), remote: conn.RemoteAddr().String()}
	c.client = c.remote
	if addr, err := netip.ParseAddrPort(c.remote); err == nil {
		c.client = addr.Addr().Unmap().String()
	}
	return c
}

// Read implements net.Conn.
func (c *clientConn) Read(b []byte) (int, error) {
	if received := c.wire.received(); len(received) > 0 {
		n := copy(b, received)
		c.wire.consume(n)
		c.wire.release()
		return n, nil
	}
	return c.Conn.Read(b)
}

// Close implements net.Conn. It may be called more than once.
func (c *clientConn) Close() error {
	err := net.ErrClosed
	c.closed.Do(func() {
		err = c.Conn.Close()
		c.leave()
		c.census.leave()
		c.p.open.remove(c)
	})
	return err
}

func (c *clientConn) closeIfIdle() {
	if c.idle.Load() {
		c.Conn.Close() // its goroutine sees the error and does the rest
	}
}

// kill breaks the connection: it ends with a reset, which no client takes for the
// end of a response, and not with the end of a stream.
func (c *clientConn) kill() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Conn.Close()
}

// serve serves the client until the connection ends, or until another goroutine
// has taken it over.
func (c *clientConn) serve() {
	handedOver := false
	defer func() {
		if !handedOver {
			c.Close()
		}
	}()
	defer c.contain()
	for again := true; again; {
		again, handedOver = c.request()
	}
}

// request serves the next request to the proxy itself. It reports whether the
// connection may be used for another, and whether it was handed over.
func (c *clientConn) request() (again, handedOver bool) {
	head, err := c.awaitHead(c.wire, outerHeadLimit)
	s := newHTTP1(c, c.wire)
	defer s.release()
	if err == nil {
		err = s.req.Parse(head)
	}
	if err != nil {
		c.refuseHead(c.wire, err)
		return false, false
	}
	policy, f := c.authorize(s.req.Header)
	if f != nil {
		return s.refuseEarly(f), false
	}
	if s.req.Method == "CONNECT" {
		return false, c.connect(&s.req, policy)
	}
	return s.forward(), false
}

// awaitHead waits for the next request for as long as a client may be idle, and
// reads its head.
func (c *clientConn) awaitHead(w *wire, limit int) (string, error) {
	c.idle.Store(true)
	if c.p.draining.Load() {
		return "", errIdleEnd
	}
	// For writing too: TLS may answer the client while it reads.
	w.conn.SetDeadline(time.Now().Add(idleTimeout))
	if err := w.await(); err != nil {
		return "", errIdleEnd
	}
	c.idle.Store(false)
	return w.readHead(http1.RequestLength, limit, headTimeout)
}

// errIdleEnd is the end of a connection between two requests: nobody is owed an
// answer.
var errIdleEnd = errors.New("connection ended between requests")

// refuseHead answers a head that could not be read or parsed.
func (c *clientConn) refuseHead(w *wire, err error) {
	if errors.Is(err, errIdleEnd) {
		return
	}
	f := headFailure(err)
	var r Record
	c.begin(&r)
	defer c.p.emit(&r)
	if c.target != (rules.Target{}) {
		r.Target, r.Verdict = c.name, rules.Intercept
	}
	f.note(&r)
	c.refuse(w, f, "")
}

// headFailure is why a head could not be read or parsed.
func headFailure(err error) *failure {
	var malformed http1.Error
	switch {
	case errors.Is(err, http1.ErrTooManyFields):
		return failHeadSize.because("the request head has more than %d fields", http1.MaxFields)
	case errors.As(err, &malformed):
		return failMalformed.because("%s", malformed.Error())
	case errors.Is(err, errHeadTooLarge):
		return &failHeadSize
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &failHeadTime
	}
	return failMalformed.because("the connection ended inside a request head")
}

// refuse writes a response of the proxy's own and ends the client's stream.
func (c *clientConn) refuse(w *wire, f *failure, method string) {
	w.conn.SetWriteDeadline(time.Now().Add(lingerTimeout))
	if _, err := w.conn.Write(f.response(method)); err == nil {
		c.linger(w)
	}
}

// linger tells the client that nothing more will come, and for a moment takes off
// its socket what it is still sending: closing on unread bytes resets the
// connection, and the client would never see the answer.
func (c *clientConn) linger(w *wire) {
	if w.closeWrite() != nil {
		return
	}
	c.Conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	io.Copy(io.Discard, c.Conn)
}

// turnAway answers a connection that is one too many. It waits for nobody: to
// linger would be to keep the connection.
func (c *clientConn) turnAway(f *failure) {
	defer c.Close()
	var r Record
	c.begin(&r)
	defer c.p.emit(&r)
	f.note(&r)
	c.Conn.SetDeadline(time.Now().Add(turnAwayTimeout))
	c.Conn.Write(f.response(""))
	c.wire.closeWrite()
	c.Conn.Read(make([]byte, outerHeadLimit)) // unread bytes would reset the answer away
}

// contain is deferred by every goroutine that serves the connection: an error of
// ours ends this connection and no other.
func (c *clientConn) contain() {
	if recover() == nil {
		return
	}
	c.kill()
	defer func() { recover() }() // it may be Emit that does not work
	var r Record
	c.begin(&r)
	failInternal.note(&r)
	c.p.emit(&r)
}

// connect serves a CONNECT request. It reports whether the connection was handed
// over to another goroutine, which will close it.
func (c *clientConn) connect(req *http1.Request, policy view) (handedOver bool) {
	var r Record
	c.begin(&r)
	r.Method = "CONNECT"
	target, err := rules.ParseTarget(req.Target, 0)
	f, framingErr := req.Framing()
	switch {
	case err != nil:
		return c.refuseConnect(&r, failTarget.because("the target is not valid: %s", printable(err.Error())))
	case framingErr != nil || f.Kind == http1.Chunked || f.Length > 0: // WinINet sends Content-Length: 0
		return c.refuseConnect(&r, failMalformed.because("a CONNECT request has no body"))
	}
	d := policy.set.Decide(target)
	c.target, c.name, c.named = target, target.String(), d.Named
	r.Target, r.Verdict, r.Reason = c.name, d.Verdict, d.Reason
	switch d.Verdict {
	case rules.Tunnel:
		return c.tunnel(&r)
	case rules.Intercept:
		return c.intercept(&r)
	default:
		return c.refuseConnect(&r, fail(denied(target, d)))
	}
}

func (c *clientConn) refuseConnect(r *Record, f *failure) (handedOver bool) {
	f.note(r)
	c.p.emit(r)
	c.refuse(c.wire, f, r.Method)
	return false
}

var established = []byte("HTTP/1.1 200 Connection established\r\n\r\n")

// printable keeps what a client sent from reaching logs and terminals as more
// than text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), printableSize)])
}

const printableSize = 500 // bytes of what a client sent that printable keeps
