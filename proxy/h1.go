package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"keybearer/proxy/http1"
	"keybearer/rules"
)

// h1 is one exchange over HTTP/1.1: inside an intercepted connection, or a plain
// http:// request of a client connection. It is one goroutine's, apart from the
// body of a long upload and the watch for a client that hangs up (see
// h1_upload.go).
type h1 struct {
	exchange
	p      *Proxy
	c      *clientConn
	client *wire

	req      http1.Request
	resp     http1.Response
	body     http1.Decoder // of the response
	masker   masker        // of the response's body; without needles if it is not searched
	clean    []byte        // what the masker let pass, before it is pending
	out      []byte        // to the client, not yet written
	upload   upload
	upgrade  bool // the client asks for a WebSocket
	closing  bool // the client's connection ends after this exchange
	answered bool // the final response head, or part of it, may have been written
}

// forward serves one plain http:// request, whose head has been parsed. It
// reports whether the client's connection may be used again.
func (s *h1) forward() (again bool) {
	s.plaintext = true
	authority, path, ok := cutAbsolute(s.req.Target)
	target, err := rules.ParseTarget(authority, 80)
	switch {
	case !ok && hasScheme(s.req.Target, "https"):
		return s.refuseEarly(&failNotTunnelled)
	case !ok:
		return s.refuseEarly(&failNotProxy)
	case err != nil:
		return s.refuseEarly(failTarget.because("the target is not valid: %s", printable(err.Error())))
	}
	s.req.Target = path
	return s.serve(target, target.String())
}

func (s *h1) refuseEarly(f *failure) (again bool) {
	s.begin()
	s.Method = printable(s.req.Method)
	f.note(&s.Record)
	s.p.emit(&s.Record)
	s.c.refuse(s.client, f, s.req.Method)
	return false
}

// serve forwards the parsed request to the target of that name and its response
// to the client, or refuses. It reports whether the client's connection may be used
// for another request.
func (s *h1) serve(target rules.Target, name string) (again bool) {
	s.begin()
	defer func() {
		if recover() != nil {
			s.fail(&failInternal)
		}
		s.p.emit(&s.Record)
	}()
	s.target, s.Protocol, s.Target, s.Method = target, protoHTTP1, name, printable(s.req.Method)
	framing, err := s.admit()
	if err == nil && s.takesBody() {
		defer s.holdBack(s.c).end()
		framing, err = s.prepare(framing)
	}
	if err != nil {
		s.fail(err)
		return false
	}
	defer s.upload.stop()
	up, err := s.send(framing)
	if err != nil {
		s.fail(err)
		return false
	}
	if s.resp.Status == http.StatusSwitchingProtocols {
		s.switchProtocols(up)
		return false
	}
	return s.respond(up)
}

// begin opens the exchange's record.
func (s *h1) begin() { s.c.begin(&s.Record) }

// admit checks the request and makes it ready to be sent.
func (s *h1) admit() (http1.Framing, error) {
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
	policy, err := s.c.view()
	if err != nil {
		return framing, err
	}
	if err := s.exchange.admit(policy, s.req.Method, authority, (*h1Head)(&s.req)); err != nil {
		return framing, err
	}
	s.setHost(s.authority())
	return framing, nil
}

// send sends the request and reads the response head. A connection that was idle
// may have been closed by the upstream at the same moment: if nothing of an
// answer has come, a request without side effects is sent once more. So is one whose
// credentials the upstream refuses, if there are others by now.
func (s *h1) send(framing http1.Framing) (*upstream, error) {
	if f := s.c.dialErr.Swap(nil); f != nil {
		return nil, f
	}
	key, err := s.key(s.c)
	if err != nil {
		return nil, err
	}
	key.upgrade = s.plaintext && s.upgrade
	for fresh := false; ; fresh = true {
		up, err := s.p.upstreams.http1(context.Background(), key, s.named, fresh)
		if err != nil {
			return nil, err
		}
		err = s.roundTrip(up, framing)
		safe := framing.Kind == http1.NoBody && isIdempotent(s.req.Method)
		switch {
		case err == nil && s.renew(s.resp.Status, safe, (*h1Head)(&s.req)):
			up.close()
			continue
		case err == nil:
			s.FirstByte = time.Since(s.Start)
			return up, nil
		}
		up.close()
		silent := errors.Is(err, errNoResponse)
		if silent && !up.reused {
			s.p.upstreams.forget(s.target) // it may speak HTTP/2 alone by now
		}
		if fresh || !silent || !up.reused || !safe {
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
func (s *h1) roundTrip(up *upstream, framing http1.Framing) error {
	up.opened.tell(&s.Record)
	if up.via != nil {
		s.hide(up.via.secret)
	}
	if err := s.upload.start(up, framing); err != nil {
		return err
	}
	for first := true; ; first = false {
		if err := s.readResponse(up); err != nil {
			if f := s.upload.failure(); f != nil {
				return f
			}
			if isAlert(err) {
				return &failAlert
			}
			if first && len(up.received()) == 0 && !isTimeout(err) && !isMalformed(err) {
				return errNoResponse
			}
			return responseFailure(err)
		}
		switch {
		case up.refuses(s.resp.Status):
			return up.via.proxy.refusal(s.resp.Status)
		case s.resp.Status == http.StatusSwitchingProtocols:
			return s.checkSwitch()
		case s.resp.Status >= 200:
			return nil
		}
		if err := s.informational(); err != nil {
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
func (s *h1) informational() error {
	if s.req.Minor == 0 {
		return nil
	}
	if err := s.cleanHead(); err != nil {
		return err
	}
	s.resp.Minor = 1
	s.resp.Header.Remove(isTransferEncoding)
	s.resp.Header.Remove(isContentLength)
	s.out = s.resp.Append(s.out[:0])
	return s.flush()
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
func (s *h1) fail(err error) {
	s.upload.stop()
	if errors.Is(err, errClientGone) || s.upload.clientGone() {
		s.Reason = "the client went away"
		s.c.kill()
		return
	}
	f := fail(err)
	if s.answered {
		s.Error, s.Reason = f.kind, f.reason+", in the middle of the response"
		s.c.kill()
		return
	}
	f.note(&s.Record)
	s.c.refuse(s.client, f, s.req.Method)
}
