package proxy

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"keybearer/certs"
	"keybearer/rules"
	"keybearer/secrets"
)

// fuzzed is a proxy that denies what no rule names and leads api.test to a TLS
// server that counts requests.
type fuzzed struct {
	proxy            *Proxy
	panics, requests atomic.Int32
	beyond           atomic.Value // the target of a dial that led anywhere else
}

func newFuzzed(f *testing.F) *fuzzed {
	check := func(err error) {
		if err != nil {
			f.Fatal(err)
		}
	}
	upstreams, err := issuer()
	check(err)
	leaf, err := upstreams.Leaf("api.test")
	check(err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*leaf}, NextProtos: []string{protoHTTP1}})
	check(err)
	f.Cleanup(func() { l.Close() })
	z := new(fuzzed)
	server := http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { z.requests.Add(1) }), ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(l)

	c := config()
	c.NoProxy = nil
	set, _ := rules.Compile(c, rules.Deny)
	store, err := secrets.Open(secrets.Sources{Environ: []string{"KEY=" + canary}})
	check(err)
	policy, err := NewPolicy(set, store)
	check(err)
	authority, err := certs.New(nil)
	check(err)
	z.proxy = &Proxy{Authority: authority, UpstreamRoots: poolOf(upstreams), Emit: z.emit}
	for _, port := range []string{"443", "80"} {
		o, err := ParseOverride("api.test:" + port + ":" + l.Addr().String())
		check(err)
		z.proxy.Overrides = append(z.proxy.Overrides, o)
	}
	z.proxy.SetPolicy(policy)
	z.proxy.setup.Do(z.proxy.init)
	return z
}

func (z *fuzzed) emit(r Record) {
	if r.Error == "proxy_internal_error" {
		z.panics.Add(1)
	}
	refused := r.Error == "http_request_denied" || r.Error == "http_request_error" // before a look-up or a dial
	if r.Target != "" && !strings.HasPrefix(r.Target, "api.test:") && !refused {
		z.beyond.Store(r.Target)
	}
}

// feed serves one connection on which a client sends these bytes and goes away.
func (z *fuzzed) feed(t *testing.T, sent ...[]byte) {
	client, server := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		z.proxy.serve(server)
	}()
	var received strings.Builder
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		io.Copy(&received, client)
	}()
	for _, b := range sent {
		client.Write(b)
	}
	client.Close()
	<-served
	<-drained
	if spelled(canary, received.String()) != "" {
		t.Errorf("the client received the secret: %q", received.String())
	}
	if z.panics.Load() > 0 {
		t.Error("a panic was contained")
	}
	if z.requests.Load() > 0 {
		t.Error("a request reached the upstream")
	}
	if target := z.beyond.Load(); target != nil {
		t.Errorf("%v was let through", target)
	}
}

// Bytes in the place of a ClientHello: no panic, and no request for the upstream,
// which is asked for its protocol at the most.
//
// seen red: intercept.go configFor, a panic for one server name.
func FuzzClientHello(f *testing.F) {
	z := newFuzzed(f)
	for _, protocols := range [][]string{nil, {protoHTTP1}, {protoHTTP2, protoHTTP1}} {
		var hello strings.Builder
		tls.Client(&writeOnly{w: &hello}, &tls.Config{ServerName: "api.test", NextProtos: protocols}).Handshake()
		f.Add([]byte(hello.String()))
		f.Add([]byte(strings.Replace(hello.String(), "api.test", "evil.tes", 1)))
	}
	f.Add([]byte(apiGet))
	f.Fuzz(func(t *testing.T, hello []byte) { z.feed(t, []byte(connectTo("api.test:443")), hello) })
}

// Bytes on a new connection: no panic, and nothing is let through that no rule
// names.
//
// seen red: conn.go connect, "case rules.Tunnel" with rules.Deny added.
func FuzzConnection(f *testing.F) {
	z := newFuzzed(f)
	for _, s := range []string{
		connectTo("api.test:443") + "\x16\x03\x01", connectTo("evil.test:443"), connectTo("127.0.0.1:1"), apiGet, "GET http://evil.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
		"GET http://api.test:9/ HTTP/1.1\r\n\r\n", "\x05\x01\x00", http2.ClientPreface, "POST http://api.test/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
		"OPTIONS * HTTP/1.1\r\n\r\n" + apiGet, "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n" + connectTo("[::1]:443"), "CONNECT api.test:443 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, sent []byte) { z.feed(t, sent) })
}
