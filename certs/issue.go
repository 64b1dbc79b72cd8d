package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const (
	leafLife = 7 * 24 * time.Hour
	// Clients whose clock is behind ours must not find a certificate that is
	// not valid yet.
	backdate = time.Hour
)

// issueAuthority makes a root and a signer that are valid for life. The root's
// key does not leave this function.
func issueAuthority(c *Constraints, life time.Duration) (*Authority, error) {
	rootKey, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	signerKey, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	// Clients find issuers by name. Two authorities of one name, an old and a
	// new one in the same trust store, would break each other.
	id := make([]byte, 3)
	rand.Read(id) // never fails
	name := "keybearer authority " + hex.EncodeToString(id)

	rootTemplate := caTemplate(name+" (root)", life)
	rootTemplate.MaxPathLen = 1
	rootTemplate.AuthorityKeyId = keyID(&rootKey.PublicKey)
	root, err := sign(rootTemplate, rootTemplate, &rootKey.PublicKey, rootKey)
	if err != nil {
		return nil, fmt.Errorf("create authority: root: %w", err)
	}

	signerTemplate := caTemplate(name+" (signer)", life)
	signerTemplate.MaxPathLenZero = true
	signerTemplate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} // a limit on its leaves
	if c != nil {
		if err := c.apply(signerTemplate); err != nil {
			return nil, fmt.Errorf("create authority: %w", err)
		}
	}
	signer, err := sign(signerTemplate, root, &signerKey.PublicKey, rootKey)
	if err != nil {
		return nil, fmt.Errorf("create authority: signer: %w", err)
	}
	return &Authority{root: root, signer: signer, key: signerKey}, nil
}

func caTemplate(name string, life time.Duration) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// leafTemplate has no subject: a common name is limited to 64 bytes and no
// client reads it any more. CreateCertificate then marks the subject
// alternative name critical, as RFC 5280, section 4.2.1.6 demands.
func leafTemplate(host string, addr netip.Addr, issuer *x509.Certificate) *x509.Certificate {
	now := time.Now()
	leaf := &x509.Certificate{
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(leafLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if leaf.NotAfter.After(issuer.NotAfter) {
		leaf.NotAfter = issuer.NotAfter
	}
	if addr.IsValid() {
		leaf.IPAddresses = []net.IP{addr.AsSlice()}
	} else {
		leaf.DNSNames = []string{host}
	}
	return leaf
}

// sign completes template with a random serial number (CreateCertificate picks
// 159 bits) and the key identifiers that strict clients ask for, Python 3.13
// among them.
func sign(template, issuer *x509.Certificate, public *ecdsa.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	template.SubjectKeyId = keyID(public)
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// keyID is the key identifier of RFC 7093, section 2, method 1.
func keyID(public *ecdsa.PublicKey) []byte {
	point, err := public.Bytes()
	if err != nil {
		panic(err) // only for a key that is not on its curve; ours come from newKey
	}
	sum := sha256.Sum256(point)
	return sum[:20]
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}
