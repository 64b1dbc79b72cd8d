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
		if err := s.upload.hold(framing, signedSize, time.Time{}); err != nil {
			return framing, err
		}
		if err := s.signature.hashed(s.upload.rest, s.upload.body.Done()); err != nil {
			return framing, err
		}
		if framing.Kind == http1.Chunked {
			framing = http1.Framing{Kind: http1.Length, Length: int64(len(s.upload.rest))}
			s.req.Header.Remove(func(name string) bool { return isTransferEncoding(name) || strings.EqualFold(name, "Trailer") })
			s.req.Header = append(s.req.Header, http1.Field{Name: "Content-Length", Value: strconv.FormatInt(framing.Length, 10)})
		}
	}
	return framing, s.exchange.sign((*h1Head)(&s.req))
}
