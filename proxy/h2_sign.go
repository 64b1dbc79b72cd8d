package proxy

import (
	"errors"
	"io"
	"time"
)

// sign signs the request, and returns the body to send in place of the client's, nil if
// that is it. If signing takes the body's hash, which the client has not sent, the body
// is held back until it is whole.
func (e *h2) sign(h *h2Head) (body io.ReadCloser, err error) {
	if e.signature.unhashed() {
		held, err := e.hold(h, signedSize, time.Time{})
		if err != nil {
			return nil, err
		}
		if err := e.signature.hashed(held.rest, held.ended); err != nil {
			return nil, err
		}
		body = held
	}
	if err := e.exchange.sign(h); err != nil {
		return nil, err
	}
	if e.signature.chunks != nil {
		return &rechunkedBody{requestBody: requestBody{e.r.Body, e}}, nil
	}
	return body, nil
}

// rechunkedBody is a body whose chunks are signed anew.
type rechunkedBody struct {
	requestBody
	buf, ready []byte
	rest       []byte // of ready
}

func (b *rechunkedBody) Read(p []byte) (n int, err error) {
	for len(b.rest) == 0 && err == nil {
		if b.buf == nil {
			b.buf = make([]byte, writeSize)
		}
		n, err = b.requestBody.Read(b.buf)
		var signErr error
		if b.ready, signErr = b.e.signature.rechunk(b.ready[:0], b.buf[:n]); signErr == nil && errors.Is(err, io.EOF) {
			signErr = b.e.signature.end()
		}
		b.rest = b.ready
		if signErr != nil {
			b.e.broken.Store(fail(signErr))
			return 0, signErr
		}
	}
	n = copy(p, b.rest)
	b.rest = b.rest[n:]
	switch {
	case len(b.rest) > 0:
		err = nil // comes again
	case errors.Is(err, io.EOF):
		b.buf, b.ready, b.rest = nil, nil, nil
		b.e.passed()
	}
	return n, err
}
