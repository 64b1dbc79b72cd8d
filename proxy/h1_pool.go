package proxy

import "keybearer/proxy/http1"

// newHTTP1 returns the next exchange of a client, who gives it back with release. A
// connection has one, with all its buffers, only from one request's head to the end
// of the answer.
func newHTTP1(c *clientConn, client *wire) *h1 {
	s, ok := c.p.exchanges.Get().(*h1)
	if !ok {
		s = new(h1)
		s.upload.init(s)
	}
	s.p, s.c, s.client = c.p, c, client
	return s
}

// release gives s back when the exchange is over, and with it nothing of what
// the client or the upstream sent.
func (s *h1) release() {
	pool := &s.p.exchanges
	s.exchange, s.masker = exchange{}, masker{}
	s.upgrade, s.closing, s.answered = false, false, false
	s.p, s.c, s.client = nil, nil, nil
	s.req = http1.Request{Header: emptied(s.req.Header)}
	s.resp = http1.Response{Header: emptied(s.resp.Header)}
	s.body = http1.Decoder{Trailer: emptied(s.body.Trailer)}
	s.out, s.clean = spare(s.out), spare(s.clean)
	s.upload.release()
	pool.Put(s)
}

func emptied(h http1.Header) http1.Header {
	clear(h[:cap(h)])
	return h[:0]
}

// spare returns b without its content, to be used again unless it has grown big.
func spare(b []byte) []byte {
	if cap(b) > 2*writeSize {
		return nil
	}
	return b[:0]
}
