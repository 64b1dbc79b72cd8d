package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"keybearer/certs"
	"keybearer/rules"
	"keybearer/secrets"
)

// A target that is written as a special-purpose address is refused although its
// connection would be another's to open (I7), and so are the names of metadata
// services; what the operator named or allowed is not.
//
// What keybearer itself listens on is not asked for either, the admin listener (I18):
// the other proxy might lead back to it.
//
// Seen red: without mayAsk all of them were asked for; with the proxy's own listeners
// alone, 93.184.216.34:9901.
func TestUpstreamProxyAddresses(t *testing.T) {
	prohibited := "destination_ip_prohibited"
	for _, test := range []struct{ target, kind string }{
		{"10.0.0.1:443", prohibited},
		{"[fd00::1]:443", prohibited},
		{"100.64.0.1:80", prohibited},
		{"169.254.169.254:80", prohibited},
		{"[::ffff:169.254.169.254]:80", prohibited},
		{"metadata.google.internal:80", prohibited},
		{"172.16.0.1:443", ""},                       // in allow_private
		{"192.168.0.1:443", ""},                      // in no_proxy
		{"93.184.216.34:443", ""},                    // public
		{"93.184.216.99:443", "http_request_denied"}, // in the deny_list
		{"10.example.test:443", ""},
		{"93.184.216.34:9901", "proxy_loop_detected"}, // the admin listener
	} {
		t.Run(test.target, func(t *testing.T) {
			upstream := serveTCP(t, func(conn net.Conn) { io.WriteString(conn, "tunnel") })
			parsed, err := rules.ParseTarget(test.target, 0)
			if err != nil {
				t.Fatal(err)
			}
			c := startCorporate(t, nil, map[string]string{parsed.String(): upstream.addr})
			policy := denyList("93.184.216.99/32")
			policy.NoProxy = []string{"192.168.0.1"}
			f := startWith(t, policy, nil, func(p *Proxy) {
				p.UpstreamProxy = upstreamProxyAt(t, "http://"+c.addr)
				p.AllowPrivate = prefixes("172.16.0.0/12")
				p.Own = []net.Addr{&net.TCPAddr{IP: net.IPv4(93, 184, 216, 34), Port: 9901}}
			})
			if test.kind == "" {
				expect(t, f.connect(test.target), "tunnel")
				return
			}
			conn := f.dial()
			resp := f.do(conn, "CONNECT", connectTo(test.target))
			conn.Close()
			refusal{403, test.kind, ""}.check(t, resp, f.oneRecord())
			if got := c.asked(t); len(got) > 0 {
				t.Errorf("the upstream proxy was asked %q", got)
			}
		})
	}
}

// A proxy is not trusted: what answers in its tunnel must have the upstream's
// certificate (I5), and our own authority signs none.
func TestUpstreamProxyVerifies(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		for _, name := range []string{"another host", "unknown authority"} {
			t.Run(name, func(t *testing.T) {
				leaf := leafFor(t, upstreamAuthority(t), "evil.test")
				if name == "unknown authority" {
					leaf = leafFor(t, newAuthority(t), "api.test")
				}
				l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*leaf}, NextProtos: protocolsOf(http2)})
				if err != nil {
					t.Fatal(err)
				}
				evil := serveListener(t, l, func(conn net.Conn) { io.Copy(io.Discard, conn) })
				c := startCorporate(t, nil, map[string]string{"api.test:443": evil.addr})
				f := startBehind(t, config(), "http://"+c.addr)
				resp := f.fetch(http2)
				refusal{502, "tls_certificate_error", "for the host"}.check(t, resp, f.record())
				if got := evil.String(); strings.Contains(got, canary) {
					t.Errorf("it received %q", got)
				}
			})
		}
	})
}

// Whatever is wrong with the proxy is told as such, and the next step names the
// setting; over both protocols, and for a tunnel before its 200.
func TestUpstreamProxyFails(t *testing.T) {
	names.resolve(t, "proxy.test", "127.0.0.1")
	closed := func(t *testing.T) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return "http://" + l.Addr().String()
	}
	answers := func(answer string) func(*testing.T) string {
		return func(t *testing.T) string {
			return "http://" + serveTCP(t, func(conn net.Conn) {
				head(bufio.NewReader(conn))
				io.WriteString(conn, answer)
			}).addr
		}
	}
	secured := func(host string, a func(t *testing.T) *certs.Authority) func(t *testing.T) string {
		return func(t *testing.T) string {
			_, port, _ := net.SplitHostPort(startCorporate(t, leafFor(t, a(t), host), nil).addr)
			return "https://proxy.test:" + port
		}
	}
	for _, test := range []struct {
		name string
		url  func(*testing.T) string
		want refusal
	}{
		{"refuses", closed, refusal{502, "connection_refused", " refused the connection.\nNext: check upstream_proxy"}},
		{"has no address", func(*testing.T) string { return "http://nowhere.test:3128" }, refusal{502, "dns_error", "the upstream proxy nowhere.test:3128 has a name that does not resolve"}},
		{"is metadata", func(*testing.T) string { return "http://169.254.169.254:80" }, refusal{502, "destination_ip_prohibited", "metadata"}},
		{"wants other credentials", answers("HTTP/1.1 407 No\r\n\r\n"), refusal{502, "proxy_configuration_error", "wants other credentials.\nNext: check the username"}},
		{"forbids", answers("HTTP/1.1 403 Forbidden\r\n\r\n<html>"), refusal{502, "destination_unavailable", "answered CONNECT with 403"}},
		{"cannot", answers("HTTP/1.0 504 Gateway Timeout\r\n\r\n"), refusal{502, "destination_unavailable", "answered CONNECT with 504"}},
		{"switches", answers("HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), refusal{502, "destination_unavailable", "answered CONNECT with 101"}}, // seen red: as one more 1xx
		{"redirects", answers("HTTP/1.1 302 Found\r\nLocation: https://login.test/\r\n\r\n"), refusal{502, "destination_unavailable", "answered CONNECT with 302"}},
		{"sends no HTTP", answers("220 mail ESMTP\r\n"), refusal{502, "http_protocol_error", "malformed answer"}},
		{"sends a long head", answers("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", outerHeadLimit)), refusal{502, "http_protocol_error", "malformed answer"}},
		{"hangs up", answers(""), refusal{502, "http_response_incomplete", "closed the connection"}},
		{"hangs up in a head", answers("HTTP/1.1 200 OK\r\n"), refusal{502, "http_response_incomplete", "closed the connection"}},
		{"has a certificate for another host", secured("other.test", upstreamAuthority), refusal{502, "tls_certificate_error", "is not valid for it.\nNext: if a private authority"}},
		{"has a certificate of an unknown authority", secured("proxy.test", newAuthority), refusal{502, "tls_certificate_error", "is not valid for it"}},
		{"speaks no TLS", func(t *testing.T) string {
			return "https://" + serveTCP(t, func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }).addr
		}, refusal{502, "tls_protocol_error", "did not complete the TLS handshake"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := test.url(t)
			overBoth(t, func(t *testing.T, http2 bool) {
				f := startBehind(t, config(), url)
				resp := f.fetch(http2)
				test.want.check(t, resp, f.record())
			})
			t.Run("tunnel", func(t *testing.T) {
				f := startBehind(t, config(), url)
				conn := f.dial()
				resp := f.do(conn, "CONNECT", connectTo("direct.test:443"))
				conn.Close()
				test.want.check(t, resp, f.oneRecord())
			})
		})
	}
}

// A proxy that is keybearer itself is found out before it is connected to.
func TestUpstreamProxyLoop(t *testing.T) {
	f := startWith(t, config(), nil, func(p *Proxy) { p.UpstreamProxy = new(UpstreamProxy) })
	f.proxy.UpstreamProxy.Address, _ = rules.ParseTarget(f.addr, 0)
	conn := f.dial()
	resp := f.do(conn, "CONNECT", connectTo("direct.test:443"))
	conn.Close()
	refusal{502, "proxy_loop_detected", "is this proxy itself"}.check(t, resp, f.oneRecord())
}

// The 407 of a proxy to a plain request is not for the client, who would take it for
// keybearer's; any other status may be the upstream's.
func TestUpstreamProxyPlainRefused(t *testing.T) {
	for _, test := range []struct {
		answer string
		want   int
	}{{"407 No", 502}, {"403 No", 403}} {
		t.Run(test.answer, func(t *testing.T) {
			c := serveTCP(t, respondWith("HTTP/1.1 "+test.answer+"\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"))
			f := startBehind(t, config(), "http://"+c.addr)
			conn := f.dial()
			resp := f.do(conn, "GET", "GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n")
			conn.Close()
			if resp.StatusCode != test.want || resp.Header.Get("Proxy-Authenticate") != "" {
				t.Errorf("received %d %v", resp.StatusCode, resp.Header)
			}
			if r := f.oneRecord(); test.want == 502 && r.Error != "proxy_configuration_error" {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// Without its secret the proxy is not asked; and the secret is looked up anew for
// every connection, so that it may change.
func TestUpstreamProxySecret(t *testing.T) {
	c := startCorporate(t, nil, nil)
	f := startBehind(t, config(), "http://"+c.addr)
	f.proxy.UpstreamProxy.Lookup = func(string) (secrets.Value, error) { return secrets.Value{}, errors.New("gone") }
	var missing *SecretError
	if err := f.proxy.UpstreamProxy.Check(); !errors.As(err, &missing) || missing.Secret != "PROXY_PASS" {
		t.Errorf("Check returned %v", err)
	}
	conn := f.dial()
	resp := f.do(conn, "CONNECT", connectTo("direct.test:443"))
	conn.Close()
	refusal{502, "proxy_configuration_error", "the credentials of upstream_proxy"}.check(t, resp, f.oneRecord())
	if got := c.asked(t); len(got) > 0 {
		t.Errorf("the upstream proxy was asked %q", got)
	}
}

// fetch gets https://api.test/ with a real client.
func (f *fixture) fetch(http2 bool) *http.Response {
	f.t.Helper()
	resp, err := f.client(http2).Get("https://api.test/")
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	f.keep(resp, body)
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp
}
