package proxy

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// respond streams a response to the client.
func (e *h2) respond(resp *http.Response) error {
	var n *needles
	empty := isEmpty(e.r.Method, resp)
	if !empty {
		var err error
		if n, err = e.bodyNeedles(resp.Header["Content-Type"], resp.Header["Content-Encoding"]); err != nil {
			return err
		}
	}
	e.writeHead(resp)
	if !empty {
		if err := e.copyBody(resp, n); err != nil {
			return err
		}
	} else if resp.ContentLength == 0 {
		io.Copy(io.Discard, resp.Body) // to its end, where the trailers are
	}
	e.renewGRPC(resp)
	for name, values := range resp.Trailer {
		if !dropsFromResponse(name) {
			e.w.Header()[http.TrailerPrefix+e.maskName(name)] = e.maskValues(values)
		}
	}
	return nil
}

// isEmpty reports whether a response has no content. Then nothing is flushed, so
// that the head itself ends the stream: gRPC tells a "trailers only" response by
// that. net/http gives a Content-Length of 0 to a head that ended the stream.
func isEmpty(method string, resp *http.Response) bool {
	return method == http.MethodHead || resp.ContentLength == 0 ||
		resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified
}

func (e *h2) writeHead(resp *http.Response) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.w.Header()
	e.copyFields(h, resp.Header)
	for _, name := range []string{"Date", "Content-Type", "Content-Length"} {
		if _, ok := h[name]; !ok {
			h[name] = nil // or net/http makes one up
		}
	}
	e.Status, e.answered = resp.StatusCode, true
	e.w.WriteHeader(resp.StatusCode)
}

// copyBody copies and flushes whatever has arrived, so that an event stream is not
// delayed. It masks n, if not nil. Where a length says that the body is at hand,
// the head waits for its first bytes, and the last bytes for the end of the stream:
// a small response goes out at once.
func (e *h2) copyBody(resp *http.Response, n *needles) error {
	flush := http.NewResponseController(e.w).Flush
	if resp.ContentLength < 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	m := masker{n: n}
	defer func() { e.Masked += m.hits }()
	var clean []byte
	for {
		got, err := resp.Body.Read(*buf)
		e.moved()
		content, ended := (*buf)[:got], errors.Is(err, io.EOF)
		if n != nil {
			clean = m.write(clean[:0], content)
			if ended {
				clean = m.flush(clean)
			}
			content = clean
		}
		if len(content) > 0 {
			if _, err := e.w.Write(content); err != nil {
				return err
			}
			e.BytesSent += int64(len(content))
		}
		switch {
		case ended:
			return nil
		case err != nil:
			return err
		case len(content) == 0 || e.BytesSent == resp.ContentLength:
			continue
		}
		if err := flush(); err != nil {
			return err
		}
	}
}

// copyFields copies what is for the client of a response's fields.
func (x *exchange) copyFields(dst, src http.Header) {
	for name, values := range src {
		if !dropsFromResponse(name) {
			dst[x.maskName(name)] = x.maskValues(values)
		}
	}
}

// maskName masks a name as it stands in HTTP/2, in lower case: net/http has given
// it capitals, in which a value would not be found.
func (x *exchange) maskName(name string) string {
	lower := strings.ToLower(name)
	if masked := x.mask(lower); masked != lower {
		return masked
	}
	return name
}

// maskValues returns values themselves if there is nothing to mask in them.
func (x *exchange) maskValues(values []string) []string {
	shared := true // with the response
	for i, v := range values {
		masked := x.mask(v)
		if masked == v {
			continue
		}
		if shared {
			values, shared = slices.Clone(values), false
		}
		values[i] = masked
	}
	return values
}
