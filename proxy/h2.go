package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
)

// h2Server serves the intercepted connections that speak HTTP/2. net/http does
// the protocol; it is fed with connections whose handshake is finished.
type h2Server struct {
	p        *Proxy
	server   http.Server
	listener *handOver
	start    sync.Once
}

// connKey is the context key under which a request finds its connection.
type connKey struct{}

func (h *h2Server) init(p *Proxy) {
	h.p = p
	h.listener = &handOver{conns: make(chan net.Conn), closed: make(chan struct{})}
	h.server = http.Server{
		Handler:           h,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		// Not a limit, but a timer for each stream from its beginning to its end. One that
		// is set first in h2.end may come after the end: net/http would not stop it, and it
		// would hold the whole connection for its time.
		WriteTimeout: never,
		// net/http would answer OPTIONS * itself.
		DisableGeneralOptionsHandler: true,
		MaxHeaderBytes:               innerHeadLimit,
		ErrorLog:                     log.New(io.Discard, "", 0), // what matters is in the records
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			MaxReadFrameSize:     maxFrame,
			// A few requests whose upstream does not read must not stop the others.
			MaxReceiveBufferPerStream:     uploadWindow,
			MaxReceiveBufferPerConnection: uploadWindows,
			// A client that reads nothing at all ends with its connection.
			WriteByteTimeout: streamTimeout,
		},
		ConnState: noteState,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			c := conn.(*tls.Conn).NetConn().(*socket).Conn.(*clientConn)
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
	e := &h2{p: h.p, c: c, w: w, r: r}
	e.exchange = exchange{target: c.target}
	c.begin(&e.Record)
	e.Protocol, e.Target, e.Method = protoHTTP2, c.name, printable(r.Method)
	if !e.serve() {
		panic(http.ErrAbortHandler) // resets the stream
	}
}
