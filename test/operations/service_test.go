package operations

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// canary is the secret that no metric may show.
const canary = "canary-4c1b9f72e0"

// service is a keybearer serve with an upstream, both of the test's own.
type service struct {
	t        *testing.T
	dir      string
	upstream *httptest.Server // for hosts of example.com
	finish   chan struct{}    // ends one of its answers to /slow
	admin    string           // an address
	proxy    string           // an address
	cmd      *exec.Cmd
	out      *os.File // standard error
}

// config is the configuration of the tests. Hosts of example.com are the upstream's.
const config = `rules:
  - {name: api, match_hosts: [api.example.com], inject_headers: {Authorization: "Bearer ${API_KEY}"}}
  - {name: revoked, match_hosts: [revoked.example.com], inject_headers: {Authorization: "Bearer ${API_KEY}"}}
  - {name: refused, match_hosts: [refused.example.com], inject_headers: {Authorization: "Bearer ${API_KEY}"}}
  - {name: untrusted, match_hosts: [untrusted.example.com], inject_headers: {Authorization: "Bearer ${API_KEY}"}}
  - {name: gone, match_hosts: [gone.example.com], inject_headers: {Authorization: "Bearer ${GONE_KEY}"}}
no_proxy: [tunnel.example.com]
unmatched_hosts: deny
secrets:
  API_KEY: {file: secrets/API_KEY}
  GONE_KEY: {file: secrets/GONE_KEY}
listen: 127.0.0.1:0
upstream_ca: upstream.pem
ca_dir: ca
drain: 20s
`

// newService prepares one, with more settings.
func newService(t *testing.T, settings string) *service {
	t.Helper()
	s := &service{t: t, dir: t.TempDir(), admin: freeAddress(t), finish: make(chan struct{})}
	s.upstream = httptest.NewTLSServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.upstream.Close)
	s.write("upstream.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.upstream.Certificate().Raw})))
	s.write("secrets/API_KEY", canary)
	s.write("secrets/GONE_KEY", canary)
	s.write("keybearer.yaml", config+"admin: "+s.admin+"\n"+settings)
	var err error
	if s.out, err = os.Create(s.path("output")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.out.Close()
		if text, err := os.ReadFile(s.path("output")); t.Failed() && err == nil {
			t.Logf("the end of the log:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return s
}

// answer is what the upstream does.
func (s *service) answer(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.Host, "revoked."):
		http.Error(w, "this key has been revoked", http.StatusUnauthorized)
	case r.URL.Path == "/echo":
		fmt.Fprintln(w, r.Header.Get("Authorization"))
	case r.URL.Path == "/close":
		w.Header().Set("Connection", "close")
	case r.URL.Path == "/slow":
		w.(http.Flusher).Flush()
		select {
		case <-s.finish:
			io.WriteString(w, "the end")
		case <-r.Context().Done():
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *service) path(name string) string { return filepath.Join(s.dir, name) }

func (s *service) write(name, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// command is keybearer serve. The host refused leads to a port where nobody listens;
// others are in the list.
func (s *service) command(others ...string) *exec.Cmd {
	args := []string{"serve", "--config", s.path("keybearer.yaml"), "--resolve", "refused.example.com:443:127.0.0.1:1"}
	for _, host := range []string{"api", "revoked", "gone", "tunnel"} {
		args = append(args, "--resolve", host+".example.com:443:"+s.upstream.Listener.Addr().String())
	}
	for _, other := range others {
		args = append(args, "--resolve", other)
	}
	return exec.Command(keybearer, args...)
}

// start starts cmd, which may be a shell around the service's, and waits for its line.
func (s *service) start(cmd *exec.Cmd) {
	s.t.Helper()
	cmd.Stderr = s.out
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd = cmd
	s.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		s.t.Fatalf("keybearer does not start: %v", err)
	}
	if _, err := fmt.Sscanf(line, "keybearer listens on %s", &s.proxy); err != nil {
		s.t.Fatalf("keybearer says %q", line)
	}
	s.proxy = strings.TrimSuffix(s.proxy, ",")
}

// stop sends SIGTERM and expects a clean end.
func (s *service) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("keybearer ended with %v", err)
	}
}

func (s *service) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// client trusts the service's authority and the upstream's.
func (s *service) client() *http.Client {
	s.t.Helper()
	trusted := x509.NewCertPool()
	trusted.AddCert(s.upstream.Certificate())
	text, err := os.ReadFile(s.path("ca/ca.pem"))
	if err != nil || !trusted.AppendCertsFromPEM(text) {
		s.t.Fatalf("ca.pem: %v", err)
	}
	return s.clientTrusting(trusted)
}

func (s *service) clientTrusting(trusted *x509.CertPool) *http.Client {
	transport := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: s.proxy}),
		TLSClientConfig: &tls.Config{RootCAs: trusted},
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// get returns status and body of a page; the status is 0 if there is none.
func get(c *http.Client, u string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", u, nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// ask returns status and body of a page of the admin listener.
func (s *service) ask(path string) (int, string) {
	return get(http.DefaultClient, "http://"+s.admin+path)
}

// await asks until ok, for no longer than half a minute.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited half a minute for %s", what)
		}
	}
}
