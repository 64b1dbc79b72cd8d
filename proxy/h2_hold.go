package proxy

import (
	"errors"
	"io"
	"os"
	"strings"
	"time"
)

// prepare does what takes the body, or a piece of it, before the request is sent. It
// returns the body to send in place of the client's, nil if that is it.
func (e *h2) prepare(h *h2Head) (body io.ReadCloser, err error) {
	if !e.takesBody() {
		return nil, nil
	}
	e.holdBack(e.c)
	if e.asking != nil {
		held, err := e.hold(h, shownSize, time.Now().Add(shownTime))
		if err != nil {
			return nil, err
		}
		if err := e.ask(e.c, h, held.rest, held.ended); err != nil {
			return nil, err
		}
		body = held
	}
	if e.signature != nil {
		return e.sign(h)
	}
	return body, nil
}

// hold receives the body until it is whole, or more than most bytes are there, or until
// has come, if that is not zero.
func (e *h2) hold(h *h2Head, most int, until time.Time) (*heldBody, error) {
	b := &heldBody{requestBody: requestBody{e.r.Body, e}}
	h.remove(func(name string) bool { return strings.EqualFold(name, "Expect") }) // net/http answers it
	for !b.ended && len(b.rest) <= most {
		b.late = e.receive()
		wait := streamTimeout
		if !until.IsZero() {
			wait = time.Until(until)
		}
		select {
		case <-time.After(wait):
			if until.IsZero() {
				return nil, bodyFailure(os.ErrDeadlineExceeded)
			}
			return b, nil
		case p := <-b.late:
			b.late = nil
			var err error
			if b.rest, err = e.held.keep(b.rest, p.bytes()); err != nil {
				return nil, err
			}
			putBuffer(p.buf)
			if b.ended = errors.Is(p.err, io.EOF); !b.ended && p.err != nil {
				return nil, e.broke(p.err)
			}
		}
	}
	return b, nil
}

// broke says why the rest of the body does not come.
func (e *h2) broke(err error) error {
	if !isTimeout(err) && e.r.Context().Err() == nil {
		return failMalformed.because("the request body is not as long as its Content-Length says")
	}
	return bodyFailure(err)
}

// piece is what one Read of a request's body has brought.
type piece struct {
	buf *[]byte
	n   int
	err error
}

func (p piece) bytes() []byte { return (*p.buf)[:p.n] }

// receive reads a piece of the body in a goroutine of its own. It ends at the latest
// when the exchange does: then net/http closes the body.
func (e *h2) receive() <-chan piece {
	ready := make(chan piece, 1)
	go func() {
		p := piece{buf: buffers.Get().(*[]byte)}
		p.n, p.err = e.r.Body.Read(*p.buf)
		e.received.Add(int64(p.n))
		ready <- p
	}()
	return ready
}

// heldBody is a body of which a part, or all, was held back.
type heldBody struct {
	requestBody
	rest  []byte       // of what was
	ended bool         // it was all
	late  <-chan piece // comes between that and what is still to be read; nil: nothing
}

func (b *heldBody) Read(p []byte) (n int, err error) {
	if len(b.rest) == 0 && b.late != nil {
		piece := <-b.late
		b.rest, b.late = piece.bytes(), nil
	}
	if len(b.rest) > 0 {
		b.e.moved()
		n = copy(p, b.rest)
		b.rest = b.rest[n:]
		return n, nil
	}
	b.rest = nil
	b.e.held.end()
	return b.requestBody.Read(p) // its end, or its error, again if it was there before
}
