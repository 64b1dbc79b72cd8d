package proxy

import (
	"errors"
	"os"
	"strings"
	"time"

	"keybearer/proxy/http1"
)

// prepare does what takes the body, or a piece of it, before the request is sent.
func (s *h1) prepare(framing http1.Framing) (http1.Framing, error) {
	if s.asking != nil {
		if err := s.upload.hold(framing, shownSize, time.Now().Add(shownTime)); err != nil {
			return framing, err
		}
		if err := s.ask(s.c, (*h1Head)(&s.req), s.upload.rest, s.upload.body.Done()); err != nil {
			return framing, err
		}
	}
	if s.signature != nil {
		return s.sign(framing)
	}
	return framing, nil
}

// hold receives the body until it is whole, or more than most bytes are there, or until
// has come, if that is not zero. A client that waits to be told to send it is told.
func (u *upload) hold(framing http1.Framing, most int, until time.Time) error {
	u.begun = true
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
	for !u.body.Done() && len(u.rest) <= most {
		content, n, err := u.receive()
		if err != nil {
			return err
		}
		if u.rest, err = u.s.held.keep(u.rest, content); err != nil {
			return err
		}
		u.s.client.consume(n)
		if n > 0 || u.body.Done() {
			continue
		}
		if late, err := u.fillUntil(until); err != nil || late {
			return err
		}
	}
	return nil
}

// fillUntil reads from the client. It reports whether until, if it is not zero, has come
// instead.
func (u *upload) fillUntil(until time.Time) (late bool, err error) {
	deadline := time.Now().Add(streamTimeout)
	if !until.IsZero() {
		deadline = until
	}
	u.s.client.conn.SetReadDeadline(deadline)
	err = u.s.client.fill()
	switch {
	case err == nil:
		return false, nil
	case !until.IsZero() && errors.Is(err, os.ErrDeadlineExceeded):
		return true, nil
	}
	return false, bodyFailure(err)
}
