package proxy

import (
	"strconv"
	"strings"
	"time"

	"keybearer/proxy/http1"
)

// sign signs the request. If that takes the body's hash, which the client has not sent,
// the body is held back until it is whole, and sent with its length.
func (s *h1) sign(framing http1.Framing) (http1.Framing, error) {
	if s.signature.unhashed() {
		if err := s.upload.hold(framing); err != nil {
			return framing, err
		}
		s.signature.hashed(s.upload.rest)
		if framing.Kind == http1.Chunked {
			framing = http1.Framing{Kind: http1.Length, Length: int64(len(s.upload.rest))}
			s.req.Header.Remove(func(name string) bool { return isTransferEncoding(name) || strings.EqualFold(name, "Trailer") })
			s.req.Header = append(s.req.Header, http1.Field{Name: "Content-Length", Value: strconv.FormatInt(framing.Length, 10)})
		}
	}
	return framing, s.exchange.sign((*h1Head)(&s.req))
}

// hold receives the whole body. A client that waits to be told to send it is told.
func (u *upload) hold(framing http1.Framing) (err error) {
	u.whole = true
	u.body.Start(framing)
	u.s.req.Header.Remove(func(name string) bool {
		waits := strings.EqualFold(name, "Expect")
		if waits && u.s.req.Minor > 0 && !u.body.Done() {
			u.s.out = append(u.s.out[:0], "HTTP/1.1 100 Continue\r\n\r\n"...)
		}
		return waits
	})
	if err := u.s.flush(); err != nil {
		return err
	}
	for !u.body.Done() {
		content, n, err := u.receive()
		if err != nil {
			return err
		}
		if u.rest, err = u.s.signature.keep(u.rest, content); err != nil {
			return err
		}
		u.s.client.consume(n)
		if n > 0 || u.body.Done() {
			continue
		}
		u.s.client.conn.SetReadDeadline(time.Now().Add(streamTimeout))
		if err := u.s.client.fill(); err != nil {
			return bodyFailure(err)
		}
	}
	return nil
}
