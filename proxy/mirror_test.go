package proxy

import (
	"cmp"
	"crypto/tls"
	"net/http"
	"testing"
)

// The client gets the protocol that the upstream selects from the client's own
// list (DESIGN 6.3), and where they have none in common a 502: a Go server that
// speaks HTTP/2 alone completes the handshake and says nothing more.
func TestMirror(t *testing.T) {
	h1, h2 := protoHTTP1, protoHTTP2
	tests := []struct {
		name     string
		upstream []string // nil: it does not know ALPN
		client   []string
		want     string // the protocol selected; "" for none
		fails    string // the error of the 502, "" for a 200
	}{
		{"both, both", []string{h2, h1}, []string{h2, h1}, h2, ""},
		{"both, both, h1 first", []string{h1, h2}, []string{h2, h1}, h1, ""},
		{"both, h1", []string{h2, h1}, []string{h1}, h1, ""},
		{"both, h2", []string{h2, h1}, []string{h2}, h2, ""},
		{"both, none", []string{h2, h1}, nil, "", ""},
		{"h1, both", []string{h1}, []string{h2, h1}, h1, ""},
		{"h1, h1", []string{h1}, []string{h1}, h1, ""},
		{"h1, h2", []string{h1}, []string{h2}, h2, "tls_protocol_error"},
		{"h1, none", []string{h1}, nil, "", ""},
		{"h2, both", []string{h2}, []string{h2, h1}, h2, ""},
		{"h2, h1", []string{h2}, []string{h1}, h1, "http_response_incomplete"},
		{"h2, h2", []string{h2}, []string{h2}, h2, ""},
		{"h2, none", []string{h2}, nil, "", "http_response_incomplete"},
		{"no ALPN, both", nil, []string{h2, h1}, h1, ""},
		{"no ALPN, h1", nil, []string{h1}, h1, ""},
		{"no ALPN, none", nil, nil, "", ""},
		{"both, unknown beside h1", []string{h2, h1}, []string{"h3", h1}, h1, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			addr := serveProtocols(t, test.upstream)
			f := start(t, config(), map[string]string{"api.test:443": addr})
			for range 2 { // the second time the answer is remembered
				conn := f.open("api.test:443", test.client...)
				if got := conn.ConnectionState().NegotiatedProtocol; got != test.want {
					t.Fatalf("the proxy selected %q, want %q", got, test.want)
				}
				resp := f.askOn(conn, get("/"))
				conn.Close()
				r := f.record()
				if test.fails != "" {
					refusal{502, test.fails, ""}.check(t, resp, r)
				} else if resp.StatusCode != 200 {
					t.Errorf("status %d: %s", resp.StatusCode, text(t, resp))
				}
				if want := cmp.Or(test.want, protoHTTP1); r.Protocol != want {
					t.Errorf("record %+v", r)
				}
			}
		})
	}
}

// serveProtocols runs a net/http server that selects from protocols in its own
// order of preference.
func serveProtocols(t *testing.T, protocols []string) (addr string) {
	t.Helper()
	leaf, err := upstreamAuthority(t).Leaf("api.test")
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*leaf}, NextProtos: protocols})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(len(protocols) != 1 || protocols[0] != protoHTTP2)
	server.Protocols.SetHTTP2(true)
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().String()
}

// If the upstream cannot be reached the handshake is completed all the same, in
// the protocol that the client likes best, and the request gets the reason; the
// next one tries again.
func TestMirrorUnreachable(t *testing.T) {
	for _, test := range []struct {
		name   string
		client []string
		want   string
	}{
		{"both", []string{protoHTTP2, protoHTTP1}, protoHTTP2},
		{"h1 first", []string{protoHTTP1, protoHTTP2}, protoHTTP1},
		{"h1", []string{protoHTTP1}, protoHTTP1},
		{"none", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := closedPort(t)
			f := start(t, config(), map[string]string{"api.test:443": addr})
			conn := f.open("api.test:443", test.client...)
			if got := conn.ConnectionState().NegotiatedProtocol; got != test.want {
				t.Errorf("the proxy selected %q, want %q", got, test.want)
			}
			resp := f.askOn(conn, get("/"))
			conn.Close()
			refusal{502, "connection_refused", "the upstream is running"}.check(t, resp, f.record())
		})
	}
}

// An upstream that comes up, with another protocol than the client was given for
// want of an answer, serves the client's next connection.
func TestMirrorUpstreamComesUp(t *testing.T) {
	addr := closedPort(t)
	f := start(t, config(), map[string]string{"api.test:443": addr})
	both := []string{protoHTTP2, protoHTTP1}
	conn := f.open("api.test:443", both...)
	refusal{502, "connection_refused", ""}.check(t, f.askOn(conn, get("/")), f.record())
	leaf, err := upstreamAuthority(t).Leaf("api.test")
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", addr, &tls.Config{Certificates: []tls.Certificate{*leaf}, NextProtos: []string{protoHTTP1}})
	if err != nil {
		t.Skip("the port was taken meanwhile: ", err)
	}
	serveListener(t, l, respondWith(noContent))
	conn = f.open("api.test:443", both...)
	if p := conn.ConnectionState().NegotiatedProtocol; p != protoHTTP1 {
		t.Errorf("the proxy selected %q", p)
	}
	if resp := f.askOn(conn, get("/")); resp.StatusCode != 204 {
		t.Errorf("status %d: %s", resp.StatusCode, text(t, resp))
	}
}
