package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"log"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var discard = log.New(io.Discard, "", 0)

func newAuthority(tb testing.TB, c *Constraints) *Authority {
	tb.Helper()
	a, err := New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func mustLeaf(tb testing.TB, a *Authority, host string) *tls.Certificate {
	tb.Helper()
	leaf, err := a.Leaf(host)
	if err != nil {
		tb.Fatal(err)
	}
	return leaf
}

// forge signs a leaf for a host that the authority refuses, as a thief of its
// key would.
func forge(t *testing.T, a *Authority, host string) *tls.Certificate {
	t.Helper()
	addr, _ := netip.ParseAddr(host)
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := sign(leafTemplate(host, addr, a.signer), a.signer, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, a.signer.Raw}, PrivateKey: key, Leaf: leaf}
}

// What strict verifiers (RFC 5280, Python 3.13, Apple) demand of each of the
// three certificates.
func TestProfile(t *testing.T) {
	a := newAuthority(t, &Constraints{DNS: []string{"api.example.com"}})
	leaf := mustLeaf(t, a, "api.example.com").Leaf
	tests := []struct {
		name    string
		cert    *x509.Certificate
		issuer  *x509.Certificate
		ca      bool
		pathLen int
		usage   x509.KeyUsage
		extUse  []x509.ExtKeyUsage
	}{
		{"root", a.root, a.root, true, 1, x509.KeyUsageCertSign | x509.KeyUsageCRLSign, nil},
		{"signer", a.signer, a.root, true, 0, x509.KeyUsageCertSign | x509.KeyUsageCRLSign, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		{"leaf", leaf, a.signer, false, -1, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cert := test.cert
			if err := cert.CheckSignatureFrom(test.issuer); err != nil {
				t.Error(err)
			}
			if cert.IsCA != test.ca || !cert.BasicConstraintsValid || cert.MaxPathLen != test.pathLen {
				t.Errorf("CA = %t, path length %d; want %t, %d", cert.IsCA, cert.MaxPathLen, test.ca, test.pathLen)
			}
			if cert.KeyUsage != test.usage || !slices.Equal(cert.ExtKeyUsage, test.extUse) {
				t.Errorf("key usage %b %v, want %b %v", cert.KeyUsage, cert.ExtKeyUsage, test.usage, test.extUse)
			}
			if len(cert.SubjectKeyId) == 0 || !bytes.Equal(cert.AuthorityKeyId, test.issuer.SubjectKeyId) {
				t.Errorf("key id %x, authority key id %x, issuer's key id %x", cert.SubjectKeyId, cert.AuthorityKeyId, test.issuer.SubjectKeyId)
			}
			if bits := cert.SerialNumber.BitLen(); bits < 100 || bits > 159 {
				t.Errorf("serial number of %d bits", bits)
			}
			if key := cert.PublicKey.(*ecdsa.PublicKey); key.Curve.Params().Name != "P-256" {
				t.Errorf("curve %s", key.Curve.Params().Name)
			}
			if age := time.Since(cert.NotBefore); age < 59*time.Minute || age > 61*time.Minute {
				t.Errorf("valid since %v, want an hour", age)
			}
		})
	}
	critical := map[string]asn1.ObjectIdentifier{
		"key usage": {2, 5, 29, 15}, "basic constraints": {2, 5, 29, 19}, "name constraints": {2, 5, 29, 30},
	}
	for name, id := range critical {
		if !criticalExtension(a.signer, id) {
			t.Errorf("signer: %s is missing or not critical", name)
		}
	}
	if len(leaf.RawSubject) > 2 || !criticalExtension(leaf, asn1.ObjectIdentifier{2, 5, 29, 17}) {
		t.Error("leaf: must have an empty subject and a critical alternative name (RFC 5280, 4.2.1.6)")
	}
	if life := time.Until(leaf.NotAfter); life > 7*24*time.Hour || life < 7*24*time.Hour-time.Minute {
		t.Errorf("leaf is valid for %v, want seven days", life)
	}
}

func criticalExtension(cert *x509.Certificate, id asn1.ObjectIdentifier) bool {
	for _, extension := range cert.Extensions {
		if extension.Id.Equal(id) {
			return extension.Critical
		}
	}
	return false
}

// Two authorities in one trust store must not be taken for each other.
func TestAuthoritiesAreDistinct(t *testing.T) {
	a, b := newAuthority(t, nil), newAuthority(t, nil)
	seen := make(map[string]bool)
	for _, cert := range append(a.Certificates(), b.Certificates()...) {
		name, serial := cert.Subject.String(), cert.SerialNumber.String()
		if seen[name] || seen[serial] {
			t.Errorf("%s or its serial number %s is used twice", name, serial)
		}
		seen[name], seen[serial] = true, true
		if !strings.HasPrefix(cert.Subject.CommonName, "keybearer authority ") {
			t.Errorf("subject %q does not say whose it is", name)
		}
	}
}

func TestPEMIsTheRootAlone(t *testing.T) {
	a := newAuthority(t, nil)
	block, rest := pem.Decode(a.PEM())
	if block == nil || len(rest) != 0 {
		t.Fatalf("not exactly one PEM block: %s", a.PEM())
	}
	if !bytes.Equal(block.Bytes, a.Certificates()[0].Raw) || bytes.Equal(block.Bytes, a.Certificates()[1].Raw) {
		t.Error("PEM is not the root")
	}
}

func TestConstraintsRefused(t *testing.T) {
	many := make([]string, 2000)
	for i := range many {
		many[i] = strings.Repeat("a", i%50+1) + "." + strings.Repeat("b", i/50+1) + ".example"
	}
	tests := []struct {
		name string
		c    Constraints
	}{
		{"empty name, which would permit all", Constraints{DNS: []string{""}}},
		{"wildcard", Constraints{DNS: []string{"*.example.com"}}},
		{"leading dot", Constraints{DNS: []string{".example.com"}}},
		{"trailing dot", Constraints{DNS: []string{"example.com."}}},
		{"upper case", Constraints{DNS: []string{"Example.com"}}},
		{"not ASCII", Constraints{DNS: []string{"bücher.example"}}},
		{"zero address", Constraints{IPs: []netip.Addr{{}}}},
		{"zone", Constraints{IPs: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}}},
		{"more than clients read", Constraints{DNS: many}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if a, err := New(&test.c); err == nil {
				t.Errorf("accepted, permits %q", a.signer.PermittedDNSDomains)
			}
		})
	}
}

// The names travel in every handshake, so what a base covers is left out.
func TestConstraintsAreMinimal(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:192.0.2.7")
	a := newAuthority(t, &Constraints{
		DNS: []string{"github.com", "api.github.com", "z.example", "github.com", "a.b.github.com", "evilgithub.com"},
		IPs: []netip.Addr{mapped, mapped.Unmap()},
	})
	if got, want := a.signer.PermittedDNSDomains, []string{"evilgithub.com", "github.com", "z.example"}; !slices.Equal(got, want) {
		t.Errorf("permitted names %q, want %q", got, want)
	}
	if got := a.signer.PermittedIPRanges; len(got) != 2 || got[0].String() != "192.0.2.7/32" {
		t.Errorf("permitted addresses %v, want 192.0.2.7/32 and the stand-in for IPv6", got)
	}
}

func TestBundle(t *testing.T) {
	a, system, private := newAuthority(t, nil), newAuthority(t, nil), newAuthority(t, nil)
	key, err := private.encodeSigner() // holds a key, two certificates
	if err != nil {
		t.Fatal(err)
	}
	roots := append([]byte("# Ünïcode\n"), bytes.TrimSpace(system.PEM())...) // no newline at the end
	got := Bundle(a, roots, system.PEM(), key)
	want := slices.Concat(system.PEM(), encodeCertificates(private.signer, private.root), a.PEM())
	if !bytes.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got := Bundle(a, nil); !bytes.Equal(got, a.PEM()) {
		t.Errorf("without roots: got:\n%s", got)
	}
}

func TestSystemRoots(t *testing.T) {
	t.Setenv("SSL_CERT_FILE", os.DevNull)
	data, path, err := SystemRoots()
	if err != nil {
		t.Skipf("no roots on this system: %v", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(data) {
		t.Errorf("no certificate in %s", path)
	}
}
