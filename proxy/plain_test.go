package proxy

import (
	"bufio"
	"net"
	"strings"
	"testing"

	"keybearer/rules"
)

// plainUpstream answers every request with 204 and keeps what it received.
func plainUpstream(t *testing.T) *capture {
	return serveTCP(t, func(conn net.Conn) { answering(noContent)(conn, bufio.NewReader(conn)) })
}

// The absolute form of a plain http:// request becomes the origin form; Host is
// the URI's, whatever the Host field says (RFC 9112 section 3.2.2).
func TestPlainForward(t *testing.T) {
	for _, test := range []struct{ name, sent, want string }{
		{"path", "GET http://other.test/a/../b?c=%zz HTTP/1.1\r\nHost: other.test\r\nX: y\r\n\r\n",
			"GET /a/../b?c=%zz HTTP/1.1\r\nHost: other.test\r\nX: y\r\n\r\n"},
		{"no path", "GET http://other.test HTTP/1.1\r\nHost: other.test\r\n\r\n", "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n"},
		{"query alone", "GET http://other.test?a=/b HTTP/1.1\r\nHost: other.test\r\n\r\n", "GET /?a=/b HTTP/1.1\r\nHost: other.test\r\n\r\n"},
		{"port", "GET http://other.test:80/ HTTP/1.1\r\nHost: other.test:80\r\n\r\n", "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n"},
		{"other port", "GET http://other.test:8080/ HTTP/1.1\r\nHost: other.test:8080\r\n\r\n", "GET / HTTP/1.1\r\nHost: other.test:8080\r\n\r\n"},
		{"case", "GET HTTP://OTHER.test/ HTTP/1.1\r\nhost: Other.Test\r\n\r\n", "GET / HTTP/1.1\r\nhost: other.test\r\n\r\n"},
		{"no Host", "GET http://other.test/ HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nHost: other.test\r\n\r\n"},
		{"proxy fields", "GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nAuthorization: mine\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: other.test\r\nAuthorization: mine\r\n\r\n"},
		{"body", "POST http://other.test/ HTTP/1.1\r\nHost: other.test\r\nContent-Length: 2\r\n\r\nhi", "POST / HTTP/1.1\r\nHost: other.test\r\nContent-Length: 2\r\n\r\nhi"},
		{"another scheme in the path", "GET http://other.test/http://evil.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n",
			"GET /http://evil.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			upstream := serveTCP(t, func(conn net.Conn) {
				r := bufio.NewReader(conn)
				if strings.HasPrefix(head(r), "POST") {
					expect(t, r, "hi")
				}
				conn.Write([]byte(noContent))
			})
			f := start(t, config(), map[string]string{"other.test:80": upstream.addr, "other.test:8080": upstream.addr})
			conn := f.dial()
			if resp := f.do(conn, "GET", test.sent); resp.StatusCode != 204 {
				t.Errorf("status %d: %s", resp.StatusCode, text(t, resp))
			}
			if got := upstream.String(); got != test.want {
				t.Errorf("the upstream received\n%q, want\n%q", got, test.want)
			}
			conn.Close()
			r := f.oneRecord()
			if r.Protocol != protoHTTP1 || r.Verdict != rules.Tunnel || !strings.HasPrefix(r.Target, "other.test:80") || r.Status != 204 || strings.Contains(r.Path, "?") {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// What is refused of plain requests; nothing is sent.
func TestRefusePlain(t *testing.T) {
	names.resolve(t, "private.test", "10.0.0.1")
	get := func(url string) string {
		host, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
		return "GET " + url + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	}
	badTarget := refusal{400, "http_request_error", "name a host and a port"}
	notProxy := refusal{400, "http_request_error", "HTTPS_PROXY"}
	for _, test := range []struct {
		name, raw string
		config    rules.Config
		want      refusal
	}{
		{"https", get("https://other.test/"), config(), refusal{400, "http_request_error", "opens a tunnel"}},
		{"websocket scheme", get("ws://other.test/"), config(), notProxy},
		{"origin form", get("/"), config(), notProxy},
		{"no host", "GET http:///x HTTP/1.1\r\nHost: other.test\r\n\r\n", config(), badTarget},
		{"user information", "GET http://a:b@other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n", config(), badTarget},
		{"octal address", get("http://0177.1/"), config(), badTarget},
		{"port zero", get("http://other.test:0/"), config(), badTarget},
		{"other Host", "GET http://other.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n", config(), refusal{421, "http_request_error", "evil.test"}},
		{"Host with another port", "GET http://other.test/ HTTP/1.1\r\nHost: other.test:443\r\n\r\n", config(), refusal{421, "http_request_error", ""}},
		{"two Hosts", "GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\nHost: other.test\r\n\r\n", config(), refusal{400, "http_request_error", ""}},
		{"TRACE", "TRACE http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n", config(), refusal{405, "http_request_denied", "TRACE"}},
		{"denied", get("http://bad.test/"), denyList("bad.test:80"), refusal{403, "http_request_denied", "bad.test"}},
		{"private", get("http://10.0.0.1/"), config(), refusal{403, "destination_ip_prohibited", "allow_private"}},
		{"name of a private address", get("http://private.test/"), config(), refusal{403, "destination_ip_prohibited", "allow_private"}},
		{"metadata", get("http://169.254.169.254/latest/meta-data/"), config(), refusal{403, "destination_ip_prohibited", "allow_private"}},
		{"does not resolve", get("http://nowhere.test/"), config(), refusal{502, "dns_error", "nowhere.test"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			upstream := plainUpstream(t)
			f := start(t, test.config, map[string]string{"other.test:80": upstream.addr, "evil.test:80": upstream.addr, "other.test:443": upstream.addr})
			conn := f.dial()
			resp := f.do(conn, "GET", test.raw)
			conn.Close()
			test.want.check(t, resp, f.oneRecord())
			if upstream.conns.Load() != 0 {
				t.Error("the upstream was dialled")
			}
		})
	}
	t.Run("own listener", func(t *testing.T) {
		f := start(t, config(), nil)
		conn := f.dial()
		resp := f.do(conn, "GET", get("http://"+f.addr+"/"))
		conn.Close()
		refusal{403, "proxy_loop_detected", ""}.check(t, resp, f.oneRecord())
	})
}

// No secret goes out in plaintext (I4): the record says that the rule did not
// act. Only allow_plaintext changes that.
func TestPlaintextInjection(t *testing.T) {
	allowed := config()
	allowed.Rules[0].AllowPlaintext = true
	port := config()
	port.Rules[0].MatchHosts = []string{"api.test:80"}
	for _, test := range []struct {
		name     string
		config   rules.Config
		injected bool
	}{{"rule", config(), false}, {"rule for the port", port, false}, {"allow_plaintext", allowed, true}} {
		t.Run(test.name, func(t *testing.T) {
			upstream := plainUpstream(t)
			f := start(t, test.config, map[string]string{"api.test:80": upstream.addr})
			conn := f.dial()
			resp := f.do(conn, "GET", "GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\nAuthorization: bogus\r\n\r\n")
			if resp.StatusCode != 204 {
				t.Fatalf("status %d: %s", resp.StatusCode, text(t, resp))
			}
			conn.Close()
			got, r := upstream.String(), f.oneRecord()
			if strings.Contains(got, canary) != test.injected || strings.Contains(got, "bogus") == test.injected {
				t.Errorf("the upstream received %q", got)
			}
			if test.injected != (len(r.Injected) == 1) || (r.Reason == "plaintext_not_injected") == test.injected || r.Rule != "api" {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// A rule that needs its secret and has none refuses plain requests too.
func TestPlaintextWithoutSecret(t *testing.T) {
	c := config()
	c.Rules[0].AllowPlaintext = true
	upstream := plainUpstream(t)
	f := start(t, c, map[string]string{"api.test:80": upstream.addr})
	f.setPolicy(c, nil)
	conn := f.dial()
	resp := f.do(conn, "GET", "GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n")
	conn.Close()
	refusal{502, "proxy_configuration_error", "keybearer check"}.check(t, resp, f.oneRecord())
	if upstream.conns.Load() != 0 {
		t.Error("the upstream was dialled")
	}
}

// One client connection serves several targets, each request judged on its own,
// and may end with a CONNECT.
func TestPlainSeveralTargets(t *testing.T) {
	one, two := plainUpstream(t), plainUpstream(t)
	tunnelled := serveTCP(t, func(conn net.Conn) { conn.Write([]byte("hello")) })
	f := start(t, config(), map[string]string{"one.test:80": one.addr, "two.test:80": two.addr, "direct.test:443": tunnelled.addr})
	conn := f.dial()
	for range 2 {
		for _, host := range []string{"one", "two"} {
			resp := f.do(conn, "GET", "GET http://"+host+".test/"+host+" HTTP/1.1\r\nHost: "+host+".test\r\n\r\n")
			if resp.StatusCode != 204 {
				t.Fatalf("status %d: %s", resp.StatusCode, text(t, resp))
			}
			if r := f.record(); r.Target != host+".test:80" || r.Path != "/"+host {
				t.Errorf("record %+v", r)
			}
		}
	}
	conn.Write([]byte(connectTo("direct.test:443")))
	expect(t, conn, string(established)+"hello")
	for name, upstream := range map[string]*capture{"one": one, "two": two} {
		want := strings.Repeat("GET /"+name+" HTTP/1.1\r\nHost: "+name+".test\r\n\r\n", 2)
		if got := upstream.String(); got != want || upstream.conns.Load() != 1 {
			t.Errorf("%s received %q over %d connections", name, got, upstream.conns.Load())
		}
	}
}

// WebSockets work over plain http:// too.
func TestPlainWebSocket(t *testing.T) {
	upstream := serveTCP(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		head(r)
		conn.Write([]byte(switched))
		line, _ := r.ReadString('\n')
		conn.Write([]byte(strings.ToUpper(line)))
	})
	f := start(t, config(), map[string]string{"other.test:80": upstream.addr})
	conn := f.dial()
	conn.Write([]byte(strings.NewReplacer("GET /ws", "GET http://other.test/ws", "Host: api.test", "Host: other.test").Replace(upgrade)))
	r := bufio.NewReader(conn)
	if got := head(r); !strings.HasPrefix(got, "HTTP/1.1 101 ") {
		t.Fatalf("received %q", got)
	}
	conn.Write([]byte("hello\n"))
	expect(t, r, "HELLO\n")
	conn.Close()
	if rec := f.oneRecord(); rec.Status != 101 || rec.BytesReceived != 6 || rec.BytesSent != 6 {
		t.Errorf("record %+v", rec)
	}
}
