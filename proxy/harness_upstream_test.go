package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// capture is a raw TLS upstream that keeps every byte it receives.
type capture struct {
	addr  string
	conns atomic.Int32 // accepted so far
	mu    sync.Mutex
	got   bytes.Buffer
}

// serveRaw runs an upstream for host. For each connection it calls handle, whose
// reads are kept.
func serveRaw(t *testing.T, host string, protocols []string, handle func(conn net.Conn)) *capture {
	t.Helper()
	leaf, err := upstreamAuthority(t).Leaf(host)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*leaf}, NextProtos: protocols})
	if err != nil {
		t.Fatal(err)
	}
	return serveListener(t, l, handle)
}

func serveListener(t *testing.T, l net.Listener, handle func(conn net.Conn)) *capture {
	t.Helper()
	c := &capture{addr: l.Addr().String()}
	var group sync.WaitGroup
	t.Cleanup(func() { l.Close(); group.Wait() })
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.conns.Add(1)
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			group.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(t.Context(), func() { conn.Close() })()
				handle(&keptConn{Conn: conn, to: c})
			})
		}
	})
	return c
}

type keptConn struct {
	net.Conn
	to *capture
}

func (c *keptConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	c.to.got.Write(b[:n])
	return n, err
}

func (c *capture) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got.String()
}

// respondWith returns a handler that reads requests with net/http and answers each
// with the same raw response.
func respondWith(response string) func(net.Conn) {
	return func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(conn, response); err != nil {
				return
			}
		}
	}
}

// serveHTTP runs a real net/http server for host, with HTTP/1.1 and HTTP/2.
func serveHTTP(t *testing.T, host string, h http.Handler) (addr string) {
	t.Helper()
	leaf, err := upstreamAuthority(t).Leaf(host)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, TLSConfig: &tls.Config{Certificates: []tls.Certificate{*leaf}}}
	go server.ServeTLS(l, "", "")
	t.Cleanup(func() { server.Close() })
	return l.Addr().String()
}
