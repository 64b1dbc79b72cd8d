package clientenv

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// testBundle returns n roots, all with the same subject (cross-signed roots
// look like that), the first of them twice, among things that are none.
func testBundle(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	add := func(typ string, der []byte) { pem.Encode(&b, &pem.Block{Type: typ, Bytes: der}) }
	b.WriteString("# a comment, as some systems have\n")
	for i := range n {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "The Root \U0001F511"},
			NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		add("CERTIFICATE", der)
		if i == 0 {
			add("CERTIFICATE", der)
			add("X509 CRL", der)
			add("CERTIFICATE", []byte("not a certificate"))
		}
	}
	return b.Bytes()
}

// TestTrustStore reads the store back: every certificate once.
func TestTrustStore(t *testing.T) {
	store, err := TrustStore(testBundle(t, 3))
	if err != nil {
		t.Fatal(err)
	}
	certs, err := pkcs12.DecodeTrustStore(store, TrustStorePassword)
	if err != nil {
		t.Fatal(err)
	}
	serials := map[string]bool{}
	for _, c := range certs {
		serials[c.SerialNumber.String()] = true
	}
	if len(certs) != 3 || len(serials) != 3 {
		t.Errorf("%d certificates, %d different, want 3", len(certs), len(serials))
	}
}

func TestTrustStoreNothing(t *testing.T) {
	for _, in := range []string{"", "not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := TrustStore([]byte(in)); err == nil || !strings.Contains(err.Error(), "no certificate") {
			t.Errorf("TrustStore(%q): %v, want an error", in, err)
		}
	}
}

// TestTrustStoreKeytool has Java itself list the store.
func TestTrustStoreKeytool(t *testing.T) {
	keytool, err := exec.LookPath("keytool")
	if err != nil {
		t.Skip("keytool is not installed")
	}
	store, err := TrustStore(testBundle(t, 3))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "trust.p12")
	write(t, path, store)
	cmd := exec.Command(keytool, "-J-Duser.language=en", "-list", "-keystore", path, "-storetype", "PKCS12", "-storepass", TrustStorePassword)
	out, err := cmd.CombinedOutput()
	if n := strings.Count(string(out), "trustedCertEntry"); err != nil || n != 3 {
		t.Errorf("keytool lists %d trusted certificates, want 3; %v\n%s", n, err, out)
	}
}

// TestJavaToolOptionsJVM starts a real JVM and reads the properties it ended up
// with: quoting is right only if the JVM undoes it.
func TestJavaToolOptionsJVM(t *testing.T) {
	java, err := exec.LookPath("java")
	if err != nil {
		t.Skip("java is not installed")
	}
	p := Params{
		ProxyURL: "http://user:pw@[::1]:3128", NoProxy: []string{"stripe.com", "*.corp"},
		TrustStoreFile:  `/tmp/it's a "dir"/trust.p12`,
		JavaToolOptions: `-Dkept="a b" -Dhttps.proxyHost=old`,
	}
	options, _ := javaOptions(p)
	cmd := exec.Command(java, "-XshowSettings:properties", "-version")
	cmd.Env = append(os.Environ(), "JAVA_TOOL_OPTIONS="+options)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"kept = a b",
		"javax.net.ssl.trustStore = " + p.TrustStoreFile,
		"javax.net.ssl.trustStoreType = PKCS12",
		"https.proxyHost = ::1",
		"https.proxyPort = 3128",
		"http.proxyHost = ::1",
		"http.proxyPort = 3128",
		"http.nonProxyHosts = stripe.com|*.stripe.com|*.corp",
	} {
		if !strings.Contains(string(out), " "+want+"\n") {
			t.Errorf("the JVM does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(options, "pw") {
		t.Errorf("password of the proxy in %q", options)
	}
}

func TestJavaProxy(t *testing.T) {
	tests := []struct{ url, want string }{
		{"http://127.0.0.1:3128", "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128"},
		{"http://proxy", "-Dhttps.proxyHost=proxy -Dhttps.proxyPort=80"},
		{"https://proxy:3128", ""},
		{"socks5://proxy:1080", ""},
		{"127.0.0.1:3128", ""},
		{"", ""},
	}
	for _, tt := range tests {
		got := strings.Join(javaProxy(tt.url, nil), " ")
		if !strings.HasPrefix(got, tt.want) || (tt.want == "") != (got == "") {
			t.Errorf("javaProxy(%q) = %q, want %q first", tt.url, got, tt.want)
		}
	}
}

func TestNonProxyHosts(t *testing.T) {
	tests := []struct {
		name, in, want string
	}{
		{"name covers subdomains", "Stripe.com", "stripe.com|*.stripe.com"},
		{"subdomains", "*.internal.com", "*.internal.com"},
		{"leading dot", ".corp", "*.corp"},
		{"everything", "*", "*"},
		{"address", "127.0.0.1", "127.0.0.1"},
		{"IPv6", "::1", "[::1]"},
		{"IPv6 in brackets", "[2001:DB8::1]", "[2001:db8::1]"},
		{"class A", "10.0.0.0/8", "10.*"},
		{"class C, host bits set", "192.168.7.9/24", "192.168.7.*"},
		{"one address", "10.1.2.3/32", "10.1.2.3"},
		{"odd network", "172.16.0.0/12", ""},
		{"whole internet", "0.0.0.0/0", ""},
		{"IPv6 network", "fd00::/8", ""},
		{"port", "host:8443", ""},
		{"IPv6 with port", "[::1]:8443", ""},
		{"inner star", "s3.*.amazonaws.com", ""},
		{"part of a label", "*corp", ""},
		{"alternatives", "{a,b}.com", ""},
		{"separator", "a|b", ""},
		{"spaces around", " a.com ", "a.com|*.a.com"},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		if got := nonProxyHosts([]string{tt.in}); got != tt.want {
			t.Errorf("%s: %q = %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
}
