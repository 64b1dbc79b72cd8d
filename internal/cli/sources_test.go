package cli

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// corporate is a proxy that opens tunnels for those who show its password, all of them
// to one address.
type corporate struct {
	address, to string
	mu          sync.Mutex
	tunnels     []string
}

func startCorporate(t *testing.T, to string) *corporate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &corporate{address: l.Addr().String(), to: to}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

func (p *corporate) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	req, err := http.ReadRequest(r)
	if err != nil || req.Method != http.MethodConnect ||
		req.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("me:"+canary)) {
		io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
		return
	}
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer up.Close()
	p.mu.Lock()
	p.tunnels = append(p.tunnels, req.Host)
	p.mu.Unlock()
	io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go io.Copy(up, r)
	io.Copy(conn, up)
}

// Where upstreams are reached through a proxy, so are the servers of secrets, with the
// proxy's credentials, and verified all the same.
//
// seen red: sources.go transport without Proxy; without GetProxyConnectHeader; without
// upstream_ca.
func TestSourcesThroughUpstreamProxy(t *testing.T) {
	w := newWorld(t)
	p := startCorporate(t, w.address)
	dir := documentDir(t, `rules:
  - name: openai
    match_hosts: [api.openai.com]
    inject_headers: {Authorization: "Bearer ${KEY}"}
upstream_proxy: "http://me:${PROXY_PASSWORD}@`+p.address+`"
secrets:
  KEY: {http: {url: "https://vault.example.com/v1/secret/data/openai", headers: {X-Vault-Token: "${VAULT_TOKEN}"}, json_path: data.data.key}}
`, w)
	cmd := exec.Command("keybearer", "run", "-c", filepath.Join(dir, "keybearer.yaml"), "--upstream-ca", filepath.Join(dir, "upstream.pem"),
		"--", "get", "https://api.openai.com/try")
	cmd.Env = append(os.Environ(), "VAULT_TOKEN="+canary+"-vault", "PROXY_PASSWORD="+canary)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), canary) {
		t.Fatalf("%v\n%s", err, out)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if want := []string{"vault.example.com:443", "api.openai.com:443"}; !slices.Equal(p.tunnels, want) || w.got["api.openai.com"] != "Bearer "+canary {
		t.Errorf("tunnels to %v, want %v; the API got %q\n%s", p.tunnels, want, w.got["api.openai.com"], out)
	}
}
