package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// Shutdown lets what is under way come to its end, closes what is idle at once
// and takes nobody new.
func TestShutdownDrains(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		arrived, release := make(chan bool), make(chan bool)
		addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				arrived <- true
				<-release
			}
			io.WriteString(w, "done")
		}))
		f := start(t, config(), map[string]string{"api.test:443": addr})
		idle := []net.Conn{f.dial(), f.open("api.test:443")}
		if resp := f.do(idle[1], "GET", apiGet); resp.StatusCode != 200 {
			t.Fatalf("status %d", resp.StatusCode)
		}
		type result struct {
			body string
			err  error
		}
		slow := make(chan result, 1)
		client := f.client(http2)
		go func() {
			resp, err := client.Get("https://api.test/slow")
			if err != nil {
				slow <- result{"", err}
				return
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			slow <- result{string(b), err}
		}()
		<-arrived
		ended := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			ended <- f.proxy.Shutdown(ctx)
		}()
		for _, conn := range idle {
			if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("an idle connection received %d bytes, %v", n, err)
			}
		}
		if conn, err := net.Dial("tcp", f.addr); err == nil {
			conn.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("a new connection is served")
			}
			conn.Close()
		}
		select {
		case err := <-ended:
			t.Fatalf("Shutdown returned %v before the exchange had ended", err)
		default:
		}
		release <- true
		if r := <-slow; r.body != "done" || r.err != nil {
			t.Errorf("the exchange under way received %q, %v", r.body, r.err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
		if err := f.proxy.Serve(closedListener(t)); !errors.Is(err, ErrClosed) {
			t.Errorf("Serve after Shutdown returned %v", err)
		}
	})
}

func closedListener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A client learns with the answer that the connection will not take another request,
// and does not send one into its end (RFC 9112 section 9.6, RFC 9113 section 6.8).
// seen red: draining left out of respond; h2.shutdown not called.
func TestShutdownIsTold(t *testing.T) {
	arrived, release := make(chan bool), make(chan bool)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-release
		io.WriteString(w, "done")
	})
	origin := httptest.NewServer(handler)
	t.Cleanup(origin.Close)
	f := start(t, config(), map[string]string{
		"api.test:443":  serveHTTP(t, "api.test", handler),
		"plain.test:80": origin.Listener.Addr().String(),
	})
	inner, plain, frames := f.open("api.test:443"), f.dial(), f.openHTTP2("api.test:443")
	io.WriteString(inner, apiGet)
	io.WriteString(plain, "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n")
	frames.headers(1, true, get("/")...)
	for range 3 {
		<-arrived
	}
	go f.proxy.Shutdown(context.Background())
	if frame, err := frames.read(); err != nil || frame.Header().Type != http2.FrameGoAway {
		t.Errorf("the HTTP/2 client received %v, %v before the answer; want GOAWAY", frame, err)
	}
	close(release)
	for name, conn := range map[string]net.Conn{"intercepted": inner, "plain": plain} {
		resp := f.read(bufio.NewReader(conn), "GET")
		if !resp.Close || resp.StatusCode != 200 {
			t.Errorf("%s: status %d, close %t; want 200 and Connection: close", name, resp.StatusCode, resp.Close)
		}
	}
	if frame, err := frames.read(); err != nil || frame.Header().Type != http2.FrameHeaders {
		t.Errorf("the HTTP/2 client received %v, %v; want its answer", frame, err)
	}
}

// What has not ended by the deadline is closed: tunnels, and exchanges that do
// not come to an end.
func TestShutdownDeadline(t *testing.T) {
	arrived := make(chan bool, 2)
	hang := func(conn net.Conn) {
		arrived <- true
		io.Copy(io.Discard, conn)
	}
	tunnelled := serveTCP(t, hang)
	intercepted := serveRaw(t, "api.test", []string{protoHTTP1}, func(conn net.Conn) {
		http.ReadRequest(bufio.NewReader(conn))
		hang(conn)
	})
	f := start(t, config(), map[string]string{"direct.test:443": tunnelled.addr, "api.test:443": intercepted.addr})
	conns := []net.Conn{f.connect("direct.test:443"), f.open("api.test:443")}
	io.WriteString(conns[1], apiGet)
	<-arrived
	<-arrived
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := f.proxy.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown returned %v", err)
	}
	for _, conn := range conns {
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("received %d bytes, %v", n, err)
		}
	}
	f.record() // of each, and so their goroutines have ended
	f.record()
}

// A stream that hangs is closed at the deadline as well.
func TestShutdownDeadlineHTTP2(t *testing.T) {
	arrived := make(chan bool, 1)
	addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-r.Context().Done()
	}))
	f := start(t, config(), map[string]string{"api.test:443": addr})
	c := f.openHTTP2("api.test:443")
	c.headers(1, true, get("/")...)
	<-arrived
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := f.proxy.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown returned %v", err)
	}
	for {
		if _, err := c.read(); err != nil {
			break
		}
	}
	f.record()
}

// Shutdown of a proxy that never served does nothing.
func TestShutdownUnused(t *testing.T) {
	if err := new(Proxy).Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
