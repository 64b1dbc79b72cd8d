package proxy

import "keybearer/proxy/http1"

// done reports whether all of the body is sent, or pending.
func (u *upload) done() bool { return u.body.Done() && len(u.rest) == 0 }

// take moves a piece of the body from what has been received to what is pending
// for the upstream, framed anew.
func (u *upload) take() error {
	for len(u.out) < writeSize && !u.done() {
		content, more, err := u.next()
		if err != nil {
			return err
		}
		if u.coded {
			u.out = http1.AppendChunk(u.out, content)
		} else {
			u.out = append(u.out, content...)
		}
		if u.done() {
			if err := u.finish(); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
	return nil
}

// finish ends the body behind its last piece.
func (u *upload) finish() error {
	if err := u.s.signature.end(); err != nil {
		return err
	}
	u.s.passed()
	u.rest, u.rechunked = nil, nil
	if u.coded {
		u.body.Trailer.Remove(u.s.dropsTrailer)
		u.out = http1.AppendTrailer(u.out, u.body.Trailer)
	}
	return nil
}

// next returns a piece of the body to send. It is valid until the next call. There is
// more unless all that has been received is used up.
func (u *upload) next() (content []byte, more bool, err error) {
	if len(u.rest) == 0 {
		if u.s.signature == nil {
			u.rest = nil
			u.s.held.end()
		}
		content, n, err := u.receive()
		if err == nil && u.s.signature != nil {
			u.rest, err = u.s.signature.rechunk(u.rechunked[:0], content)
			u.rechunked, content = u.rest, nil
		}
		u.s.client.consume(n)
		if len(u.rest) == 0 || err != nil {
			return content, n > 0, err
		}
	}
	content = u.rest[:min(writeSize, len(u.rest))]
	u.rest = u.rest[len(content):]
	return content, true, nil
}

// receive returns a piece of the body that has been received, and how much to consume.
func (u *upload) receive() (content []byte, n int, err error) {
	content, n, err = u.body.Next(u.s.client.received())
	if err != nil {
		return nil, 0, failMalformed.because("the request body is a %s", err)
	}
	u.s.BytesReceived += int64(len(content))
	return content, n, nil
}
