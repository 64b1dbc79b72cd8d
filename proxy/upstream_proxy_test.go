package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"keybearer/certs"
	"keybearer/rules"
	"keybearer/secrets"
)

// proxyPassword is the secret of the upstream proxy's credentials.
const proxyPassword = "kb-canary-of-the-corporate-proxy"

// proxyCredentials are user:proxyPassword.
const proxyCredentials = "Basic dXNlcjprYi1jYW5hcnktb2YtdGhlLWNvcnBvcmF0ZS1wcm94eQ=="

// corporate is the proxy of a corporate network. It opens tunnels to the hosts that
// it knows, answers other requests itself, and keeps the heads of what it was asked.
type corporate struct {
	addr   string
	behind string // sent with the 200

	mu    sync.Mutex
	heads []string
	hosts map[string]string // target to address
}

// startCorporate runs one that speaks TLS if leaf is not nil, and that wants the
// credentials.
func startCorporate(t *testing.T, leaf *tls.Certificate, hosts map[string]string) *corporate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if leaf != nil {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*leaf}})
	}
	c := &corporate{hosts: hosts}
	c.addr = serveListener(t, l, func(conn net.Conn) { c.serve(conn, bufio.NewReader(conn)) }).addr
	return c
}

func (c *corporate) serve(conn net.Conn, r *bufio.Reader) {
	for {
		h := head(r)
		if !strings.HasSuffix(h, "\r\n\r\n") {
			return
		}
		c.mu.Lock()
		c.heads = append(c.heads, h)
		method, rest, _ := strings.Cut(h, " ")
		target, _, _ := strings.Cut(rest, " ")
		addr := c.hosts[target]
		c.mu.Unlock()
		switch {
		case !strings.Contains(h, "\r\nProxy-Authorization: "+proxyCredentials+"\r\n"):
			io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
		case method == "CONNECT":
			c.tunnel(conn, r, addr)
			return
		default:
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nforwarded")
		}
	}
}

func (c *corporate) tunnel(conn net.Conn, r io.Reader, addr string) {
	to, err := net.Dial("tcp", addr)
	if err != nil {
		io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\n\r\n")
		return
	}
	defer to.Close()
	io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nVia: corporate\r\n\r\n"+c.behind)
	go func() {
		io.Copy(to, r)
		to.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(conn, to)
}

// asked returns the heads, and demands the credentials once in each, and no secret of
// a rule in any.
func (c *corporate) asked(t *testing.T) []string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.heads {
		if strings.Count(strings.ToLower(h), "proxy-authorization") != 1 || strings.Contains(h, canary) {
			t.Errorf("the upstream proxy was asked %q", h)
		}
	}
	return slices.Clone(c.heads)
}

// connectHead is how a tunnel is asked for: with nothing of the client's.
func connectHead(target string) string {
	return "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\nProxy-Authorization: " + proxyCredentials + "\r\n\r\n"
}

// startBehind runs a keybearer that reaches everything but direct through a proxy.
func startBehind(t *testing.T, c rules.Config, url string, direct ...string) *fixture {
	t.Helper()
	f := startWith(t, c, nil, func(p *Proxy) { p.UpstreamProxy = upstreamProxyAt(t, url, direct...) })
	t.Cleanup(func() { // of its credentials nobody learns anything
		f.mu.Lock()
		defer f.mu.Unlock()
		told := f.received.String() + fmt.Sprintf("%+v", f.records)
		if strings.Contains(told, proxyPassword) || strings.Contains(told, strings.TrimPrefix(proxyCredentials, "Basic ")) {
			t.Errorf("a client or a record holds the credentials of the upstream proxy: %s", told)
		}
	})
	return f
}

func upstreamProxyAt(t *testing.T, url string, direct ...string) *UpstreamProxy {
	t.Helper()
	scheme, address, _ := strings.Cut(url, "://")
	target, err := rules.ParseTarget(address, 0)
	if err != nil {
		t.Fatal(err)
	}
	set, problems := rules.Compile(rules.Config{
		NoProxy: direct, ClientAuth: &rules.BasicAuthConfig{Username: "user", Password: "${PROXY_PASS}"},
	}, rules.Deny)
	if set == nil {
		t.Fatal(problems)
	}
	credentials, _ := set.ClientAuth()
	store, err := secrets.Open(secrets.Sources{Environ: []string{"PROXY_PASS=" + proxyPassword}})
	if err != nil {
		t.Fatal(err)
	}
	return &UpstreamProxy{
		Address: target, TLS: scheme == "https", Credentials: &credentials, Lookup: store.Lookup,
		Direct: func(t rules.Target) bool { return set.Decide(t).Verdict == rules.Tunnel },
	}
}

func leafFor(t *testing.T, a *certs.Authority, host string) *tls.Certificate {
	t.Helper()
	leaf, err := a.Leaf(host)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// overKinds runs a test with an http:// and an https:// upstream proxy that knows the
// hosts.
func overKinds(t *testing.T, hosts map[string]string, test func(t *testing.T, c *corporate, url string)) {
	t.Run("http proxy", func(t *testing.T) {
		c := startCorporate(t, nil, hosts)
		test(t, c, "http://"+c.addr)
	})
	t.Run("https proxy", func(t *testing.T) {
		names.resolve(t, "proxy.test", "127.0.0.1")
		c := startCorporate(t, leafFor(t, upstreamAuthority(t), "proxy.test"), hosts)
		_, port, _ := net.SplitHostPort(c.addr)
		test(t, c, "https://proxy.test:"+port)
	})
}

// An intercepted exchange goes through a tunnel, in which TLS is with the upstream:
// the proxy in between sees a CONNECT and its own credentials. The tunnel is kept for
// the next exchange, and the upstream sees none of this.
func TestUpstreamProxyIntercept(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+canary || r.Header.Get("Proxy-Authorization") != "" || (r.ProtoMajor == 2) != http2 {
				t.Errorf("the upstream received %s %v", r.Proto, r.Header)
			}
			io.WriteString(w, "fine")
		}))
		overKinds(t, map[string]string{"api.test:443": addr}, func(t *testing.T, c *corporate, url string) {
			f := startBehind(t, config(), url)
			client := f.client(http2)
			for range 2 {
				resp, err := client.Get("https://api.test/")
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(body) != "fine" || err != nil {
					t.Fatalf("%d %q, %v", resp.StatusCode, body, err)
				}
			}
			if got, want := c.asked(t), []string{connectHead("api.test:443")}; !slices.Equal(got, want) {
				t.Errorf("the upstream proxy was asked\n%q, want\n%q", got, want)
			}
		})
	})
}

// A big upload and download through a proxy arrive whole, over both protocols.
func TestUpstreamProxyBigBodies(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			io.Copy(w, r.Body)
		}))
		overKinds(t, map[string]string{"api.test:443": addr}, func(t *testing.T, _ *corporate, url string) {
			payload := string(randomBytes(1 << 20))
			resp, err := startBehind(t, config(), url).client(http2).Post("https://api.test/", "application/octet-stream", strings.NewReader(payload))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); string(body) != payload || err != nil {
				t.Errorf("%d of %d bytes came back, %v", len(body), len(payload), err)
			}
		})
	})
}

// What is not intercepted is tunnelled through the proxy: byte for byte, beginning with
// what came in one piece with the proxy's answer, to the end of each direction.
//
// Seen red: without resumed the client never received "hello ".
func TestUpstreamProxyTunnel(t *testing.T) {
	upstream := serveTCP(t, func(conn net.Conn) {
		b, _ := io.ReadAll(conn)
		io.WriteString(conn, strings.ToUpper(string(b)))
		conn.(*keptConn).Conn.(*net.TCPConn).CloseWrite()
	})
	c := startCorporate(t, nil, map[string]string{"direct.test:25": upstream.addr})
	c.behind = "hello "
	f := startBehind(t, config(), "http://"+c.addr)
	conn := f.connect("direct.test:25")
	io.WriteString(conn, "world")
	conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(conn); string(got) != "hello WORLD" || err != nil {
		t.Errorf("received %q, %v", got, err)
	}
	if got := c.asked(t); !slices.Equal(got, []string{connectHead("direct.test:25")}) {
		t.Errorf("the upstream proxy was asked %q", got)
	}
	if r := f.oneRecord(); r.Verdict != rules.Tunnel || r.Status != 200 || r.BytesReceived != 5 || r.BytesSent != 11 {
		t.Errorf("record %+v", r)
	}
}

// Plain http:// goes to the proxy in absolute form, over one connection as long as it
// is for one client and one target; what the client says to its own proxy stays behind.
func TestUpstreamProxyPlain(t *testing.T) {
	overKinds(t, nil, func(t *testing.T, c *corporate, url string) {
		f := startBehind(t, config(), url)
		conn := f.dial()
		for range 2 {
			resp := f.do(conn, "GET", "GET http://Other.test/a/../b?c=%zz HTTP/1.1\r\nhost: other.test:80\r\nProxy-Authorization: mine\r\nX: y\r\n\r\n")
			if got := text(t, resp); got != "forwarded" {
				t.Fatalf("%d %q", resp.StatusCode, got)
			}
		}
		want := "GET http://other.test/a/../b?c=%zz HTTP/1.1\r\nhost: other.test\r\nX: y\r\nAccept-Encoding: identity\r\nProxy-Authorization: " + proxyCredentials + "\r\n\r\n"
		if got := c.asked(t); !slices.Equal(got, []string{want, want}) {
			t.Errorf("the upstream proxy was asked\n%q, want twice\n%q", got, want)
		}
	})
}

// WebSockets go through a tunnel, intercepted or not: few proxies upgrade.
func TestUpstreamProxyWebSocket(t *testing.T) {
	serve := func(conn net.Conn) {
		r := bufio.NewReader(conn)
		if h := head(r); !strings.HasPrefix(h, "GET /ws ") {
			t.Errorf("the upstream received %q", h)
		}
		io.WriteString(conn, switched)
		line, _ := r.ReadString('\n')
		io.WriteString(conn, strings.ToUpper(line))
	}
	hosts := map[string]string{
		"api.test:443":  serveRaw(t, "api.test", nil, serve).addr,
		"other.test:80": serveTCP(t, serve).addr,
	}
	overKinds(t, hosts, func(t *testing.T, c *corporate, url string) {
		for _, test := range []struct{ name, target, request string }{
			{"wss", "api.test:443", upgrade},
			{"ws", "other.test:80", strings.NewReplacer("GET /ws", "GET http://other.test/ws", "Host: api.test", "Host: other.test").Replace(upgrade)},
		} {
			t.Run(test.name, func(t *testing.T) {
				f := startBehind(t, config(), url)
				conn := f.dial()
				if test.name == "wss" {
					conn = f.open(test.target, protoHTTP1)
				}
				io.WriteString(conn, test.request)
				r := bufio.NewReader(conn)
				if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 101 ") {
					t.Fatalf("received %q", got)
				}
				io.WriteString(conn, "hello\n")
				expect(t, r, "HELLO\n")
				if got := c.asked(t); got[len(got)-1] != connectHead(test.target) {
					t.Errorf("the upstream proxy was asked %q", got)
				}
			})
		}
	})
}

// The proxy is not asked for what upstream_no_proxy names, for what has an override,
// and for this machine.
func TestUpstreamProxyDirect(t *testing.T) {
	for _, test := range []struct {
		name, target string
		set          func(t *testing.T, p *Proxy, addr string)
	}{
		{"upstream_no_proxy", "direct.test:", func(t *testing.T, p *Proxy, addr string) {
			names.resolve(t, "direct.test", "127.0.0.1")
			p.UpstreamProxy.Direct = func(t rules.Target) bool { return t.Host() == "direct.test" }
		}},
		{"override", "direct.test:443", func(t *testing.T, p *Proxy, addr string) {
			o, err := ParseOverride("direct.test:443:" + addr)
			if err != nil {
				t.Fatal(err)
			}
			p.Overrides = []Override{o}
		}},
		{"loopback address", "127.0.0.1:", nil},
		{"localhost", "localhost:", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			upstream := serveTCP(t, func(conn net.Conn) { io.WriteString(conn, "direct") })
			c := startCorporate(t, nil, nil)
			policy := config()
			policy.NoProxy = []string{"direct.test", "127.0.0.1", "localhost"}
			f := startWith(t, policy, nil, func(p *Proxy) {
				p.UpstreamProxy = upstreamProxyAt(t, "http://"+c.addr)
				if test.set != nil {
					test.set(t, p, upstream.addr)
				}
			})
			target := test.target
			if strings.HasSuffix(target, ":") {
				_, port, _ := net.SplitHostPort(upstream.addr)
				target += port
			}
			expect(t, f.connect(target), "direct")
			if got := c.asked(t); len(got) > 0 {
				t.Errorf("the upstream proxy was asked %q", got)
			}
		})
	}
}
