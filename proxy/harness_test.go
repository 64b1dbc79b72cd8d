package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keybearer/certs"
	"keybearer/rules"
	"keybearer/secrets"
)

// canary is the secret of every test. After each test it is searched for in
// everything the client received.
const canary = "kb-canary-9f8e7d6c5b4a"

// fixture is a proxy with real sockets on all sides.
type fixture struct {
	t         *testing.T
	proxy     *Proxy
	addr      string
	authority *certs.Authority // of the proxy
	issuer    *certs.Authority // of the upstreams
	policy    *Policy

	mu       sync.Mutex
	records  []Record
	seen     int // records that were asked for
	arrived  chan struct{}
	received bytes.Buffer // by all clients
}

// config is the policy of most tests: one rule with a secret for api.test.
func config() rules.Config {
	return rules.Config{
		Rules: []rules.RuleConfig{{
			Name:          "api",
			MatchHosts:    []string{"api.test"},
			InjectHeaders: map[string]string{"Authorization": "Bearer ${KEY}"},
		}},
		NoProxy: []string{"direct.test"},
	}
}

// start runs a proxy whose overrides lead each target (host:port) to an address.
func start(t *testing.T, c rules.Config, upstreams map[string]string) *fixture {
	t.Helper()
	return startWith(t, c, upstreams, func(*Proxy) {})
}

func startWith(t *testing.T, c rules.Config, upstreams map[string]string, set func(*Proxy)) *fixture {
	t.Helper()
	f := &fixture{t: t, arrived: make(chan struct{}, 1000)}
	f.authority, f.issuer = newAuthority(t), upstreamAuthority(t)
	f.proxy = &Proxy{Authority: f.authority, UpstreamRoots: poolOf(f.issuer), Emit: f.emit}
	for target, addr := range upstreams {
		o, err := ParseOverride(target + ":" + addr)
		if err != nil {
			t.Fatal(err)
		}
		f.proxy.Overrides = append(f.proxy.Overrides, o)
	}
	set(f.proxy)
	f.setPolicy(c, map[string]string{"KEY": canary})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- f.proxy.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		f.proxy.Shutdown(ctx)
		if err := <-served; !errors.Is(err, ErrClosed) {
			t.Errorf("Serve returned %v, want ErrClosed", err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if bytes.Contains(f.received.Bytes(), []byte(canary)) {
			t.Errorf("the client received the secret:\n%q", f.received.Bytes())
		}
		for _, r := range f.records {
			if strings.Contains(fmt.Sprintf("%+v", r), canary) {
				t.Errorf("a record holds the secret: %+v", r)
			}
		}
	})
	return f
}

func (f *fixture) setPolicy(c rules.Config, values map[string]string) {
	f.t.Helper()
	f.setPolicyFor(c, rules.Tunnel, values)
}

func (f *fixture) setPolicyFor(c rules.Config, unmatched rules.Verdict, values map[string]string) {
	f.t.Helper()
	var environ []string
	for name, value := range values {
		environ = append(environ, name+"="+value)
	}
	f.enact(c, unmatched, secrets.Sources{Environ: environ})
}

// enact puts a policy in force.
func (f *fixture) enact(c rules.Config, unmatched rules.Verdict, from secrets.Sources) {
	f.t.Helper()
	set, problems := rules.Compile(c, unmatched)
	if set == nil {
		f.t.Fatalf("compile: %v", problems)
	}
	store, err := secrets.Open(from)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { store.Retire(nil) })
	f.policy, _ = NewPolicy(set, store)
	f.proxy.SetPolicy(f.policy)
}

func (f *fixture) emit(r Record) {
	f.mu.Lock()
	f.records = append(f.records, r)
	f.mu.Unlock()
	f.arrived <- struct{}{}
}

// record waits for the next record that was not asked for yet.
func (f *fixture) record() Record {
	f.t.Helper()
	select {
	case <-f.arrived:
	case <-time.After(10 * time.Second):
		f.t.Fatal("no record within 10 s")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen++
	return f.records[f.seen-1]
}

// end closes the proxy once its clients have ended and returns all records.
func (f *fixture) end() []Record {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := f.proxy.Shutdown(ctx); err != nil {
		f.t.Errorf("shutdown: %v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.records)
}

// dial opens a connection to the proxy and keeps what is received on it.
func (f *fixture) dial() net.Conn {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	f.t.Cleanup(func() { conn.Close() })
	return conn
}

// connect sends CONNECT and returns the connection once it is established.
func (f *fixture) connect(target string) net.Conn {
	f.t.Helper()
	conn := f.dial()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
	want := string(established)
	head := make([]byte, len(want))
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != want {
		f.t.Fatalf("CONNECT %s: %q, %v", target, head, err)
	}
	return conn
}

// open makes a TLS connection to a target through the proxy, trusting the
// proxy's authority and the upstreams'. Everything received on it is kept.
func (f *fixture) open(target string, protocols ...string) *tls.Conn {
	f.t.Helper()
	host, _, _ := strings.Cut(target, ":")
	roots := poolOf(f.authority)
	roots.AddCert(f.issuer.Certificates()[0])
	conn := tls.Client(f.connect(target), &tls.Config{ServerName: host, RootCAs: roots, NextProtos: protocols})
	if err := conn.Handshake(); err != nil {
		f.t.Fatalf("handshake with %s: %v", target, err)
	}
	return conn
}

// do sends raw bytes and reads one response to a request with that method.
func (f *fixture) do(conn net.Conn, method, raw string) *http.Response {
	f.t.Helper()
	if _, err := io.WriteString(conn, raw); err != nil {
		f.t.Fatalf("write request: %v", err)
	}
	return f.read(bufio.NewReader(conn), method)
}

// read reads one response with its whole body.
func (f *fixture) read(r *bufio.Reader, method string) *http.Response {
	f.t.Helper()
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		f.t.Fatalf("read response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatalf("read body: %v", err)
	}
	f.keep(resp, body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp
}

// exchange sends a request through the proxy and reads the response.
func (f *fixture) exchange(c *http.Client, r *http.Request) (resp *http.Response, body string) {
	f.t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	all, _ := io.ReadAll(resp.Body)
	f.keep(resp, all)
	return resp, string(all)
}

func (f *fixture) keep(resp *http.Response, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	resp.Header.Write(&f.received)
	resp.Trailer.Write(&f.received)
	f.received.Write(body)
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// client returns a real HTTP client that uses the proxy.
func (f *fixture) client(http2 bool) *http.Client {
	roots := poolOf(f.authority)
	roots.AddCert(f.issuer.Certificates()[0])
	transport := &http.Transport{
		Proxy:              http.ProxyURL(&url.URL{Scheme: "http", Host: f.addr}),
		TLSClientConfig:    &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2:  http2,
		DisableCompression: true,
	}
	f.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

func newAuthority(t *testing.T) *certs.Authority {
	t.Helper()
	a, err := certs.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// upstreamAuthority signs the certificates of all upstreams in the tests.
var issuer = sync.OnceValues(func() (*certs.Authority, error) { return certs.New(nil) })

func upstreamAuthority(t *testing.T) *certs.Authority {
	t.Helper()
	a, err := issuer()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func poolOf(a *certs.Authority) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificates()[0])
	return pool
}

// await polls until ready.
func (f *fixture) await(ready func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatal("not ready within 10 s")
		}
	}
}
