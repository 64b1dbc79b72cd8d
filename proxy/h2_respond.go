package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
)

// withInformational passes 1xx responses on.
func (x *exchange) withInformational(ctx context.Context, w http.ResponseWriter) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
			if status == http.StatusContinue {
				return nil // net/http's server sends its own when the body is read
			}
			h := w.Header()
			copyFields(h, http.Header(header), x.needles())
			w.WriteHeader(status)
			clear(h)
			return nil
		},
	})
}

// respondHTTP2 streams a response to the client.
func (x *exchange) respondHTTP2(w http.ResponseWriter, resp *http.Response, answered *bool) error {
	h := w.Header()
	n, err := x.bodyNeedles(resp.Header.Get("Content-Type"), resp.Header.Get("Content-Encoding"))
	if err != nil {
		return err
	}
	copyFields(h, resp.Header, x.needles())
	for _, name := range []string{"Date", "Content-Type"} {
		if _, ok := h[name]; !ok {
			h[name] = nil // or net/http makes one up
		}
	}
	x.Status, *answered = resp.StatusCode, true
	w.WriteHeader(resp.StatusCode)
	// Without a body the head itself ends the stream: gRPC tells "trailers only"
	// responses by that.
	if resp.Body != http.NoBody {
		if err := x.copyBody(w, resp.Body, n); err != nil {
			return err
		}
	}
	for name, values := range resp.Trailer {
		if !dropsFromResponse(name) {
			h[http.TrailerPrefix+name] = maskValues(x.needles(), values)
		}
	}
	return nil
}

// copyBody copies and flushes whatever has arrived, so that an event stream is not
// delayed. It masks n, if not nil.
func (x *exchange) copyBody(w http.ResponseWriter, body io.Reader, n *needles) error {
	flush := http.NewResponseController(w).Flush
	if err := flush(); err != nil {
		return err
	}
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	m := masker{n: n}
	var clean []byte
	for {
		got, err := body.Read(*buf)
		content, ended := (*buf)[:got], errors.Is(err, io.EOF)
		if n != nil {
			clean = m.write(clean[:0], content)
			if ended {
				clean = m.flush(clean)
			}
			content = clean
		}
		if len(content) > 0 {
			if _, err := w.Write(content); err != nil {
				return err
			}
			if err := flush(); err != nil {
				return err
			}
			x.BytesSent += int64(len(content))
		}
		if ended {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func copyFields(dst, src http.Header, n *needles) {
	for name, values := range src {
		if !dropsFromResponse(name) {
			dst[n.maskString(name)] = maskValues(n, values)
		}
	}
}

// maskValues returns values themselves if there is nothing to mask in them.
func maskValues(n *needles, values []string) []string {
	for i, v := range values {
		if n.maskString(v) == v {
			continue
		}
		values = slices.Clone(values)
		for ; i < len(values); i++ {
			values[i] = n.maskString(values[i])
		}
		break
	}
	return values
}
