package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
)

var (
	someHosts = &Constraints{
		DNS: []string{"api.example.com", "github.com", "xn--bcher-kva.example"},
		IPs: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")},
	}
	onlyNames = &Constraints{DNS: []string{"api.example.com"}}
	onlyIPv6  = &Constraints{IPs: []netip.Addr{netip.MustParseAddr("2001:db8::7")}}
	onlyIPv4  = &Constraints{IPs: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}
)

// largest is as large as constraints may be.
var largest = func() *Constraints {
	c := new(Constraints)
	for size := 0; size < maxConstraintBytes-200; {
		name := fmt.Sprintf("host%d.example.com", len(c.DNS))
		c.DNS = append(c.DNS, name)
		size += len(name) + 4
	}
	return c
}()

type handshakeTest struct {
	name        string
	constraints *Constraints
	host        string
	accepted    bool
}

var handshakeTests = []handshakeTest{
	{"exact host", someHosts, "api.example.com", true},
	{"base itself", someHosts, "github.com", true},
	{"below a base", someHosts, "a.b.github.com", true},
	{"A-label", someHosts, "xn--bcher-kva.example", true},
	{"IPv4", someHosts, "192.0.2.7", true},
	{"IPv6", someHosts, "2001:db8::7", true},
	{"other host", someHosts, "example.com", false},
	{"sibling", someHosts, "www.example.com", false},
	{"name that ends like a base", someHosts, "evilgithub.com", false},
	{"other IPv4", someHosts, "192.0.2.8", false},
	{"other IPv6", someHosts, "2001:db8::8", false},
	{"no IPs permitted, IPv4", onlyNames, "192.0.2.7", false},
	{"no IPs permitted, IPv6", onlyNames, "::1", false},
	{"no names permitted, name", onlyIPv4, "api.example.com", false},
	{"no names permitted, IPv4", onlyIPv4, "192.0.2.7", true},
	{"only an IPv4 permitted, IPv6", onlyIPv4, "2001:db8::7", false},
	{"only an IPv6 permitted, IPv4", onlyIPv6, "192.0.2.7", false},
	{"only an IPv6 permitted, IPv6", onlyIPv6, "2001:db8::7", true},
	{"as many names as fit", largest, "host1.example.com", true},
	{"nothing permitted, name", &Constraints{}, "api.example.com", false},
	{"nothing permitted, IPv4", &Constraints{}, "192.0.2.7", false},
	{"nothing permitted, IPv6", &Constraints{}, "2001:db8::7", false},
	{"unconstrained, name", nil, "api.example.com", true},
	{"unconstrained, underscore", nil, "my_service.example.com", true},
	{"unconstrained, one label", nil, "localhost", true},
	{"unconstrained, IPv4", nil, "192.0.2.7", true},
	{"unconstrained, IPv6", nil, "2001:db8::7", true},
}

// A client that trusts nothing but the root accepts permitted hosts and, from
// the same signer's key, refuses every other one.
func TestHandshakeUnderConstraints(t *testing.T) {
	for _, test := range handshakeTests {
		t.Run(test.name, func(t *testing.T) {
			a := newAuthority(t, test.constraints)
			leaf, err := a.Leaf(test.host)
			if (err == nil) != test.accepted {
				t.Errorf("Leaf(%q): %v, want accepted = %t", test.host, err, test.accepted)
			}
			if err != nil {
				if !errors.Is(err, errNotPermitted) {
					t.Errorf("Leaf(%q): %v, want %v", test.host, err, errNotPermitted)
				}
				leaf = forge(t, a, test.host)
			}
			err = handshake(t, a, leaf, test.host)
			if test.accepted && err != nil {
				t.Errorf("handshake with %s: %v", test.host, err)
			}
			var invalid x509.CertificateInvalidError
			if !test.accepted && !(errors.As(err, &invalid) && invalid.Reason == x509.CANotAuthorizedForThisName) {
				t.Errorf("handshake with %s: %v, want a name constraint violation", test.host, err)
			}
		})
	}
}

// A leaf serves an HTTPS request, chain and all, over both protocols.
func TestLeafServesHTTP(t *testing.T) {
	a := newAuthority(t, &Constraints{DNS: []string{"api.example.com"}})
	address := serve(t, mustLeaf(t, a, "api.example.com"))
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(protocol == "HTTP/1.1")
		protocols.SetHTTP2(protocol == "HTTP/2.0")
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool(a)},
			Protocols:       protocols,
			DialContext: func(_ context.Context, network, _ string) (net.Conn, error) {
				return net.Dial(network, address)
			},
		}
		response, err := (&http.Client{Transport: transport}).Get("https://api.example.com/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		transport.CloseIdleConnections()
		if err != nil || string(body) != greeting || response.Proto != protocol {
			t.Errorf("got %q by %s (%v), want %q by %s", body, response.Proto, err, greeting, protocol)
		}
	}
}

// handshake returns what a client says that trusts only a's root and wants
// host.
func handshake(t *testing.T, a *Authority, leaf *tls.Certificate, host string) error {
	t.Helper()
	conn, err := tls.Dial("tcp", serve(t, leaf), &tls.Config{RootCAs: pool(a), ServerName: host})
	if err == nil {
		conn.Close()
	}
	return err
}

const greeting = "hello from the test server\n"

// serve runs an HTTPS server with leaf on loopback until the test ends.
func serve(t *testing.T, leaf *tls.Certificate) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, greeting)
		}),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*leaf}},
		ErrorLog:  discard,
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.ServeTLS(listener, "", "")
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return listener.Addr().String()
}

func pool(a *Authority) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.PEM())
	return roots
}
