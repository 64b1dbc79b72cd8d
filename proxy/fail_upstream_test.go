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
	"testing/synctest"
	"time"

	"keybearer/rules"
)

// What else goes wrong on the way to an upstream, or with what it answers.
func TestRefuseUpstream(t *testing.T) {
	tlsError := refusal{502, "tls_protocol_error", "TLS 1.2"}
	garbage := refusal{502, "http_protocol_error", "check the upstream"}
	early := refusal{502, "http_response_incomplete", "try again"}
	answer := func(response string) func(t *testing.T) string {
		return func(t *testing.T) string {
			return serveRaw(t, "api.test", []string{protoHTTP1}, func(conn net.Conn) {
				http.ReadRequest(bufio.NewReader(conn))
				io.WriteString(conn, response)
			}).addr
		}
	}
	raw := func(handle func(net.Conn)) func(t *testing.T) string {
		return func(t *testing.T) string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			return serveListener(t, l, handle).addr
		}
	}
	tests := []struct {
		name string
		addr func(t *testing.T) string // of the upstream
		want refusal
		only string // "h1" if HTTP/2 has no such thing
	}{
		{"refused", closedPort, refusal{502, "connection_refused", "the port is right"}, ""},
		{"TLS 1.1", oldTLS, tlsError, ""},
		{"not TLS", raw(func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }), tlsError, ""},
		{"closes during the handshake", raw(func(conn net.Conn) { conn.Read(make([]byte, 1)) }), tlsError, ""},
		{"no protocol in common", otherProtocol, tlsError, ""},
		{"closes at once", answer(""), early, "h1"},
		{"closes inside the head", answer("HTTP/1.1 200 OK\r\nContent-"), early, "h1"},
		{"closes after 103", answer("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), early, "103"},
		{"not HTTP", answer("220 smtp.test ESMTP\r\n"), garbage, "h1"},
		{"bare line feeds", answer("HTTP/1.1 200 OK\n\n"), garbage, "h1"},
		{"two framings", answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), garbage, "h1"},
		{"two lengths", answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), garbage, "h1"},
		{"folded field", answer("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), garbage, "h1"},
		{"bad chunk size", answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), garbage, "h1"},
		{"head too large", answer("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 70<<10) + "\r\n\r\n"), garbage, "h1"},
		{"unasked 101", answer("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), garbage, "h1"},
		{"unasked h2c", answer("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), garbage, "h1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				if http2 && test.only != "" {
					t.Skip("HTTP/1.1 only")
				}
				t.Parallel()
				f := start(t, config(), map[string]string{"api.test:443": test.addr(t)})
				if test.only == "103" {
					f.ask103(test.want)
					return
				}
				resp := f.ask(http2, "api.test:443", get("/")...)
				r := f.record()
				test.want.check(t, resp, r)
				if r.Rule != "api" || r.Verdict != rules.Intercept || r.Target != "api.test:443" {
					t.Errorf("record %+v", r)
				}
			})
		})
	}
}

// ask103 expects a 103 before the refusal.
func (f *fixture) ask103(want refusal) {
	f.t.Helper()
	conn := f.open("api.test:443")
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
	r := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 103 {
		f.t.Fatalf("%v, %v; want the 103", resp, err)
	}
	resp := f.read(r, "GET")
	conn.Close()
	want.check(f.t, resp, f.record())
}

// oldTLS is the address of an upstream that speaks no TLS above 1.1.
func oldTLS(t *testing.T) string {
	return serveConfig(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).addr
}

// otherProtocol is the address of an upstream that speaks neither HTTP/1.1 nor
// HTTP/2.
func otherProtocol(t *testing.T) string {
	return serveConfig(t, &tls.Config{NextProtos: []string{"acme-tls/1"}}).addr
}

func serveConfig(t *testing.T, c *tls.Config) *capture {
	t.Helper()
	leaf, err := upstreamAuthority(t).Leaf("api.test")
	if err != nil {
		t.Fatal(err)
	}
	c.Certificates = []tls.Certificate{*leaf}
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	return serveListener(t, l, func(conn net.Conn) { io.Copy(io.Discard, conn) })
}

// A rule's host may resolve to a private address, since the operator named it;
// never to a metadata address, and a pattern over a public suffix names no host.
func TestRefuseAddressOfRule(t *testing.T) {
	names.resolve(t, "api.test", "169.254.169.254")
	names.resolve(t, "anything.com", "127.0.0.1")
	wide := config()
	wide.Rules[0].MatchHosts, wide.Rules[0].AllowBroadHosts = []string{"*.com"}, true
	for _, test := range []struct {
		name, host string
		config     rules.Config
	}{{"metadata", "api.test", config()}, {"broad pattern", "anything.com", wide}} {
		t.Run(test.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f := start(t, test.config, nil)
				resp := f.ask(http2, test.host+":443", pair{":method", "GET"}, pair{":scheme", "https"},
					pair{":authority", test.host}, pair{":path", "/"})
				refusal{403, "destination_ip_prohibited", "allow_private"}.check(t, resp, f.record())
			})
		})
	}
}

// A name with several addresses is connected at one that is allowed.
func TestMixedAddresses(t *testing.T) {
	upstream := serveHTTP(t, "api.test", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	_, port, _ := net.SplitHostPort(upstream)
	c := config()
	c.Rules[0].MatchHosts = []string{"api.test:*"}
	names.resolve(t, "api.test", "169.254.169.254", "127.0.0.1")
	f := start(t, c, nil)
	resp := f.ask(false, "api.test:"+port, pair{":method", "GET"}, pair{":authority", "api.test:" + port}, pair{":path", "/"})
	if resp.StatusCode != 200 {
		t.Errorf("status %d: %s", resp.StatusCode, text(t, resp))
	}
}

// An upstream that takes the request and never answers is given up after
// responseTimeout; one that stops in the middle of a body after streamTimeout,
// which breaks the client's connection.
func TestUpstreamTimeouts(t *testing.T) {
	tests := []struct {
		name, answer string
		after        time.Duration
		check        func(t *testing.T, f *fixture, r *bufio.Reader)
	}{
		{"no answer", "", responseTimeout, func(t *testing.T, f *fixture, r *bufio.Reader) {
			refusal{504, "http_response_timeout", "did not answer in time"}.check(t, f.read(r, "GET"), f.record())
		}},
		{"half an answer", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", streamTimeout, func(t *testing.T, f *fixture, r *bufio.Reader) {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); string(body) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("body %q, %v", body, err)
			}
			if r := f.record(); r.Error != "http_response_timeout" || r.Status != 200 || r.BytesSent != 4 {
				t.Errorf("record %+v", r)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, client, upstream := inBubble(t)
				defer client.Close()
				defer upstream.Close()
				go func() {
					http.ReadRequest(bufio.NewReader(upstream))
					if test.answer != "" {
						io.WriteString(upstream, test.answer)
					}
				}()
				began := time.Now()
				io.WriteString(client, "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n")
				test.check(t, f, bufio.NewReader(client))
				if took := time.Since(began); took < test.after || took > test.after+2*lingerTimeout {
					t.Errorf("took %v, want %v", took, test.after)
				}
			})
		})
	}
}

// inBubble is a proxy with one client and one idle upstream connection for
// http://plain.test/, without sockets, so that synctest can turn the clock.
func inBubble(t *testing.T) (f *fixture, client, server net.Conn) {
	f = &fixture{t: t, arrived: make(chan struct{}, 10)}
	f.proxy = &Proxy{Emit: f.emit}
	f.setPolicy(config(), map[string]string{"KEY": canary})
	f.proxy.setup.Do(f.proxy.init)
	client, clientSide := net.Pipe()
	server, upstreamSide := net.Pipe()
	target, err := rules.ParseTarget("plain.test:80", 0)
	if err != nil {
		t.Fatal(err)
	}
	go f.proxy.serve(clientSide)
	key := upstreamKey{client: clientSide.RemoteAddr().String(), target: target, plaintext: true}
	f.proxy.upstreams.put(&upstream{wire: newWire(upstreamSide), key: key, raw: upstreamSide, opened: new(opening)})
	return f, client, server
}
