package soak

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// canary is the secret of every test. Upstreams of a rule receive it with each request,
// nobody else ever does.
const canary = "soak-canary-3c9e51"

// upstream is an origin: HTTP/1.1 and HTTP/2 over TLS, plain HTTP, and a TCP echo.
// It looks at every request for the credential.
type upstream struct {
	issuer           *issuer
	tls, plain, echo string // addresses
	server           http.Server
	certificate      atomic.Pointer[tls.Certificate]
	requests         atomic.Int64
	expected         atomic.Pointer[func(*http.Request) bool] // whether a request has the credential that it must have
	hold             chan struct{}                            // what waits goes on when it is closed
	arrived          chan string                              // host of each request that waits
	givenUp          chan string                              // host of each whose client did not wait
	uploaded         chan string                              // length and error of each request to /count

	mu    sync.Mutex
	wrong []string // requests without their credential, or with one that is not theirs
	open  map[net.Conn]bool
	idle  map[net.Conn]bool
}

func newUpstream() *upstream {
	u := &upstream{issuer: newIssuer(), hold: make(chan struct{}), idle: make(map[net.Conn]bool), open: make(map[net.Conn]bool),
		arrived: make(chan string, 1000), givenUp: make(chan string, 1000), uploaded: make(chan string, 1000)}
	u.certificate.Store(u.issuer.issue(time.Now().AddDate(10, 0, 0), "*.test"))
	u.expect(func(r *http.Request) bool { return r.Header.Get("X-Key") == canary })
	config := &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return u.certificate.Load(), nil },
		NextProtos:     []string{"h2", "http/1.1"},
	}
	secured, plain, echo := listen("127.0.0.1:0"), listen("127.0.0.1:0"), listen("127.0.0.1:0")
	u.tls, u.plain, u.echo = secured.Addr().String(), plain.Addr().String(), echo.Addr().String()
	u.server = http.Server{Handler: u, TLSConfig: config, ConnState: u.noteState, ConnContext: withConn, ErrorLog: log.New(io.Discard, "", 0)}
	go u.server.ServeTLS(secured, "", "")
	go (&http.Server{Handler: u, ConnState: u.noteState}).Serve(plain)
	go serveEcho(echo)
	return u
}

func listen(address string) net.Listener {
	l, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	return l
}

func serveEcho(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			buf := make([]byte, 64)
			for {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				conn.Write(buf[:n])
			}
		}()
	}
}

// connKey is the context key of the connection of a request.
type connKey struct{}

func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// reset ends the connection of a request as a crash does.
func reset(r *http.Request) {
	conn := r.Context().Value(connKey{}).(*tls.Conn).NetConn().(*net.TCPConn)
	conn.SetLinger(0)
	conn.Close()
}

// expect sets what a request to the host of a rule must have.
func (u *upstream) expect(ok func(*http.Request) bool) { u.expected.Store(&ok) }

func (u *upstream) check(r *http.Request) bool {
	if r.TLS != nil && r.Host != "direct.test" { // a rule names it
		return (*u.expected.Load())(r)
	}
	return r.Header.Get("X-Key") == ""
}

// verify fails if any request came without the credential that it must have.
func (u *upstream) verify(t *testing.T) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range u.wrong {
		t.Errorf("the upstream received %s", r)
	}
}

func (u *upstream) noteState(conn net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open[conn] = true
	if state == http.StateClosed || state == http.StateHijacked {
		delete(u.open, conn)
	}
	secured, _ := conn.(*tls.Conn)
	if state == http.StateIdle && (secured == nil || secured.ConnectionState().NegotiatedProtocol != "h2") {
		u.idle[conn] = true
	} else {
		delete(u.idle, conn)
	}
}

// dropIdle closes the connections that nobody is using; not those of HTTP/2, of which
// a keybearer at rest keeps one for each client: it would open them again, and net/http
// holds what belongs to an ended one until its next ping would be due (golang/go#80920).
func (u *upstream) dropIdle() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for conn := range u.idle {
		conn.Close()
	}
}

// drop closes every connection, of HTTP/2 as well.
func (u *upstream) drop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for conn := range u.open {
		conn.Close()
	}
}

// ServeHTTP implements http.Handler.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.requests.Add(1)
	if !u.check(r) {
		u.mu.Lock()
		u.wrong = append(u.wrong, fmt.Sprintf("%s %s%s with X-Key %q", r.Method, r.Host, r.URL, r.Header["X-Key"]))
		u.mu.Unlock()
		http.Error(w, "wrong credential", http.StatusUnauthorized)
		return
	}
	switch r.URL.Path {
	case "/close":
		w.Header().Set("Connection", "close")
		io.WriteString(w, "ok")
	case "/drop":
		u.dropIdle()
		io.WriteString(w, "ok")
	case "/bytes":
		n, _ := strconv.Atoi(r.URL.RawQuery)
		w.Header().Set("Content-Length", strconv.Itoa(n))
		writeFiller(w, n)
	case "/chunks":
		n, _ := strconv.Atoi(r.URL.RawQuery)
		writeFiller(w, n)
	case "/reset":
		u.stream(w, r)
		reset(r)
	case "/echo":
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	case "/count":
		u.arrived <- r.Host
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v", n, err)
		u.uploaded <- fmt.Sprint(n, " ", err)
	case "/events", "/part":
		u.stream(w, r)
	case "/hold":
		u.wait(r)
		io.WriteString(w, "ok")
	case "/ws":
		u.switchProtocols(w)
	default:
		io.WriteString(w, "ok")
	}
}

// wait waits for hold, or for the end of the request.
func (u *upstream) wait(r *http.Request) {
	u.arrived <- r.Host
	select {
	case <-u.hold:
	case <-r.Context().Done():
		u.givenUp <- r.Host
	}
}

// stream sends five events; with /part it waits after the second. The query is the
// Content-Length.
func (u *upstream) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.URL.RawQuery != "" {
		w.Header().Set("Content-Length", r.URL.RawQuery)
	}
	for i := range 5 {
		if i == 2 && r.URL.Path == "/part" {
			u.wait(r)
		}
		fmt.Fprintf(w, "data: %d\n\n", i)
		http.NewResponseController(w).Flush()
	}
}

const events = "data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n"

func (u *upstream) switchProtocols(w http.ResponseWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	io.Copy(conn, rw)
}

var filler = bytes.Repeat([]byte("0123456789abcdef"), 4096)

func writeFiller(w io.Writer, n int) {
	for n > 0 {
		k, err := w.Write(filler[:min(n, len(filler))])
		if n -= k; err != nil {
			return
		}
	}
}
