package proxy

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"
)

// A client resumes its session with the same target and protocol, and with no
// other: a ticket never carries a choice of host (I2) or protocol over to another
// connection.
//
// seen red: handshake.go newConfig without SetSessionTicketKeys (another host and
// protocol are resumed); handshakeKind without target, without protocol.
func TestResumption(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})
	c := config()
	c.Rules[0].MatchHosts = []string{"api.test", "api.test:8443", "other.test"}
	f := start(t, c, map[string]string{
		"api.test:443":   serveHTTP(t, "api.test", handler),
		"api.test:8443":  serveHTTP(t, "api.test", handler),
		"other.test:443": serveHTTP(t, "other.test", handler),
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, test := range []struct {
			name, target, protocol string
			resumed                bool
		}{
			{"the same", "api.test:443", protoHTTP1, true},
			{"another host", "other.test:443", protoHTTP1, false},
			{"another port", "api.test:8443", protoHTTP1, false},
			{"another protocol", "api.test:443", protoHTTP2, false},
			{"no protocol", "api.test:443", "", false},
		} {
			t.Run(tls.VersionName(version)+" "+test.name, func(t *testing.T) {
				session := &oneSession{ClientSessionCache: tls.NewLRUClientSessionCache(1)}
				connect := func(target, protocol string) tls.ConnectionState {
					host, _, _ := net.SplitHostPort(target)
					config := &tls.Config{ServerName: host, RootCAs: poolOf(f.authority), ClientSessionCache: session, MaxVersion: version}
					if config.InsecureSkipVerify = true; protocol != "" { // or the client would not offer another host's ticket
						config.NextProtos = []string{protocol}
					}
					conn := tls.Client(f.connect(target), config)
					defer conn.Close()
					if protocol == protoHTTP2 {
						if err := conn.Handshake(); err != nil {
							t.Fatal(err)
						}
						return conn.ConnectionState()
					}
					// TLS 1.3 sends the ticket ahead of the first answer.
					f.do(conn, "GET", "GET / HTTP/1.1\r\nHost: "+net.JoinHostPort(host, target[len(host)+1:])+"\r\n\r\n")
					return conn.ConnectionState()
				}
				if connect("api.test:443", protoHTTP1).DidResume {
					t.Fatal("resumed a session that was never there")
				}
				if got := connect(test.target, test.protocol); got.DidResume != test.resumed || got.NegotiatedProtocol != test.protocol {
					t.Errorf("resumed: %v, protocol %q", got.DidResume, got.NegotiatedProtocol)
				}
			})
		}
	}
}

// oneSession offers the last session to every server, as an attacker might.
type oneSession struct{ tls.ClientSessionCache }

func (s *oneSession) Get(string) (*tls.ClientSessionState, bool) { return s.ClientSessionCache.Get("") }

func (s *oneSession) Put(_ string, state *tls.ClientSessionState) {
	if state != nil {
		s.ClientSessionCache.Put("", state)
	}
}

// The configurations of TLS are shared, and there are never too many.
//
// seen red: handshake.go config, clear taken out.
func TestHandshakesBounded(t *testing.T) {
	var h handshakes
	h.init()
	leaf, err := newAuthority(t).Leaf("api.test")
	if err != nil {
		t.Fatal(err)
	}
	first := h.config(handshakeKind{protocol: protoHTTP1}, leaf)
	if h.config(handshakeKind{protocol: protoHTTP1}, leaf) != first {
		t.Error("a configuration is not shared")
	}
	if again := *leaf; h.config(handshakeKind{protocol: protoHTTP1}, &again) == first {
		t.Error("a configuration outlived its leaf")
	}
	for i := range 3 * maxHandshakes {
		h.config(handshakeKind{protocol: string(rune(i))}, leaf)
		if len(h.inner) > maxHandshakes {
			t.Fatalf("%d configurations are kept", len(h.inner))
		}
	}
}
