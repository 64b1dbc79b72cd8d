package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"keybearer/proxy/http1"
)

// h2 is one exchange over HTTP/2.
type h2 struct {
	exchange
	p *Proxy
	c *clientConn
	w http.ResponseWriter
	r *http.Request

	broken   atomic.Pointer[failure] // why its body cannot be sent
	quiet    *time.Timer             // ends the exchange when nothing has moved for too long
	received atomic.Int64            // bytes of the request's body
	answered bool                    // the final response head has been written
	wrote    atomic.Bool             // the upstream may have seen the request
	spared   atomic.Bool             // its body was to be closed, perhaps before that was known

	// net/http calls back from goroutines of its own, perhaps after the exchange
	// is over, when w must not be touched any more.
	mu       sync.Mutex
	over     bool
	informed bool // a 1xx response has been passed on
}

// errQuiet says that nothing has moved for streamTimeout.
var errQuiet = errors.New("nothing moved for too long")

// serve serves the exchange and emits its record. It reports false if the stream
// must be reset, so that the client does not take a part for the whole.
func (e *h2) serve() (whole bool) {
	defer e.p.emit(&e.Record)
	defer func() { e.BytesReceived = e.received.Load() }()
	defer func() {
		e.end()
		e.held.end()
		if recover() != nil { // our error: this stream ends, and no other
			failInternal.note(&e.Record)
			whole = false
		}
	}()
	err := e.run()
	e.end() // what follows writes to w itself
	switch {
	case err == nil:
		return true
	case e.r.Context().Err() != nil:
		e.Reason = "the client went away"
		return false
	case e.answered:
		f := responseFailure(err)
		e.Error, e.Reason = f.kind, f.reason+", in the middle of the response"
		if e.isGRPC() {
			e.endGRPC(f, err)
			return true
		}
		return false
	}
	f := fail(err)
	f.note(&e.Record)
	if e.isGRPC() {
		e.endGRPC(f, err)
		return true
	}
	f.serve(e.w)
	return true
}

// end keeps callbacks away from w. A small answer is on its way only then, and may wait
// for a client that gives it no window.
func (e *h2) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return
	}
	e.over = true
	if e.quiet != nil {
		e.quiet.Stop()
	}
	http.NewResponseController(e.w).SetWriteDeadline(time.Now().Add(streamTimeout))
}

// moved puts off the end of an exchange in which nothing moves. The transport may
// read the request's body after the end: the timer must not run again then, and keep
// all of the exchange for as long.
func (e *h2) moved() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		e.quiet.Reset(streamTimeout)
	}
}

func (e *h2) run() error {
	out, err := e.admit()
	if err != nil {
		return err
	}
	if f := e.c.dialErr.Swap(nil); f != nil {
		return f
	}
	ctx, cancel := context.WithCancelCause(e.r.Context())
	defer cancel(nil)
	e.quiet = time.AfterFunc(streamTimeout, func() { e.timeOut(cancel) })
	resp, err := e.roundTrip(out.WithContext(e.withInformational(ctx)))
	if err == nil {
		defer resp.Body.Close()
		err = e.respond(resp)
	}
	if context.Cause(ctx) == errQuiet {
		return &failResponseTime
	}
	return err
}

// timeOut ends the exchange, also if it is writing to a client that does not read.
func (e *h2) timeOut(cancel context.CancelCauseFunc) {
	cancel(errQuiet)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		http.NewResponseController(e.w).SetWriteDeadline(longAgo)
	}
}

// admit checks the request and returns the one to send: the same path and fields,
// the target's own authority, the rule's headers. net/http has checked less than
// HTTP/1.1 would: what could not be said there is not sent (I10).
func (e *h2) admit() (*http.Request, error) {
	h := &h2Head{fieldMap(e.r.Header.Clone()), e.r.RequestURI}
	header := h.fieldMap
	hosts := header["Host"]
	delete(header, "Host")
	switch {
	case len(hosts) > 1 || len(hosts) == 1 && e.checkAuthority(hosts[0]) != nil:
		return nil, failMisdirected.because("the Host field names another host than the connection")
	case header.count() > http1.MaxFields:
		return nil, failHeadSize.because("the request head has more than %d fields", http1.MaxFields)
	case !e.lengthHolds():
		return nil, failMalformed.because("the Content-Length is not one number, or not that of the body")
	case !httpguts.ValidHeaderFieldName(e.r.Method):
		return nil, failMalformed.because("the method is not a token")
	case strings.ContainsFunc(e.r.RequestURI, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }):
		return nil, failMalformed.because("the request target has a space, a control character or a fragment")
	}
	trailers := header.HasField("Te", "trailers") // gRPC servers insist on it
	header.remove(isHopByHop)
	if trailers {
		header.add("Te", "trailers")
	}
	policy, err := e.c.view()
	if err != nil {
		return nil, err
	}
	if err := e.exchange.admit(policy, e.r.Method, e.r.Host, h); err != nil {
		return nil, err
	}
	body, err := e.prepare(h)
	if err != nil {
		return nil, err
	}
	if _, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = nil // or net/http sends its own
	}
	out := &http.Request{
		Method:        e.r.Method,
		URL:           h.url(e.authority()),
		Host:          e.authority(),
		Header:        http.Header(header),
		ContentLength: e.r.ContentLength,
		Body:          http.NoBody,
	}
	if e.r.ContentLength != 0 {
		out.Body, out.Trailer = requestBody{e.r.Body, e}, e.r.Trailer
		if body != nil {
			out.Body = body
		}
	}
	return out, nil
}

// lengthHolds reports whether Content-Length is absent or says what net/http takes
// for the length, which reads the first of several, and 0 for what is no number (RFC
// 9113 section 8.1.1).
func (e *h2) lengthHolds() bool {
	lengths := e.r.Header["Content-Length"]
	return len(lengths) == 0 || len(lengths) == 1 && lengths[0] == strconv.FormatInt(e.r.ContentLength, 10)
}

// requestBody counts the request's body and drops the trailer fields that must
// not pass, which are known once the body has ended. The transport may still read
// it when the exchange is over.
type requestBody struct {
	io.ReadCloser
	e *h2
}

func (b requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.e.received.Add(int64(n))
	b.e.moved()
	if errors.Is(err, io.EOF) {
		fieldMap(b.e.r.Trailer).remove(b.e.dropsTrailer)
	}
	return n, err
}

// Close leaves the body open for another connection if this one sent nothing. One that
// is only now sending the head will read the body, and wait for the client: then
// WroteHeaders closes it.
func (b requestBody) Close() error {
	b.e.spared.Store(true)
	if !b.e.wrote.Load() {
		return nil
	}
	return b.ReadCloser.Close()
}

// withInformational passes 1xx responses on, and notes that the request is on its way.
func (e *h2) withInformational(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// Before RoundTrip returns, unless the context has ended.
		WroteHeaders: func() {
			if e.wrote.Store(true); e.spared.Load() {
				e.r.Body.Close()
			}
		},
		Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
			e.mu.Lock()
			defer e.mu.Unlock()
			// net/http's server sends its own 100 when the body is read.
			if e.over || e.answered || status == http.StatusContinue {
				return nil
			}
			e.informed = true
			h := e.w.Header()
			e.copyFields(h, http.Header(header))
			e.w.WriteHeader(status)
			clear(h)
			return nil
		},
	})
}
