package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// maxUnsent is how many connections are tried that turn out to have ended before
// anything of the request was sent.
const maxUnsent = 8

// roundTrip sends the request. An upstream may end a connection while the request is on
// its way to it: one without a body or side effects is sent once more, and any of which
// nothing was sent yet goes out on another connection.
func (e *h2) roundTrip(out *http.Request) (*http.Response, error) {
	key, err := e.key(e.c)
	if err != nil {
		return nil, err
	}
	for again, alerted, unsent := false, false, 0; ; {
		conn, err := e.p.upstreams.http2(out.Context(), key, e.named)
		if err != nil {
			return nil, err
		}
		conn.socket.opening.tell(&e.Record)
		e.sent()
		e.wrote.Store(false)
		e.spared.Store(false)
		resp, err := conn.RoundTrip(out)
		if err == nil {
			renewed := e.second(out, resp)
			if renewed == nil {
				e.FirstByte = time.Since(e.Start)
				return resp, nil
			}
			resp.Body.Close()
			out = renewed
			continue
		}
		alerted = alerted || isAlert(err)
		if f := e.broken.Load(); f != nil {
			return nil, f
		}
		switch {
		case out.Context().Err() == nil && !e.wrote.Load() && unsent < maxUnsent:
			unsent++
		case again || out.Context().Err() != nil || out.Body != http.NoBody || !isIdempotent(out.Method) || e.hasInformed():
			if alerted {
				return nil, &failAlert
			}
			return nil, fmt.Errorf("%w: %w", roundTripFailure(err), err)
		default:
			again = true
		}
	}
}

// second returns the request to send in place of one whose credentials the upstream has
// refused, nil if the response is for the client.
func (e *h2) second(out *http.Request, resp *http.Response) *http.Request {
	if e.action == nil || !e.action.refuses(resp.StatusCode) {
		return nil
	}
	safe := out.Body == http.NoBody && isIdempotent(out.Method) && !e.hasInformed()
	// A clone: the transport may still read the first one's.
	h := &h2Head{fieldMap(out.Header.Clone()), strings.TrimPrefix(out.URL.Opaque, "//"+e.authority())}
	if !e.renew(resp.StatusCode, safe, h) {
		return nil
	}
	out = out.WithContext(out.Context())
	out.Header, out.URL = http.Header(h.fieldMap), h.url(e.authority())
	return out
}

func (e *h2) hasInformed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.informed
}

// roundTripFailure says why an HTTP/2 upstream did not answer. Its error is not
// looked into: net/http's HTTP/2 errors have no exported types.
func roundTripFailure(err error) error {
	if isTimeout(err) {
		return &failResponseTime
	}
	return failIncomplete.because("the upstream ended the HTTP/2 stream before it answered")
}
