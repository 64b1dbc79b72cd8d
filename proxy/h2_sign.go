package proxy

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// sign signs the request if its rule does, and returns the body to send in place of the
// client's, nil if that is it. If signing takes the body's hash, which the client has
// not sent, the body is held back until it is whole.
func (e *h2) sign(h *h2Head) (body io.ReadCloser, err error) {
	if e.signature == nil {
		return nil, nil
	}
	e.signature.held = e.holdBack(e.c)
	var held []byte
	unhashed := e.signature.unhashed()
	if unhashed {
		if held, err = e.hold(); err != nil {
			return nil, err
		}
		h.remove(func(name string) bool { return strings.EqualFold(name, "Expect") }) // net/http has answered it
		e.signature.hashed(held)
	}
	switch err = e.exchange.sign(h); {
	case err != nil:
		return nil, err
	case unhashed:
		return &heldBody{e, held}, nil
	case e.signature.chunks != nil:
		return &rechunkedBody{requestBody: requestBody{e.r.Body, e}}, nil
	}
	return nil, nil
}

// hold receives the whole body.
func (e *h2) hold() (body []byte, err error) {
	deadline := http.NewResponseController(e.w).SetReadDeadline
	defer deadline(time.Time{})
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	for {
		deadline(time.Now().Add(streamTimeout))
		n, readErr := e.r.Body.Read(*buf)
		e.received.Add(int64(n))
		if body, err = e.signature.keep(body, (*buf)[:n]); err != nil {
			return nil, err
		}
		switch {
		case errors.Is(readErr, io.EOF):
			fieldMap(e.r.Trailer).remove(e.dropsTrailer)
			return body, nil
		case readErr != nil && !isTimeout(readErr) && e.r.Context().Err() == nil:
			return nil, failMalformed.because("the request body is not as long as its Content-Length says")
		case readErr != nil:
			return nil, bodyFailure(readErr)
		}
	}
}

// heldBody is a body that was held back.
type heldBody struct {
	e    *h2
	rest []byte
}

func (b *heldBody) Read(p []byte) (n int, err error) {
	b.e.moved()
	if len(b.rest) == 0 {
		b.rest = nil
		b.e.signature.passed()
		return 0, io.EOF
	}
	n = copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *heldBody) Close() error { return nil }

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
		b.e.signature.passed()
	}
	return n, err
}
