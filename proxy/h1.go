package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"keybearer/proxy/http1"
	"keybearer/rules"
)

// h1 serves HTTP/1.1 exchanges, one after the other: those inside an intercepted
// connection, or the plain http:// requests of a client connection. It is one
// goroutine's, apart from the body of a long upload and the watch for a client
// that hangs up (see h1_upload.go).
type h1 struct {
	p      *Proxy
	c      *clientConn
	client *wire
	plain  bool // plain http://, each request with a target of its own

	req      http1.Request
	resp     http1.Response
	body     http1.Decoder // of the response
	masker   *masker       // of the response's body, nil if it is not searched
	clean    []byte        // what the masker let pass, before it is pending
	out      []byte        // to the client, not yet written
	upload   upload
	upgrade  bool // the client asks for a WebSocket
	closing  bool // the client's connection ends after this exchange
	answered bool // the final response head, or part of it, may have been written
}

func newHTTP1(c *clientConn, client *wire, plain bool) *h1 {
	s := &h1{p: c.p, c: c, client: client, plain: plain}
	s.upload.init(s)
	return s
}

// serve serves the exchanges of an intercepted connection.
func (s *h1) serve() {
	for {
		head, err := s.c.awaitHead(s.client, innerHeadLimit)
		if err == nil {
			err = s.req.Parse(head)
		}
		if err != nil {
			s.c.refuseHead(s.client, err)
			break
		}
		x := exchange{Record: s.p.begin(s.c.remote), target: s.c.target}
		if !s.exchange(&x) {
			break
		}
	}
	s.client.closeWrite() // close_notify: what was sent is complete
}

// forward serves one plain http:// request, whose head has been parsed. It
// reports whether the client's connection may be used again.
func (s *h1) forward() bool {
	x := exchange{Record: s.p.begin(s.c.remote), plaintext: true}
	authority, path, ok := cutAbsolute(s.req.Target)
	target, err := rules.ParseTarget(authority, 80)
	switch {
	case !ok:
		return s.refuseEarly(&x, &failNotProxy)
	case err != nil:
		return s.refuseEarly(&x, failTarget.because("the target is not valid: %s", printable(err.Error())))
	}
	s.req.Target = path
	x.target = target
	return s.exchange(&x)
}

func (s *h1) refuseEarly(x *exchange, f *failure) (again bool) {
	x.Method = printable(s.req.Method)
	f.note(&x.Record)
	s.p.emit(&x.Record)
	s.c.refuse(s.client, f, s.req.Method)
	return false
}

// exchange forwards the parsed request and its response, or refuses. It reports
// whether the client's connection may be used for another request.
func (s *h1) exchange(x *exchange) (again bool) {
	defer func() {
		if recover() != nil {
			s.fail(x, &failInternal)
		}
		s.p.emit(&x.Record)
	}()
	x.Protocol, x.Target, x.Method = protoHTTP1, x.target.String(), printable(s.req.Method)
	s.answered = false
	framing, err := s.admit(x)
	if err != nil {
		s.fail(x, err)
		return false
	}
	defer s.upload.stop()
	up, err := s.send(x, framing)
	if err != nil {
		s.fail(x, err)
		return false
	}
	if s.resp.Status == http.StatusSwitchingProtocols {
		s.switchProtocols(x, up)
		return false
	}
	return s.respond(x, up)
}

// admit checks the request and makes it ready to be sent.
func (s *h1) admit(x *exchange) (http1.Framing, error) {
	framing, err := s.req.Framing()
	if err != nil {
		return framing, failMalformed.because("%s", err)
	}
	s.closing = s.req.Minor == 0 || s.req.Header.HasToken("Connection", "close")
	s.upgrade = s.wantsWebSocket(framing)
	if err := s.stripConnection(); err != nil {
		return framing, err
	}
	hosts := s.req.Header.Count("Host")
	if hosts > 1 {
		return framing, failMalformed.because("the request has several Host fields")
	}
	authority, _ := s.req.Header.Get("Host")
	if hosts == 1 && authority == "" {
		return framing, failMisdirected.because("the Host field is empty")
	}
	policy := s.p.policy.Load()
	r := request{method: s.req.Method, authority: authority, target: s.req.Target}
	if err := x.admit(policy, r, (*fieldList)(&s.req.Header)); err != nil {
		return framing, err
	}
	s.setHost(x.authority())
	return framing, nil
}

// send sends the request and reads the response head. A connection that was idle
// may have been closed by the upstream at the same moment: if nothing of an
// answer has come, a request without side effects is sent once more.
func (s *h1) send(x *exchange, framing http1.Framing) (*upstream, error) {
	if f := s.c.dialErr.Swap(nil); f != nil {
		return nil, f
	}
	key := upstreamKey{client: s.c.client, target: x.target, plaintext: x.plaintext}
	for fresh := false; ; fresh = true {
		up, err := s.p.upstreams.http1(context.Background(), key, x.named, fresh)
		if err != nil {
			return nil, err
		}
		err = s.roundTrip(x, up, framing)
		if err == nil {
			return up, nil
		}
		up.close()
		silent := errors.Is(err, errNoResponse)
		if silent && !up.reused {
			s.p.upstreams.forget(x.target) // it may speak HTTP/2 alone by now
		}
		if fresh || !silent || !up.reused || framing.Kind != http1.NoBody || !isIdempotent(s.req.Method) {
			if silent {
				err = &failIncomplete
			}
			return nil, err
		}
	}
}

// isIdempotent: RFC 9110 section 9.2.2.
func isIdempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE":
		return true
	}
	return false
}

// errNoResponse says that the upstream closed the connection before the first
// byte of a response.
var errNoResponse = errors.New("no response")

// roundTrip sends the request on up and reads responses until the final one,
// whose head it leaves in s.resp.
func (s *h1) roundTrip(x *exchange, up *upstream, framing http1.Framing) error {
	if err := s.upload.start(x, up, framing); err != nil {
		return err
	}
	for first := true; ; first = false {
		if err := s.readResponse(up); err != nil {
			if f := s.upload.failure(); f != nil {
				return f
			}
			if first && len(up.received()) == 0 && !isTimeout(err) && !isMalformed(err) {
				return errNoResponse
			}
			return responseFailure(err)
		}
		switch {
		case s.resp.Status == http.StatusSwitchingProtocols:
			return s.checkSwitch()
		case s.resp.Status >= 200:
			return nil
		}
		if err := s.informational(x); err != nil {
			return err
		}
	}
}

func (s *h1) readResponse(up *upstream) error {
	head, err := up.readHead(http1.ResponseLength, innerHeadLimit, 0) // write has set the deadline
	if err != nil {
		return err
	}
	return s.resp.Parse(head)
}

// informational passes a 1xx response on, except to HTTP/1.0 (RFC 9110 section
// 15.2).
func (s *h1) informational(x *exchange) error {
	if s.req.Minor == 0 {
		return nil
	}
	if err := s.cleanHead(x); err != nil {
		return err
	}
	s.resp.Minor = 1
	s.resp.Header.Remove(isTransferEncoding)
	s.resp.Header.Remove(isContentLength)
	s.out = s.resp.Append(s.out[:0])
	return s.flush()
}

// checkSwitch accepts a 101 only for a WebSocket that the client asked for (I11).
func (s *h1) checkSwitch() error {
	upgrade, _ := s.resp.Header.Get("Upgrade")
	if !s.upgrade || !strings.EqualFold(upgrade, "websocket") || !s.resp.Header.HasToken("Connection", "Upgrade") {
		return failProtocol.because("the upstream switched to a protocol that was not asked for")
	}
	return nil
}

// switchProtocols passes the 101 on and relays the WebSocket.
func (s *h1) switchProtocols(x *exchange, up *upstream) {
	defer up.close()
	s.upload.stop()
	x.Status = s.resp.Status
	if err := s.cleanHead(x); err != nil {
		s.fail(x, err)
		return
	}
	s.resp.Header = append(s.resp.Header, upgradeFields[:]...)
	s.out = s.resp.Append(s.out[:0])
	if s.flush() != nil {
		return
	}
	x.BytesReceived, x.BytesSent = s.c.relay(s.client, up.wire)
}

// flush writes what is pending for the client.
func (s *h1) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	s.client.conn.SetWriteDeadline(time.Now().Add(streamTimeout))
	_, err := s.client.conn.Write(s.out)
	s.out = s.out[:0]
	if err != nil {
		return errClientGone
	}
	return nil
}

// errClientGone says that there is nobody left to answer.
var errClientGone = errors.New("client went away")

// fail ends an exchange that has no response from the upstream, or only a part
// of one: with a response of our own if none was begun, else by breaking the
// connection, so that the client cannot take the part for the whole.
func (s *h1) fail(x *exchange, err error) {
	s.upload.stop()
	if errors.Is(err, errClientGone) || s.upload.clientGone() {
		x.Reason = "the client went away"
		s.c.kill()
		return
	}
	f := fail(err)
	if s.answered {
		x.Error, x.Reason = f.kind, f.reason+", in the middle of the response"
		s.c.kill()
		return
	}
	f.note(&x.Record)
	s.c.refuse(s.client, f, s.req.Method)
}
