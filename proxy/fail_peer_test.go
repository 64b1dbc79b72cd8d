package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// The process's own listeners, the proxy's and the admin one, are never dialled, by
// whatever name and whether or not the operator allows loopback (I7, I18).
//
// seen red: dial.go connect, the addresses of Own not asked.
func TestRefuseOwnListener(t *testing.T) {
	names.resolve(t, "self.test", "127.0.0.1")
	names.resolve(t, "self6.test", "::1")
	local := []string{"127.0.0.1", "localhost", "self.test", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"}
	everywhere := append(slices.Clone(local), "[::1]", "self6.test", "127.0.0.2")
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if ip := a.(*net.IPNet).IP; ip.To4() != nil {
				everywhere = append(everywhere, ip.String())
			}
		}
	}
	for _, listen := range []struct {
		addr  string
		hosts []string
	}{{"127.0.0.1:0", local}, {"0.0.0.0:0", append(slices.Clone(local), "127.0.0.2")}, {":0", everywhere}, {"[::1]:0", []string{"[::1]", "self6.test", "[::]"}}} {
		t.Run(listen.addr, func(t *testing.T) {
			l, err := net.Listen("tcp", listen.addr)
			if err != nil {
				t.Skip(err)
			}
			admin, err := net.Listen("tcp", listen.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer admin.Close()
			f := startWith(t, config(), nil, func(p *Proxy) {
				p.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
				p.Own = []net.Addr{admin.Addr()}
			})
			f.serveAlso(l)
			for _, own := range []net.Listener{l, admin} {
				port := own.Addr().(*net.TCPAddr).Port
				for _, host := range listen.hosts {
					t.Run(host, func(t *testing.T) {
						conn := f.dial()
						resp := f.do(conn, "CONNECT", connectTo(fmt.Sprintf("%s:%d", host, port)))
						conn.Close()
						refusal{403, "proxy_loop_detected", "call the real host"}.check(t, resp, f.record())
					})
				}
			}
		})
	}
}

// A rule's host that leads to the proxy itself is refused inside the connection.
func TestRefuseOwnListenerIntercepted(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f := start(t, config(), nil)
		override, err := ParseOverride("api.test:443:" + f.addr)
		if err != nil {
			t.Fatal(err)
		}
		f.proxy.Overrides = append(f.proxy.Overrides, override)
		resp := f.ask(http2, "api.test:443", get("/")...)
		refusal{403, "proxy_loop_detected", "call the real host"}.check(t, resp, f.record())
	})
}

// serveAlso serves one more listener. The first may not be served yet either.
func (f *fixture) serveAlso(l net.Listener) {
	f.t.Helper()
	go f.proxy.Serve(l)
	f.await(func() bool {
		f.proxy.open.mu.Lock()
		defer f.proxy.open.mu.Unlock()
		_, served := f.proxy.open.listeners[l]
		return served
	})
}

// Whatever does not speak to a proxy gets a 400 at once, and one record.
func TestGarbageOnThePort(t *testing.T) {
	hello := clientHello(t)
	tests := []struct{ name, raw string }{
		{"SOCKS5", "\x05\x01\x00"},
		{"SOCKS4", "\x04\x01\x00\x50\x7f\x00\x00\x01\x00"},
		{"TLS ClientHello", hello},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"},
		{"PROXY v1", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"},
		{"PROXY v2", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"},
		{"SSH", "SSH-2.0-OpenSSH_9.9\r\n"},
		{"zeros", strings.Repeat("\x00", 100)},
		{"line feed", "\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := start(t, config(), nil)
			conn := f.dial()
			began := time.Now()
			resp := f.do(conn, "GET", test.raw)
			if took := time.Since(began); took > time.Second {
				t.Errorf("the refusal took %v", took)
			}
			if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("after the refusal: %d, %v; want the end", n, err)
			}
			conn.Close()
			refusal{400, "http_request_error", "malformed"}.check(t, resp, f.oneRecord())
		})
	}
}

// clientHello returns the first bytes of a TLS client.
func clientHello(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	recorder := &writeOnly{w: &b}
	tlsClientFor(recorder, "api.test").Handshake()
	return b.String()
}

// A connection that comes and goes without a byte leaves no record.
func TestSilentClientIsNoRecord(t *testing.T) {
	f := start(t, config(), nil)
	f.dial().Close()
	if all := f.end(); len(all) != 0 {
		t.Errorf("records %+v", all)
	}
}

// The client that goes away inside a head leaves one.
func TestClientGoneInsideHead(t *testing.T) {
	f := start(t, config(), nil)
	conn := f.dial()
	io.WriteString(conn, "CONNECT api.te")
	conn.(*net.TCPConn).CloseWrite()
	resp := f.read(bufio.NewReader(conn), "CONNECT")
	conn.Close()
	refusal{400, "http_request_error", "ended inside"}.check(t, resp, f.oneRecord())
}
