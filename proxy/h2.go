package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// h2Server serves the intercepted connections that speak HTTP/2. net/http does
// the protocol; it is fed with connections whose handshake is finished.
type h2Server struct {
	p        *Proxy
	server   http.Server
	listener *handOver
	start    sync.Once
}

func (h *h2Server) init(p *Proxy) {
	h.p = p
	h.listener = &handOver{conns: make(chan net.Conn), closed: make(chan struct{})}
	h.server = http.Server{
		Handler:           h,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		// net/http would answer OPTIONS * itself.
		DisableGeneralOptionsHandler: true,
		MaxHeaderBytes:               innerHeadLimit,
		ErrorLog:                     log.New(io.Discard, "", 0), // what matters is in the records
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250,
		},
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			c := conn.(*tls.Conn).NetConn().(*clientConn)
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	h.server.Protocols.SetHTTP2(true)
}

// serve hands a connection over to net/http, which closes it when it ends.
func (h *h2Server) serve(conn *tls.Conn) (handedOver bool) {
	h.start.Do(func() { go h.server.Serve(h.listener) })
	select {
	case h.listener.conns <- conn:
		return true
	case <-h.listener.closed:
		return false
	}
}

func (h *h2Server) shutdown(ctx context.Context) {
	h.listener.Close()
	h.server.Shutdown(ctx)
}

// handOver is a listener of connections that were accepted elsewhere.
type handOver struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *handOver) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *handOver) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *handOver) Addr() net.Addr { return &net.TCPAddr{} }

// ServeHTTP serves one exchange.
func (h *h2Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connKey{}).(*clientConn)
	x := &exchange{Record: h.p.begin(c.remote), target: c.target}
	x.Protocol, x.Target, x.Method = protoHTTP2, c.target.String(), printable(r.Method)
	answered := false
	defer func() {
		// A panic anywhere below must not take the process down, nor let a part
		// of a response pass for the whole.
		if v := recover(); v != nil {
			failInternal.note(&x.Record)
			h.p.emit(&x.Record)
			panic(http.ErrAbortHandler)
		}
		h.p.emit(&x.Record)
	}()
	err := h.exchange(x, c, w, r, &answered)
	switch {
	case err == nil:
	case r.Context().Err() != nil:
		x.Reason = "the client went away"
	case answered:
		f := responseFailure(err)
		x.Error, x.Reason = f.kind, f.reason+", in the middle of the response"
		defer panic(http.ErrAbortHandler) // resets the stream
	default:
		f := fail(err)
		f.note(&x.Record)
		f.serve(w)
	}
}

func (h *h2Server) exchange(x *exchange, c *clientConn, w http.ResponseWriter, r *http.Request, answered *bool) error {
	out, body, err := h.admit(x, r)
	if err != nil {
		return err
	}
	defer func() { x.BytesReceived = body.count.Load() }()
	if f := c.dialErr.Swap(nil); f != nil {
		return f
	}
	key := upstreamKey{client: c.client, target: c.target}
	conn, err := h.p.upstreams.http2(r.Context(), key, x.named)
	if err != nil {
		return err
	}
	resp, err := conn.RoundTrip(out.WithContext(x.withInformational(r.Context(), w)))
	if err != nil {
		return roundTripFailure(err)
	}
	defer resp.Body.Close()
	return x.respondHTTP2(w, resp, answered)
}

// admit checks the request and returns the one to send: the same path and fields,
// the target's own authority, the rule's headers.
func (h *h2Server) admit(x *exchange, r *http.Request) (*http.Request, *requestBody, error) {
	header := fieldMap(r.Header.Clone())
	hosts := header["Host"]
	delete(header, "Host")
	if len(hosts) > 1 || len(hosts) == 1 && x.checkAuthority(hosts[0]) != nil {
		return nil, nil, failMisdirected.because("the Host field names another host than the connection")
	}
	if strings.Contains(r.RequestURI, "#") {
		return nil, nil, failMalformed.because("the request target has a fragment")
	}
	req := request{method: r.Method, authority: r.Host, target: r.RequestURI}
	if err := x.admit(h.p.policy.Load(), req, header); err != nil {
		return nil, nil, err
	}
	if _, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = nil // or net/http sends its own
	}
	body := &requestBody{ReadCloser: r.Body, x: x, trailer: r.Trailer}
	out := &http.Request{
		Method: r.Method,
		// Opaque is sent byte for byte behind the authority it begins with; Path
		// would be encoded anew.
		URL:           &url.URL{Scheme: "https", Host: x.authority(), Opaque: "//" + x.authority() + r.RequestURI},
		Host:          x.authority(),
		Header:        http.Header(header),
		ContentLength: r.ContentLength,
		Trailer:       r.Trailer,
		Body:          body,
	}
	if r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	return out, body, nil
}

// requestBody counts a request's body and drops the trailer fields that must not
// pass, which are known once the body has ended. The transport may still read it
// when the exchange is over.
type requestBody struct {
	io.ReadCloser
	x       *exchange
	count   atomic.Int64
	trailer http.Header
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.count.Add(int64(n))
	if errors.Is(err, io.EOF) {
		fieldMap(b.trailer).remove(b.x.dropsTrailer)
	}
	return n, err
}

// roundTripFailure says why an HTTP/2 upstream did not answer. Its error is not
// looked into: net/http's HTTP/2 errors have no exported types.
func roundTripFailure(err error) error {
	if isTimeout(err) || errors.Is(err, context.DeadlineExceeded) {
		return &failResponseTime
	}
	return failIncomplete.because("the upstream ended the HTTP/2 stream before it answered")
}

// fieldMap is a request's fields as admit sees them.
type fieldMap http.Header

func (m fieldMap) HasField(name, value string) bool {
	for _, v := range m[textproto.CanonicalMIMEHeaderKey(name)] {
		if v == value {
			return true
		}
	}
	return false
}

func (m fieldMap) remove(drop func(name string) bool) {
	for name := range m {
		if drop(name) {
			delete(m, name)
		}
	}
}

func (m fieldMap) add(name, value string) {
	name = textproto.CanonicalMIMEHeaderKey(name)
	m[name] = append(m[name], value)
}
