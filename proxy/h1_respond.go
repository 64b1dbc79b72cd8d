package proxy

import (
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"keybearer/proxy/http1"
)

// respond streams the response whose head is in s.resp to the client. It reports
// whether the client's connection may be used for another request, and gives the
// upstream's back if it may be used again.
func (s *h1) respond(up *upstream) (again bool) {
	framing, err := s.resp.Framing(s.req.Method)
	if err != nil {
		up.close()
		s.fail(responseFailure(err))
		return false
	}
	s.Status = s.resp.Status
	reusable := s.req.Minor == 1 && s.resp.Minor == 1 && framing.Kind != http1.UntilClose && !s.resp.Header.HasToken("Connection", "close")
	complete := s.upload.complete()
	if !complete || framing.Kind == http1.UntilClose || s.p.draining.Load() {
		s.closing = true
	}
	chunked, err := s.responseHead(framing)
	if err == nil {
		err = s.responseBody(up, framing, chunked)
		s.Masked += s.masker.hits
	}
	s.upload.stop()
	// The upstream is free before the client knows: its next request, on whichever
	// connection, finds it.
	if err == nil && reusable && complete && !s.upload.clientGone() {
		up.used = true
		s.p.upstreams.put(up)
	} else {
		up.close()
	}
	if err == nil {
		err = s.answer()
	}
	if err != nil {
		s.fail(err)
		return false
	}
	if !complete {
		s.c.linger(s.client)
	}
	return !s.closing && !s.upload.clientGone()
}

// responseHead puts the head into s.out, as a response of this connection. It
// reports whether the body is to be sent in chunks.
func (s *h1) responseHead(framing http1.Framing) (chunked bool, err error) {
	if err := s.cleanHead(); err != nil {
		return false, err
	}
	if s.masker.n, err = s.searched(framing); err != nil {
		return false, err
	}
	chunked = framing.Kind == http1.Chunked
	// An HTTP/1.0 client knows no chunks, and where a response may not have a
	// body a field that frames one would be read as if it had.
	if s.req.Minor == 0 || s.resp.Status < 200 || s.resp.Status == 204 {
		chunked = false
		s.resp.Header.Remove(isTransferEncoding)
	}
	if s.resp.Status == 204 {
		s.resp.Header.Remove(isContentLength)
	}
	if s.closing {
		s.resp.Header = append(s.resp.Header, http1.Field{Name: "Connection", Value: "close"})
	}
	s.resp.Minor = 1
	s.out = s.resp.Append(s.out[:0])
	return chunked, nil
}

// searched returns what the body is to be searched for, nil if for nothing.
func (s *h1) searched(framing http1.Framing) (*needles, error) {
	if framing.Kind == http1.NoBody || s.needles() == nil {
		return nil, nil
	}
	var types, codings []string
	for _, f := range s.resp.Header {
		switch {
		case strings.EqualFold(f.Name, "Content-Type"):
			types = append(types, f.Value)
		case strings.EqualFold(f.Name, "Content-Encoding"):
			codings = append(codings, f.Value)
		}
	}
	return s.bodyNeedles(types, codings)
}

func isTransferEncoding(name string) bool { return sameField(name, "Transfer-Encoding") }
func isContentLength(name string) bool    { return sameField(name, "Content-Length") }

// responseBody streams the body. Head and body go out in one write as long as
// they arrive together; before it waits for the upstream, everything received has
// been passed on, so that an event stream is not delayed.
func (s *h1) responseBody(up *upstream, framing http1.Framing, chunked bool) error {
	s.body.Start(framing)
	for {
		content, n, err := s.body.Next(up.received())
		if err != nil {
			return responseFailure(err)
		}
		if err := s.sendContent(content, chunked); err != nil {
			return err
		}
		up.consume(n)
		switch {
		case s.body.Done():
			return s.endBody(chunked)
		case n > 0:
			continue
		}
		if err := s.answer(); err != nil {
			return err
		}
		up.conn.SetReadDeadline(time.Now().Add(streamTimeout))
		if err := up.fill(); err != nil {
			if errors.Is(err, io.EOF) && !up.cut() && s.body.Close() {
				return s.endBody(chunked)
			}
			return responseFailure(err)
		}
	}
}

// sendContent adds a piece of the body to what is pending, and writes when that
// is enough for a write of its own.
func (s *h1) sendContent(content []byte, chunked bool) error {
	if s.masker.n != nil {
		s.clean = s.masker.write(s.clean[:0], content)
		content = s.clean
	}
	return s.pend(content, chunked)
}

// pend adds content to what is pending.
func (s *h1) pend(content []byte, chunked bool) error {
	if len(content) == 0 {
		return nil
	}
	s.BytesSent += int64(len(content))
	switch {
	case chunked:
		s.out = http1.AppendChunk(s.out, content)
	case len(s.out)+len(content) <= writeSize:
		s.out = append(s.out, content...)
	default:
		if err := s.answer(); err != nil {
			return err
		}
		s.out = append(s.out, content...)
	}
	if len(s.out) < writeSize {
		return nil
	}
	return s.answer()
}

// writeSize is how many bytes are worth a write of their own: one TLS record.
const writeSize = 16 << 10

// answer writes what is pending. From here on the client has begun to read the
// upstream's response.
func (s *h1) answer() error {
	s.answered = s.answered || len(s.out) > 0
	return s.flush()
}

// endBody adds what was held back of the body, and the trailer section, to what
// is pending.
func (s *h1) endBody(chunked bool) error {
	if s.masker.n != nil {
		s.clean = s.masker.flush(s.clean[:0])
		if err := s.pend(s.clean, chunked); err != nil {
			return err
		}
	}
	if chunked {
		s.body.Trailer.Remove(dropsFromResponse)
		s.maskFields(s.body.Trailer)
		s.out = http1.AppendTrailer(s.out, s.body.Trailer)
	}
	return nil
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func isMalformed(err error) bool {
	var malformed http1.Error
	return errors.As(err, &malformed) || errors.Is(err, errHeadTooLarge)
}

// responseFailure says what is wrong with a response that could not be read.
func responseFailure(err error) *failure {
	var malformed http1.Error
	switch {
	case errors.As(err, &malformed):
		return failProtocol.because("the upstream's response is a %s", malformed.Error())
	case errors.Is(err, errHeadTooLarge):
		return failProtocol.because("the upstream's response head is too large")
	case isTimeout(err):
		return &failResponseTime
	}
	return failIncomplete.because("the upstream closed the connection before the response was complete")
}
