package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// writeCertificate writes a certificate of a client, signed by itself, and its key into
// NAME.pem and NAME.key.
func writeCertificate(dir, name, subject string, life time.Duration) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject},
		NotBefore: time.Now().Add(min(life, 0) - time.Hour), NotAfter: time.Now().Add(life),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// The key first, as whoever renews them does.
	for _, f := range []struct {
		file, kind string
		der        []byte
	}{{name + ".key", "PRIVATE KEY", private}, {name + ".pem", "CERTIFICATE", cert}} {
		text := pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der})
		if err := os.WriteFile(filepath.Join(dir, f.file), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// newCertificate is the command "certificate NAME SUBJECT DAYS" of the stories.
func newCertificate(ts *testscript.TestScript, _ bool, args []string) {
	days, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(writeCertificate(ts.MkAbs("."), args[0], args[1], time.Duration(days)*24*time.Hour+time.Hour))
}

// A certificate that is renewed is shown with the next request; while the files do not
// fit together the rule refuses its requests, and others go on. Seen red: without the
// files in inputs.
func TestReloadCertificate(t *testing.T) {
	const config = `rules:
  - name: shows
    match_hosts: [api.example.com]
    match_paths: [/shows]
    client_certificate: {cert: client.pem, key: client.key}
  - name: other
    match_hosts: [api.example.com]
    inject_headers: {X-Key: other}
`
	s := startServe(t, config, func(s *served) {
		if err := writeCertificate(filepath.Dir(s.config), "client", "first", 100*24*time.Hour); err != nil {
			t.Fatal(err)
		}
	})
	s.expect("/shows", "200 OK key= certificate=first")
	s.expect("/", "200 OK key=other")
	if err := os.Remove(s.file("client.key")); err != nil {
		t.Fatal(err)
	}
	s.eventually("/shows", "502 Bad Gateway")
	s.awaitLog(`rule \"shows\" needs file `)
	s.expect("/", "200 OK key=other")
	if err := writeCertificate(filepath.Dir(s.config), "client", "second", 100*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	s.eventually("/shows", "200 OK key= certificate=second")
}
