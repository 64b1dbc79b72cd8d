package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// rogue is an upstream's certificate that a test has made to be refused.
type rogue struct {
	host          string
	after, before time.Duration // validity, from now
	selfSigned    bool
}

// testRoot is an authority of which, unlike certs.Authority, anything can be had.
var testRoot = sync.OnceValues(func() (*tls.Certificate, error) {
	return issueFrom(nil, &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	})
})

// issueFrom signs a certificate; with itself if issuer is nil.
func issueFrom(issuer *tls.Certificate, template *x509.Certificate) (*tls.Certificate, error) {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	parent, signer := template, any(key)
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

func (r rogue) issue(t *testing.T) *tls.Certificate {
	t.Helper()
	root, err := testRoot()
	if err != nil {
		t.Fatal(err)
	}
	if r.selfSigned {
		root = nil
	}
	cert, err := issueFrom(root, &x509.Certificate{
		DNSNames: []string{r.host}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(r.after), NotAfter: time.Now().Add(r.before),
	})
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// trustTestRoot makes the proxy accept what testRoot signed.
func trustTestRoot(t *testing.T) func(*Proxy) {
	return func(p *Proxy) {
		root, err := testRoot()
		if err != nil {
			t.Fatal(err)
		}
		p.UpstreamRoots.AddCert(root.Leaf)
	}
}

// An upstream's certificate is always verified (I5): what does not hold is a 502,
// and no byte of the request is sent.
func TestRefuseCertificate(t *testing.T) {
	tests := []struct {
		name string
		rogue
		distrust bool
		status   int
	}{
		{"valid", rogue{"api.test", -time.Minute, time.Hour, false}, false, 200},
		{"expired", rogue{"api.test", -2 * time.Hour, -time.Hour, false}, false, 502},
		{"not yet valid", rogue{"api.test", time.Hour, 2 * time.Hour, false}, false, 502},
		{"self-signed", rogue{"api.test", -time.Minute, time.Hour, true}, false, 502},
		{"wrong host", rogue{"evil.test", -time.Minute, time.Hour, false}, false, 502},
		{"subdomain", rogue{"x.api.test", -time.Minute, time.Hour, false}, false, 502},
		{"wildcard below", rogue{"*.api.test", -time.Minute, time.Hour, false}, false, 502},
		{"unknown root", rogue{"api.test", -time.Minute, time.Hour, false}, true, 502},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				upstream := serveCertificate(t, http2, func() *tls.Certificate { return test.issue(t) })
				trust := trustTestRoot(t)
				if test.distrust {
					trust = func(*Proxy) {}
				}
				f := startWith(t, config(), map[string]string{"api.test:443": upstream.addr}, trust)
				resp := f.ask(http2, "api.test:443", get("/")...)
				if test.status == 200 {
					if resp.StatusCode != 200 {
						t.Fatalf("status %d: %s; the other cases prove nothing", resp.StatusCode, text(t, resp))
					}
					return
				}
				refusal{502, "tls_certificate_error", "upstream_ca"}.check(t, resp, f.record())
				upstream.gotNothing(t, http2)
			})
		})
	}
}

// serveCertificate runs an upstream that shows a certificate of the test's choice
// and answers 200.
func serveCertificate(t *testing.T, http2 bool, certificate func() *tls.Certificate) *capture {
	t.Helper()
	once := sync.OnceValue(certificate)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		NextProtos:     protocolsOf(http2),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return once(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return serveListener(t, l, func(conn net.Conn) {
		if !http2 {
			respondWith("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")(conn)
			return
		}
		preface := make([]byte, 24)
		if _, err := io.ReadFull(conn, preface); err != nil {
			return
		}
		c := newFrames(t, conn)
		c.fr.WriteSettings()
		for {
			frame, err := c.read()
			if err != nil {
				return
			}
			c.headers(frame.Header().StreamID, true, pair{":status", "200"})
		}
	})
}

// A chain that ends in keybearer's own authority is refused even where that
// authority stands among the upstreams' roots: another proxy is in the way.
func TestRefuseOwnAuthority(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		var f *fixture
		upstream := serveCertificate(t, http2, func() *tls.Certificate {
			leaf, err := f.authority.Leaf("api.test")
			if err != nil {
				t.Error(err)
			}
			return leaf
		})
		f = startWith(t, config(), map[string]string{"api.test:443": upstream.addr}, func(p *Proxy) {
			p.UpstreamRoots.AddCert(p.Authority.Certificates()[0])
		})
		resp := f.ask(http2, "api.test:443", get("/")...)
		refusal{502, "tls_certificate_error", "own authority"}.check(t, resp, f.record())
		upstream.gotNothing(t, http2)
	})
}
