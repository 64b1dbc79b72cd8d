package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keybearer/rules"
)

// With client_auth only a client that sends exactly the configured credentials
// gets through, to whatever it asks for; they go no further than the proxy.
func TestClientAuth(t *testing.T) {
	var seen []string
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header["Proxy-Authorization"]...)
	}))
	defer plain.Close()
	c := config()
	c.ClientAuth = &rules.BasicAuthConfig{Username: "team-a", Password: "${PASSWORD}"}
	f := start(t, c, map[string]string{"plain.test:80": strings.TrimPrefix(plain.URL, "http://"), "other.test:443": "127.0.0.1:1"})
	f.setPolicy(c, map[string]string{"KEY": canary, "PASSWORD": "swordfish"})
	const right = "Basic dGVhbS1hOnN3b3JkZmlzaA=="
	tests := []struct {
		name   string
		fields []string
		status int
	}{
		{"right", []string{right}, 200},
		{"other case of the scheme", []string{"bAsIc dGVhbS1hOnN3b3JkZmlzaA=="}, 200},
		{"none", nil, 407},
		{"wrong password", []string{"Basic dGVhbS1hOnN3b3JkZmlzaB=="}, 407},
		{"empty", []string{""}, 407},
		{"other scheme", []string{"Bearer dGVhbS1hOnN3b3JkZmlzaA=="}, 407},
		{"right and wrong", []string{right, "Basic x"}, 407},
		{"longer", []string{right + "A"}, 407},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var fields strings.Builder
			for _, v := range test.fields {
				fmt.Fprintf(&fields, "Proxy-Authorization: %s\r\n", v)
			}
			conn := f.dial()
			resp := f.do(conn, "GET", "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n"+fields.String()+"\r\n")
			if resp.StatusCode != test.status {
				t.Errorf("status %d, want %d", resp.StatusCode, test.status)
			}
			if test.status == 407 {
				if resp.Header.Get("Proxy-Authenticate") != `Basic realm="keybearer"` {
					t.Errorf("fields %v", resp.Header)
				}
				resp = f.do(f.dial(), "CONNECT", "CONNECT other.test:443 HTTP/1.1\r\n"+fields.String()+"\r\n")
				if resp.StatusCode != 407 {
					t.Errorf("CONNECT: status %d, want 407", resp.StatusCode)
				}
			}
		})
	}
	if len(seen) > 0 {
		t.Errorf("the upstream saw Proxy-Authorization %q", seen)
	}
}

// Credentials that do not resolve let nobody in.
func TestClientAuthUnresolved(t *testing.T) {
	c := config()
	c.ClientAuth = &rules.BasicAuthConfig{Username: "a", Password: "${GONE}"}
	f := start(t, c, nil)
	for _, value := range []string{"", "Basic ", "Basic YTo="} {
		resp := f.do(f.dial(), "GET", "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nProxy-Authorization: "+value+"\r\n\r\n")
		if resp.StatusCode != 407 {
			t.Errorf("%q: status %d, want 407", value, resp.StatusCode)
		}
	}
}

// A client that Admit refuses is told so and served nothing.
func TestAdmit(t *testing.T) {
	f := startWith(t, config(), nil, func(p *Proxy) {
		p.Admit = func(net.Conn) error { return errors.New("not yours") }
	})
	conn := f.dial()
	resp := f.do(conn, "GET", "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n")
	if resp.StatusCode != 403 || f.record().Error != "http_request_denied" {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// Connections beyond the limit are answered 503, and room that becomes free is
// given to the next.
func TestMaxConns(t *testing.T) {
	f := startWith(t, config(), nil, func(p *Proxy) { p.MaxConns = 3 })
	var open []net.Conn
	for range 3 {
		conn := f.dial()
		io.WriteString(conn, "GET / HTTP/1.1\r\n") // it is accepted once this is read
		open = append(open, conn)
	}
	f.await(func() bool { return f.proxy.open.each(func(*clientConn) {}) == 3 })
	resp := f.do(f.dial(), "GET", "GET http://plain.test/ HTTP/1.1\r\n\r\n")
	if resp.StatusCode != 503 || !strings.Contains(resp.Header.Get("Proxy-Status"), "error=connection_limit_reached") {
		t.Errorf("status %d, %v", resp.StatusCode, resp.Header)
	}
	open[0].Close()
	f.await(func() bool { return f.proxy.open.each(func(*clientConn) {}) == 2 })
	resp = f.do(f.dial(), "GET", "GET / HTTP/1.1\r\n\r\n")
	if resp.StatusCode != 400 {
		t.Errorf("after one was closed: status %d, want the 400 of a served connection", resp.StatusCode)
	}
}

// One remote client may have half of the connections; what runs on this machine
// has no such share.
func TestClientShare(t *testing.T) {
	var o connections
	remote := func(addr string) error {
		return o.add(&clientConn{client: addr}, 4)
	}
	got := []bool{}
	for _, addr := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "127.0.0.1", "127.0.0.1", "192.0.2.9"} {
		got = append(got, remote(addr) == nil)
	}
	if want := []bool{true, true, false, true, true, false}; !slices.Equal(got, want) {
		t.Errorf("let in %v, want %v", got, want)
	}
}

// A client that makes up hosts is slowed down; hosts it has asked for before, and
// other clients, are not. The clock stands still: what is refused is not a matter
// of how fast the machine mints.
func TestMintLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clientConn{p: &Proxy{Authority: newAuthority(t)}, client: "192.0.2.1"}
		ask := func(host string) error {
			target, err := rules.ParseTarget(host+":443", 0)
			if err != nil {
				t.Fatal(err)
			}
			c.target = target
			return c.mint()
		}
		for i := range mintBurst {
			if err := ask(fmt.Sprintf("h%d.test", i)); err != nil {
				t.Fatalf("host %d: %v", i, err)
			}
		}
		if ask("one-more.test") == nil {
			t.Error("one more than the burst was minted")
		}
		if err := ask(fmt.Sprintf("h%d.test", mintBurst-1)); err != nil {
			t.Errorf("a host in the cache: %v", err)
		}
		if c.client = "192.0.2.2"; ask("other.test") != nil {
			t.Error("another client was refused")
		}
		time.Sleep(time.Second) // of the bubble
		if c.client = "192.0.2.1"; ask("later.test") != nil {
			t.Error("a second later the client is still refused")
		}
	})
}
