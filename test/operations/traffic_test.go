package operations

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"io/fs"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// traffic sends requests of every kind, again and again, until stop is called.
func (s *service) traffic() (stop func()) {
	client, distrusts := s.client(), s.clientTrusting(x509.NewCertPool())
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		pace := time.NewTicker(200 * time.Millisecond)
		defer pace.Stop()
		for range 5 * 90 { // no longer than the test may last
			for _, u := range []string{"api.example.com/", "api.example.com/echo", "api.example.com/close", "revoked.example.com/",
				"refused.example.com/", "untrusted.example.com/", "gone.example.com/", "tunnel.example.com/close", "denied.example.org/"} {
				get(client, "https://"+u)
			}
			get(distrusts, "https://api.example.com/")
			s.crowd()
			select {
			case <-done:
				return
			case <-pace.C:
			}
		}
	}()
	return sync.OnceFunc(func() { close(done); <-ended })
}

// crowd opens more connections than are allowed, and waits until the last one is told
// so: those before it are counted by then.
func (s *service) crowd() {
	for range 40 {
		c, err := net.Dial("tcp", s.proxy)
		if err != nil {
			return
		}
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		if n, _ := c.Read(make([]byte, 100)); n > 0 {
			return
		}
	}
}

// reloads brings about a secret that vanishes, by a reload that succeeds, and a
// configuration that is rejected.
func (s *service) reloads() {
	s.t.Helper()
	told := func(line string) func() bool {
		return func() bool {
			_, text := s.ask("/metrics")
			return strings.Contains(text, "\n"+line+"\n")
		}
	}
	if err := os.Remove(s.path("secrets/GONE_KEY")); err != nil {
		s.t.Fatal(err)
	}
	await(s.t, "a secret to vanish", told(`keybearer_secret_usable{secret="GONE_KEY"} 0`))
	if status, why := s.ask("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(why, "GONE_KEY") {
		s.t.Errorf("/readyz answers %d %s", status, why)
	}
	s.write("keybearer.yaml", "rules: [{nome: x}]\n")
	await(s.t, "a reload to be rejected", told("keybearer_last_reload_successful 0"))
}

// asNobody has cmd run as a user who owns nothing but the directory of s, if this test
// may do so.
func (s *service) asNobody(cmd *exec.Cmd) {
	s.t.Helper()
	const nobody = 65534
	if os.Getuid() != 0 {
		return
	}
	for _, dir := range []string{filepath.Dir(keybearer), filepath.Dir(s.dir)} { // they are root's alone
		if err := os.Chmod(dir, 0o711); err != nil {
			s.t.Fatal(err)
		}
	}
	err := filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, nobody, nobody)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// newStranger returns the address of an upstream whose certificate nobody trusts.
func newStranger(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"untrusted.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}
