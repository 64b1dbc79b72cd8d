package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// identified is who every client is.
func identified(net.Conn) (process, advice string) { return "agent (pid 7)", "set AGENT_CA" }

// A client that does not trust the authority is named in the record of its connection,
// with what to do, however it takes its leave: with an alert, by hanging up, or only
// after the handshake, which is all that some look at.
//
// Seen red: without leave in Close, the last two left no record.
func TestStranger(t *testing.T) {
	for _, test := range []struct {
		name      string
		leave     func(t *testing.T, f *fixture, conn net.Conn)
		words     string
		anonymous string // of a client that is not known, "" if there is no record
	}{
		{"alert", func(t *testing.T, f *fixture, conn net.Conn) {
			tls.Client(conn, &tls.Config{ServerName: "api.test", RootCAs: x509.NewCertPool()}).Handshake()
		}, "agent (pid 7) does not trust keybearer's CA (bad certificate): set AGENT_CA", "the client does not trust keybearer's CA (bad certificate): give it "},
		{"alert over TLS 1.2", func(t *testing.T, f *fixture, conn net.Conn) {
			tls.Client(conn, &tls.Config{ServerName: "api.test", RootCAs: x509.NewCertPool(), MaxVersion: tls.VersionTLS12}).Handshake()
		}, "agent (pid 7) does not trust keybearer's CA (bad certificate): set AGENT_CA", "the client does not trust keybearer's CA (bad certificate): give it "},
		{"alert that is not encrypted", func(t *testing.T, f *fixture, conn net.Conn) {
			tls.Client(&untilCertificate{Conn: conn, then: "\x15\x03\x03\x00\x02\x02\x30"}, &tls.Config{ServerName: "api.test"}).Handshake()
		}, "agent (pid 7) refused the TLS handshake as OpenSSL does", "the client refused the TLS handshake as OpenSSL does"},
		{"hanging up", func(t *testing.T, f *fixture, conn net.Conn) {
			tls.Client(&untilCertificate{Conn: conn}, &tls.Config{ServerName: "api.test"}).Handshake()
		}, "agent (pid 7) closed the connection during the TLS handshake; if it does not trust keybearer's CA: set AGENT_CA", "the client closed the connection during the TLS handshake"},
		{"after the handshake", func(t *testing.T, f *fixture, conn net.Conn) {
			shake(t, f, conn)
		}, "agent (pid 7) closed the connection right after the TLS handshake, without a request", ""},
		{"after the handshake, h2", func(t *testing.T, f *fixture, conn net.Conn) {
			shake(t, f, conn, protoHTTP2)
		}, "agent (pid 7) closed the connection right after the TLS handshake, without a request", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			upstream := serveRaw(t, "api.test", []string{protoHTTP2, protoHTTP1}, func(conn net.Conn) { io.Copy(io.Discard, conn) })
			for _, known := range []bool{true, false} {
				f := startWith(t, config(), map[string]string{"api.test:443": upstream.addr}, func(p *Proxy) {
					if known {
						p.Identify = identified
					}
				})
				conn := f.connect("api.test:443")
				test.leave(t, f, conn)
				conn.Close()
				want := test.words
				if !known {
					want = test.anonymous
				}
				if want == "" {
					if all := f.end(); len(all) > 0 {
						t.Errorf("records %+v", all)
					}
				} else if r := f.oneRecord(); r.Error != "tls_protocol_error" || r.Method != "CONNECT" || r.Target != "api.test:443" || !strings.HasPrefix(r.Reason, want) {
					t.Errorf("record %+v, want %s", r, want)
				}
			}
		})
	}
}

// untilCertificate is a client's connection that breaks once the certificate has
// come, after it has sent something.
type untilCertificate struct {
	net.Conn
	then string
	got  int
}

func (c *untilCertificate) Read(b []byte) (int, error) {
	if c.got > 0 {
		io.WriteString(c.Conn, c.then)
		c.Conn.(*net.TCPConn).CloseWrite()
		return 0, io.EOF
	}
	n, err := c.Conn.Read(b)
	c.got += n
	return n, err
}

func shake(t *testing.T, f *fixture, conn net.Conn, protocols ...string) {
	client := tls.Client(conn, &tls.Config{ServerName: "api.test", RootCAs: poolOf(f.authority), NextProtos: protocols})
	if err := client.Handshake(); err != nil {
		t.Error(err)
	}
}

// A program that has made a request trusts us: that it opens more connections than it
// needs is no news.
//
// Seen red: without trusts in inner and without noteState.
func TestStrangerNoMore(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		upstream := serveRaw(t, "api.test", protocolsOf(http2), func(conn net.Conn) { io.Copy(io.Discard, conn) })
		f := startWith(t, config(), map[string]string{"api.test:443": upstream.addr}, func(p *Proxy) { p.Identify = identified })
		conn := f.connect("api.test:443")
		client := tls.Client(conn, &tls.Config{ServerName: "api.test", RootCAs: poolOf(f.authority), NextProtos: protocolsOf(http2)})
		sent, answer := "nonsense\r\n\r\n", "HTTP/1.1 400 "
		if http2 { // the preface is enough; what answers it is the acknowledgement of SETTINGS
			sent, answer = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x00\x04\x01\x00\x00\x00\x00"
		}
		io.WriteString(client, sent)
		var got []byte
		for b := make([]byte, 1); !strings.Contains(string(got), answer); got = append(got, b[0]) {
			if _, err := client.Read(b); err != nil {
				t.Fatalf("received %q, %v", got, err)
			}
		}
		conn.Close()
		second := f.connect("api.test:443")
		shake(t, f, second, protocolsOf(http2)...)
		second.Close()
		for _, r := range f.end() {
			if strings.Contains(r.Reason, "right after the TLS handshake") {
				t.Errorf("record %+v", r)
			}
		}
	})
}

// A browser opens two connections at once and ends the one that it does not need, maybe
// before it has sent anything on the other.
//
// Seen red: with ended reporting !known alone.
func TestStrangerSpare(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		upstream := serveRaw(t, "api.test", protocolsOf(http2), func(conn net.Conn) { io.Copy(io.Discard, conn) })
		f := startWith(t, config(), map[string]string{"api.test:443": upstream.addr}, func(p *Proxy) { p.Identify = identified })
		conn, spare := f.connect("api.test:443"), f.connect("api.test:443")
		shake(t, f, conn, protocolsOf(http2)...)
		shake(t, f, spare, protocolsOf(http2)...)
		spare.Close()
		f.await(func() bool { return f.proxy.open.each(func(*clientConn) {}) == 1 })
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, r := range f.records {
			if strings.Contains(r.Reason, "right after the TLS handshake") {
				t.Errorf("record %+v, while the other connection may still speak", r)
			}
		}
	})
}

// However many connections come, few of their clients are asked for: a client waits
// for that, and it takes time.
func TestStrangersBounded(t *testing.T) {
	var asked atomic.Int32
	f := startWith(t, config(), nil, func(p *Proxy) {
		p.Identify = func(net.Conn) (string, string) { asked.Add(1); return "", "" }
	})
	for range 5 * identifyBurst {
		f.connect("api.test:443").Close()
	}
	f.end()
	if n := asked.Load(); n < identifyBurst || n > 2*identifyBurst {
		t.Errorf("asked %d times for %d connections", n, 5*identifyBurst)
	}
}
