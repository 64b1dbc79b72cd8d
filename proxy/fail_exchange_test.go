package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keybearer/rules"
)

// pathRule injects below /v1/ alone.
func pathRule() rules.Config {
	c := config()
	c.Rules[0].MatchPaths = []string{"/v1/*"}
	return c
}

// What is refused inside an intercepted connection, by either protocol, and never
// reaches the upstream.
func TestRefuseExchange(t *testing.T) {
	request := func(method, authority, path string, more ...pair) []pair {
		return append([]pair{{":method", method}, {":scheme", "https"}, {":authority", authority}, {":path", path}}, more...)
	}
	misdirected := refusal{421, "http_request_error", "connection of its own"}
	method := refusal{405, "http_request_denied", "not forwarded"}
	ambiguous := refusal{403, "http_request_denied", "ambiguous_path"}
	malformed := refusal{400, "http_request_error", ""}
	tests := []struct {
		name   string
		fields []pair
		config rules.Config
		secret string
		want   refusal
		only   string // "h1" or "h2" where the other has no such request
	}{
		{"other host", request("GET", "evil.test", "/"), config(), canary, misdirected, ""},
		{"other port", request("GET", "api.test:8443", "/"), config(), canary, misdirected, ""},
		{"port 80", request("GET", "api.test:80", "/"), config(), canary, misdirected, ""},
		{"user information", request("GET", "x@api.test", "/"), config(), canary, misdirected, "h1"},
		{"path in host", request("GET", "api.test/x", "/"), config(), canary, misdirected, "h1"},
		{"list", request("GET", "api.test, evil.test", "/"), config(), canary, misdirected, "h1"},
		{"empty host", request("GET", "", "/"), config(), canary, misdirected, "h1"},
		{"subdomain", request("GET", "x.api.test", "/"), config(), canary, misdirected, ""},
		{"address", request("GET", "127.0.0.1", "/"), config(), canary, misdirected, ""},
		{"two trailing dots", request("GET", "api.test..", "/"), config(), canary, misdirected, ""},
		{"non-ASCII", request("GET", "\u0430pi.test", "/"), config(), canary, misdirected, "h1"},
		{"second host", request("GET", "api.test", "/", pair{"host", "evil.test"}), config(), canary, malformed, "h1"},
		{"the same host twice", request("GET", "api.test", "/", pair{"host", "api.test"}), config(), canary, malformed, "h1"},
		{"host field beside authority", request("GET", "api.test", "/", pair{"host", "evil.test"}), config(), canary, misdirected, "h2"},
		{"TRACE", request("TRACE", "api.test", "/"), config(), canary, method, ""},
		{"TRACK", request("TRACK", "api.test", "/"), config(), canary, method, ""},
		{"PRI", request("PRI", "api.test", "/"), config(), canary, method, ""},
		{"CONNECT", request("CONNECT", "api.test", "api.test:443"), config(), canary, method, "h1"},
		{"asterisk", request("GET", "api.test", "*"), config(), canary, malformed, "h1"},
		{"OPTIONS asterisk", request("OPTIONS", "api.test", "*"), config(), canary, malformed, ""},
		{"relative target", request("GET", "api.test", "http:evil"), config(), canary, malformed, "h1"},
		{"fragment", request("GET", "api.test", "/a#b"), config(), canary, malformed, ""},
		{"encoded dots", request("GET", "api.test", "/v1/%2e%2e/admin"), pathRule(), canary, ambiguous, ""},
		{"dots behind a slash", request("GET", "api.test", "/v1/..%2fadmin"), pathRule(), canary, ambiguous, ""},
		{"backslash", request("GET", "api.test", "/v1/..\\admin"), pathRule(), canary, ambiguous, "h1"},
		{"twice encoded", request("GET", "api.test", "/v1/%252e%252e/admin"), pathRule(), canary, ambiguous, ""},
		{"no secret", request("GET", "api.test", "/"), config(), "", refusal{502, "proxy_configuration_error", "keybearer check"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				if test.only != "" && http2 != (test.only == "h2") {
					t.Skip("no such request in this protocol")
				}
				t.Parallel()
				upstream := serveRaw(t, "api.test", protocolsOf(http2), func(conn net.Conn) {
					io.Copy(io.Discard, conn)
				})
				f := start(t, test.config, map[string]string{"api.test:443": upstream.addr})
				f.setPolicy(test.config, map[string]string{"KEY": test.secret})
				resp := f.ask(http2, "api.test:443", test.fields...)
				r := f.record()
				test.want.check(t, resp, r)
				if r.Target != "api.test:443" || len(r.Injected) > 0 || r.Method == "" && test.name != "fragment" {
					t.Errorf("record %+v", r)
				}
				upstream.gotNothing(t, http2)
			})
		})
	}
}

// gotNothing checks that no request arrived. An HTTP/2 connection may have been
// opened before the request was known.
func (c *capture) gotNothing(t *testing.T, http2 bool) {
	t.Helper()
	const frameTypeHeaders = 1
	got := c.String()
	if !http2 && got != "" {
		t.Errorf("the upstream received %q", got)
	}
	for rest := strings.TrimPrefix(got, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); len(rest) >= 9; {
		length := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
		if rest[3] <= frameTypeHeaders {
			t.Errorf("the upstream received a frame of type %d", rest[3])
		}
		rest = rest[min(len(rest), 9+length):]
	}
}

// Everything that is another spelling of the target is sent as the target (I2).
func TestHostSpellings(t *testing.T) {
	for _, host := range []string{"api.test", "API.Test", "api.test.", "api.test:443", "API.TEST.:443"} {
		t.Run(host, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				seen := make(chan string, 1)
				addr := serveHTTP(t, "api.test", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Host }))
				f := start(t, config(), map[string]string{"api.test:443": addr})
				resp := f.ask(http2, "api.test:443", pair{":method", "GET"}, pair{":scheme", "https"}, pair{":authority", host}, pair{":path", "/"})
				if resp.StatusCode != 200 {
					t.Fatalf("status %d: %s", resp.StatusCode, text(t, resp))
				}
				if got := <-seen; got != "api.test" {
					t.Errorf("the upstream saw Host %q", got)
				}
			})
		})
	}
}

// A server name that is not the target gets a TLS alert, and nothing is dialled.
func TestRefuseServerName(t *testing.T) {
	for _, name := range []string{"evil.test", "x.api.test", "test"} {
		t.Run(name, func(t *testing.T) {
			upstream := serveRaw(t, "api.test", nil, func(net.Conn) {})
			f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
			conn := f.connect("api.test:443")
			client := tlsClientFor(conn, name)
			if err := client.Handshake(); err == nil || !strings.Contains(err.Error(), "remote error") {
				t.Errorf("handshake: %v, want an alert", err)
			}
			conn.Close()
			r := f.oneRecord()
			if r.Error != "tls_protocol_error" || !strings.Contains(r.Reason, "server name") || r.Target != "api.test:443" {
				t.Errorf("record %+v", r)
			}
			if n := upstream.conns.Load(); n != 0 {
				t.Errorf("%d connections to the upstream", n)
			}
		})
	}
}

// A client that does not trust the authority leaves a record that says what to do.
func TestClientDoesNotTrust(t *testing.T) {
	f := start(t, config(), map[string]string{"api.test:443": closedPort(t)})
	conn := f.connect("api.test:443")
	if err := tlsClientFor(conn, "api.test").Handshake(); err == nil {
		t.Error("the client trusts an authority that it does not know")
	}
	conn.Close()
	if r := f.oneRecord(); r.Error != "tls_protocol_error" || !strings.Contains(r.Reason, "keybearer env") {
		t.Errorf("record %+v", r)
	}
}

// Inside a connection a head may be larger than outside, but not endless. Here
// net/http answers for HTTP/2, so there is no Proxy-Status.
func TestRefuseInnerHeadSize(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		upstream := serveRaw(t, "api.test", protocolsOf(http2), func(conn net.Conn) { io.Copy(io.Discard, conn) })
		f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
		resp := f.ask(http2, "api.test:443", get("/", slices.Repeat([]pair{{"x", strings.Repeat("a", 1<<10)}}, 64)...)...)
		if http2 {
			if resp.StatusCode != 431 {
				t.Errorf("status %d", resp.StatusCode)
			}
		} else {
			refusal{431, "http_request_error", "shorter headers"}.check(t, resp, f.oneRecord())
		}
		upstream.gotNothing(t, http2)
	})
}

// 200 fields pass, one more does not.
func TestRefuseInnerFieldCount(t *testing.T) {
	upstream := serveRaw(t, "api.test", nil, respondWith("HTTP/1.1 204 No Content\r\n\r\n"))
	f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
	fields := func(n int) string {
		return "GET / HTTP/1.1\r\nHost: api.test\r\n" + strings.Repeat("A: b\r\n", n-1) + "\r\n"
	}
	conn := f.open("api.test:443")
	if resp := f.do(conn, "GET", fields(200)); resp.StatusCode != 204 {
		t.Errorf("200 fields: status %d", resp.StatusCode)
	}
	f.record()
	resp := f.do(conn, "GET", fields(201))
	conn.Close()
	refusal{431, "http_request_error", "fewer"}.check(t, resp, f.record())
	if n := strings.Count(upstream.String(), "GET "); n != 1 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

// A rule that the policy has no action for is our bug: 500, and nothing is sent.
func TestRefuseInternal(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		upstream := serveRaw(t, "api.test", protocolsOf(http2), func(conn net.Conn) { io.Copy(io.Discard, conn) })
		f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
		f.proxy.SetPolicy(&Policy{set: f.policy.set})
		resp := f.ask(http2, "api.test:443", get("/")...)
		refusal{500, "proxy_internal_error", "not sent"}.check(t, resp, f.record())
		upstream.gotNothing(t, http2)
	})
}

// A panic fails closed, in one exchange: nothing is sent, nothing answered, and
// the proxy serves on.
func TestPanicFailsClosed(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		upstream := serveRaw(t, "api.test", protocolsOf(http2), func(conn net.Conn) { io.Copy(io.Discard, conn) })
		f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
		conn := f.open("api.test:443", protocolsOf(http2)...)
		f.proxy.SetPolicy(nil) // to be looked at is to panic
		if http2 {
			if a := f.prefaced(conn).ask(get("/")...); a.ended != "reset" && a.status() != 500 {
				t.Errorf("the stream ended with %s", a.ended)
			}
		} else {
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
			if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && resp.StatusCode != 500 {
				t.Errorf("status %d", resp.StatusCode)
			}
		}
		conn.Close()
		if r := f.oneRecord(); r.Error != "proxy_internal_error" || r.Target != "api.test:443" {
			t.Errorf("record %+v", r)
		}
		upstream.gotNothing(t, http2)
	})
}

// A client that is too slow with a head gets a 408 after headTimeout; one that
// says nothing is let go without a word.
func TestRefuseSlowHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := make(chan Record, 1)
		p := &Proxy{Emit: func(r Record) { records <- r }}
		p.setup.Do(p.init)
		client, server := net.Pipe()
		defer client.Close()
		go p.serve(server)
		began := time.Now()
		io.WriteString(client, "CONNECT api.te")
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != headTimeout {
			t.Errorf("answered after %v, want %v", took, headTimeout)
		}
		refusal{408, "http_request_error", "at once"}.check(t, resp, <-records)
	})
	synctest.Test(t, func(t *testing.T) {
		p := &Proxy{Emit: func(r Record) { t.Errorf("record %+v", r) }}
		p.setup.Do(p.init)
		client, server := net.Pipe()
		defer client.Close()
		go p.serve(server)
		began := time.Now()
		if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("an idle client received %d bytes, %v", n, err)
		}
		if took := time.Since(began); took != idleTimeout {
			t.Errorf("closed after %v, want %v", took, idleTimeout)
		}
	})
}
