package cli

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// served is a keybearer serve in a process of its own, in front of an upstream.
type served struct {
	t      *testing.T
	cmd    *exec.Cmd
	config string // path of the configuration
	log    *bufio.Scanner
	client *http.Client
	up     *upstream
}

// rulesWith is a policy that injects header with value.
func rulesWith(value string) string {
	return "rules:\n  - name: api\n    match_hosts: [api.example.com]\n    inject_headers: {X-Key: \"" + value + "\"}\n"
}

// startServe starts it with the configuration, after the changes of prepare.
func startServe(t *testing.T, config string, prepare ...func(*served)) *served {
	t.Helper()
	dir := t.TempDir()
	up, err := newUpstream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.close)
	s := &served{t: t, config: filepath.Join(dir, "keybearer.yaml"), up: up}
	s.write(config)
	s.age(filepath.Base(s.config)) // or there would be a reload soon after the start
	upstreamCA := filepath.Join(dir, "upstream.pem")
	if err := os.WriteFile(upstreamCA, up.ca, 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command("keybearer", "serve", "-c", s.config, "--listen", "127.0.0.1:0", "--ca-dir", filepath.Join(dir, "ca"),
		"--resolve", "api.example.com:443:"+up.address, "--upstream-ca", upstreamCA, "--log-format", "text")
	s.cmd.Env = append(os.Environ(), "API_KEY="+canary)
	for _, change := range prepare {
		change(s)
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill(); s.cmd.Wait() })
	s.log = bufio.NewScanner(stderr)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("no line on standard output: %v", err)
	}
	// keybearer listens on 127.0.0.1:40000, CA /path/ca.pem, 1 rule
	address, rest, _ := strings.Cut(strings.TrimPrefix(line, "keybearer listens on "), ", CA ")
	ca, rules, _ := strings.Cut(rest, ", ")
	if rules != "1 rule\n" && rules != "2 rules\n" {
		t.Errorf("first line %q", line)
	}
	s.client = newClient(t, "http://"+address, ca)
	return s
}

func newClient(t *testing.T, proxy, ca string) *http.Client {
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(u), TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func (s *served) write(config string) { s.writeFile(filepath.Base(s.config), config) }

// file is a path beside the configuration.
func (s *served) file(name string) string { return filepath.Join(filepath.Dir(s.config), name) }

func (s *served) writeFile(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(s.file(name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// age makes a file old enough to be taken for unchanged when it is.
func (s *served) age(name string) {
	s.t.Helper()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(s.file(name), old, old); err != nil {
		s.t.Fatal(err)
	}
}

func (s *served) get(path string) string {
	response, err := s.client.Get("https://api.example.com" + path)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return response.Status + " " + string(body)
}

func (s *served) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// awaitLog reads the log up to a line that holds text. The process does not live on
// if that does not come.
func (s *served) awaitLog(text string) {
	s.t.Helper()
	defer time.AfterFunc(20*time.Second, func() { s.cmd.Process.Kill() }).Stop()
	for s.log.Scan() {
		if strings.Contains(s.log.Text(), canary) {
			s.t.Errorf("the secret is in the log: %s", s.log.Text())
		}
		if strings.Contains(s.log.Text(), text) {
			return
		}
	}
	s.t.Fatalf("the log ended before %q", text)
}

// exitCode waits for the end of the process.
func (s *served) exitCode() int {
	s.t.Helper()
	for s.log.Scan() {
	}
	err := s.cmd.Wait()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		s.t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

func (s *served) expect(path, want string) {
	s.t.Helper()
	if got := s.get(path); got != want {
		s.t.Errorf("%s: %q, want %q", path, got, want)
	}
}

// SIGHUP puts a new configuration in force, on open connections as well.
func TestServeReload(t *testing.T) {
	s := startServe(t, rulesWith("${API_KEY}"))
	s.expect("/", "200 OK key=welcome")
	s.signal(syscall.SIGHUP) // nothing has changed, so it is the signal that does it
	s.awaitLog("msg=reloaded")
	s.write(rulesWith("two"))
	s.signal(syscall.SIGHUP)
	s.awaitLog("msg=reloaded")
	s.expect("/", "200 OK key=two")
}

// A configuration that is wrong, or gone, leaves the old one in force.
func TestServeReloadBadFile(t *testing.T) {
	s := startServe(t, rulesWith("one"))
	s.write("rules: [{nome: x}]\n")
	s.signal(syscall.SIGHUP)
	s.awaitLog(`msg="not reloaded, the old configuration stays"`)
	s.expect("/", "200 OK key=one")
	if err := os.Remove(s.config); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	s.awaitLog(`msg="not reloaded, the old configuration stays"`)
	s.expect("/", "200 OK key=one")
}

// A secret that cannot be found at a reload stops its rule, and nothing else: no
// request goes out without its credential, or with one that was taken away.
func TestServeReloadMissingSecret(t *testing.T) {
	s := startServe(t, rulesWith("one"))
	s.write(rulesWith("${GONE}"))
	s.signal(syscall.SIGHUP)
	s.awaitLog("GONE")
	s.awaitLog("msg=reloaded")
	if got := s.get("/"); !strings.HasPrefix(got, "502 Bad Gateway keybearer: a secret of the rule is not available") {
		t.Errorf("got %q, want 502", got)
	}
}

// A setting that cannot change while it runs is told.
func TestServeReloadSettings(t *testing.T) {
	s := startServe(t, rulesWith("one"))
	s.write(rulesWith("one") + "allow_private: [10.0.0.0/8]\n")
	s.signal(syscall.SIGHUP)
	s.awaitLog(`msg="a changed setting takes effect at the next start" setting=allow_private`)
}

// SIGTERM lets the exchange under way end, takes no more, and exits with 0.
func TestServeDrain(t *testing.T) {
	s := startServe(t, rulesWith("one"))
	answer := make(chan string, 1)
	go func() { answer <- s.get("/wait") }()
	<-s.up.waiting
	s.signal(syscall.SIGTERM)
	s.awaitLog("draining")
	other := newClient(t, proxyOf(s.client), s.caFile())
	if response, err := other.Get("https://api.example.com/"); err == nil {
		response.Body.Close()
		t.Errorf("a new connection was served while draining: %s", response.Status)
	}
	close(s.up.release)
	if got := <-answer; got != "200 OK key=one" {
		t.Errorf("the exchange under way: %q", got)
	}
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// What has not ended in time is cut, and that is an end as any other: exit code 0.
// seen red: with the error of Shutdown returned.
func TestServeDrainTime(t *testing.T) {
	s := startServe(t, rulesWith("one")+"drain: 50ms\n")
	defer close(s.up.release)
	answer := make(chan string, 1)
	go func() { answer <- s.get("/wait") }()
	<-s.up.waiting
	s.signal(syscall.SIGTERM)
	s.awaitLog(`msg="the time to drain is over; what was still under way has been cut" drain=50ms`)
	if got := <-answer; strings.HasPrefix(got, "200") {
		t.Errorf("the exchange that was cut: %q", got)
	}
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A second signal ends the exchanges as well.
func TestServeSecondSignal(t *testing.T) {
	s := startServe(t, rulesWith("one"))
	defer close(s.up.release)
	go s.get("/wait")
	<-s.up.waiting
	s.signal(os.Interrupt)
	s.awaitLog("draining")
	s.signal(os.Interrupt)
	if code := s.exitCode(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
}

func proxyOf(c *http.Client) string {
	u, err := c.Transport.(*http.Transport).Proxy(nil)
	if err != nil {
		panic(err) // http.ProxyURL has no error
	}
	return u.String()
}

func (s *served) caFile() string { return s.file("ca/ca.pem") }
