package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keybearer/rules"
)

// clientAuthority signs certificates of clients.
type clientAuthority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newClientAuthority(t *testing.T) *clientAuthority {
	a := &clientAuthority{t: t, dir: t.TempDir()}
	a.key = newTestKey(t)
	a.cert = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "clients"}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, &a.key.PublicKey)
	return a
}

func newTestKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *clientAuthority) sign(template, issuer *x509.Certificate, public *ecdsa.PublicKey) *x509.Certificate {
	a.t.Helper()
	if issuer == nil {
		issuer = template
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// issue writes the files of a certificate for a name, which is also that of the files.
func (a *clientAuthority) issue(file, name string, life time.Duration) *rules.CertificateConfig {
	a.t.Helper()
	key := newTestKey(a.t)
	c := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	files := &rules.CertificateConfig{Cert: filepath.Join(a.dir, file+".pem"), Key: filepath.Join(a.dir, file+".key")}
	a.write(files.Cert, "CERTIFICATE", c.Raw)
	a.write(files.Key, "PRIVATE KEY", der)
	return files
}

func (a *clientAuthority) write(path, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// mutual is an upstream that asks for client certificates and keeps which it saw.
type mutual struct {
	addr string

	mu      sync.Mutex
	seen    []string            // path and common name, in the order of the requests
	shown   []string            // common names, in the order of the handshakes
	conns   map[string][]string // common names, by the address of the connection
	resumed map[string]int      // requests in sessions that were resumed, by common name
}

// serve runs one. What is in set is how it differs from one that demands a certificate.
func (a *clientAuthority) serve(host string, set func(*tls.Config)) *mutual {
	a.t.Helper()
	m := &mutual{conns: map[string][]string{}, resumed: map[string]int{}}
	leaf, err := upstreamAuthority(a.t).Leaf(host)
	if err != nil {
		a.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	config := &tls.Config{Certificates: []tls.Certificate{*leaf}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	config.VerifyConnection = m.handshake
	set(config)
	server := &http.Server{Handler: m, TLSConfig: config}
	go server.ServeTLS(l, "", "")
	a.t.Cleanup(func() { server.Close() })
	m.addr = l.Addr().String()
	return m
}

func (m *mutual) handshake(state tls.ConnectionState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown = append(m.shown, commonName(&state))
	return nil
}

func commonName(state *tls.ConnectionState) string {
	if len(state.PeerCertificates) == 0 {
		return "none"
	}
	return state.PeerCertificates[0].Subject.CommonName
}

func (m *mutual) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := commonName(r.TLS)
	m.mu.Lock()
	m.seen = append(m.seen, r.URL.Path+" "+name)
	m.conns[r.RemoteAddr] = append(m.conns[r.RemoteAddr], name)
	if r.TLS.DidResume {
		m.resumed[name]++
	}
	m.mu.Unlock()
	if r.URL.Query().Has("close") {
		w.Header().Set("Connection", "close")
	}
	if r.Header.Get("Upgrade") == "" {
		return
	}
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	io.CopyN(conn, rw, 5)
}

// took returns what was seen since the last call.
func (m *mutual) took() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := strings.Join(m.seen, ", ")
	m.seen = nil
	return seen
}

// shows is a rule that shows a certificate, for some paths or all.
func shows(name string, files *rules.CertificateConfig, paths ...string) rules.RuleConfig {
	return rules.RuleConfig{Name: name, MatchHosts: []string{"api.test"}, MatchPaths: paths, ClientCertificate: files}
}

func (f *fixture) status(client *http.Client, url string) (int, string) {
	f.t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	f.keep(resp, body)
	return resp.StatusCode, resp.Header.Get("Proxy-Status")
}
