package secrets

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pemPair makes a certificate and its key.
func pemPair(t *testing.T, template x509.Certificate) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

func valid(days int) x509.Certificate {
	now := time.Now()
	return x509.Certificate{
		Subject:   pkix.Name{CommonName: "app", Organization: []string{"a\x1b[31m"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Duration(days)*24*time.Hour + time.Minute),
	}
}

// pairIn writes the two files of a certificate.
func pairIn(t *testing.T, cert, key []byte) CertificateFiles {
	t.Helper()
	dir := t.TempDir()
	f := CertificateFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	for name, text := range map[string][]byte{f.Cert: cert, f.Key: key} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// A certificate is presented to whatever server asks, described without its key, and
// never printed. Seen red: without Format.
func TestCertificate(t *testing.T) {
	cert, key := pemPair(t, valid(30))
	files := pairIn(t, append([]byte("text before it is allowed\n"), cert...), key)
	c, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	presented, err := c.Present(&tls.CertificateRequestInfo{AcceptableCAs: [][]byte{{1}}})
	if err != nil || len(presented.Certificate) != 1 || presented.PrivateKey == nil {
		t.Errorf("presented %v, %v", presented, err)
	}
	want := "CN=app,O=a?[31m, valid until " + time.Now().Add(30*24*time.Hour).UTC().Format(time.DateOnly)
	if got := c.Describe(); got != want {
		t.Errorf("described as %q, want %q", got, want)
	}
	if w := files.Warnings(); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
	encoded, _ := json.Marshal(c)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %x %d", c, c, c, c), string(encoded), log.String(), fmt.Sprintf("%+v", struct{ C Certificate }{c})} {
		if !strings.Contains(text, redacted) || strings.Contains(text, "app") {
			t.Errorf("printed as %s", text)
		}
	}
	if text := fmt.Sprintf("%+v", struct{ c Certificate }{c}); !strings.HasPrefix(text, "{c:{pair:0x") {
		t.Errorf("inside of another struct printed as %s", text)
	}
	if got, err := (Certificate{}).Present(nil); err != nil || len(got.Certificate) > 0 {
		t.Errorf("the zero Certificate presents %v, %v", got, err)
	}
}

// One file may hold both.
func TestCertificateInOneFile(t *testing.T) {
	cert, key := pemPair(t, valid(30))
	files := pairIn(t, append(cert, key...), nil)
	files.Key = files.Cert
	if _, err := files.Load(); err != nil {
		t.Error(err)
	}
}

// What cannot be used is refused, with the file and the next step, and nothing of what
// is in it.
func TestCertificateUnusable(t *testing.T) {
	cert, key := pemPair(t, valid(30))
	old, oldKey := pemPair(t, valid(-1))
	later := valid(30)
	later.NotBefore = time.Now().Add(48 * time.Hour)
	future, futureKey := pemPair(t, later)
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("not DER")})
	locked := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")})
	for name, test := range map[string]struct {
		cert, key []byte
		file      string
		want      string
	}{
		"expired":      {old, oldKey, "cert.pem", "expired on"},
		"not yet":      {future, futureKey, "cert.pem", "is valid from"},
		"no PEM":       {[]byte("nothing"), key, "cert.pem", "holds no certificate"},
		"empty":        {nil, key, "cert.pem", "empty"},
		"broken":       {broken, key, "cert.pem", "cannot be read"},
		"no key":       {cert, cert, "key.pem", "holds no private key"},
		"encrypted":    {cert, locked, "key.pem", "is encrypted"},
		"another's":    {cert, oldKey, "key.pem", "not the private key of the certificate"},
		"larger":       {cert, append(key, make([]byte, maxSecret)...), "key.pem", "larger than"},
		"control byte": {cert, append(key, 0), "key.pem", "control bytes"},
	} {
		files := pairIn(t, test.cert, test.key)
		_, err := files.Load()
		if err == nil || !strings.HasPrefix(err.Error(), "file "+filepath.Join(filepath.Dir(files.Cert), test.file)+": ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

func TestCertificateWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*x509.Certificate)
		want   string
	}{
		"13 days": {func(c *x509.Certificate) { *c = valid(13) }, "expires on"},
		"14 days": {func(c *x509.Certificate) { *c = valid(14) }, ""},
		"server":  {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, "not for clients"},
		"both": {func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		}, ""},
	} {
		template := valid(30)
		test.change(&template)
		cert, key := pemPair(t, template)
		w := strings.Join(pairIn(t, cert, key).Warnings(), "\n")
		if test.want == "" && w != "" || !strings.Contains(w, test.want) {
			t.Errorf("%s: %q, want %q", name, w, test.want)
		}
	}
}
