package soak

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is what make build has built.
const binary = "../../bin/keybearer"

// policy injects the secret into requests to four hosts. direct.test and idle.test are
// tunnelled, as any host is that no rule names.
const policy = `rules:
  - name: api
    match_hosts: [api.test, other.test, fresh.test, newer.test]
    inject_headers: {X-Key: "${API_KEY}"}
`

// keybearer is a keybearer serve.
type keybearer struct {
	t     *testing.T
	cmd   *exec.Cmd
	dir   string // of its files
	addr  string
	admin *http.Client
	roots *x509.CertPool   // its own and the upstreams'
	clock func() time.Time // of its clients; nil: the machine's
	log   output
	ended chan struct{}
}

// options say how to start a keybearer.
type options struct {
	config  string            // policy if empty
	resolve map[string]string // host:port to address
	ca      []byte            // of the upstreams
	args    []string
	env     []string
	wrap    []string // a command that runs it, with the program and its arguments at the end
}

func start(t *testing.T, o options) *keybearer {
	t.Helper()
	k := prepare(t, o)
	stdout, err := k.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		t.Fatalf("%v; run make build first", err)
	}
	t.Cleanup(k.end)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	go func() { k.cmd.Wait(); close(k.ended) }()
	// keybearer listens on 127.0.0.1:40000, CA /path/ca.pem, 1 rule
	address, rest, ok := strings.Cut(strings.TrimPrefix(line, "keybearer listens on "), ", CA ")
	if err != nil || !ok {
		t.Fatalf("no first line: %q, %v\n%s", line, err, k.log.String())
	}
	k.addr = address
	ca, _, _ := strings.Cut(rest, ", ")
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	k.roots.AppendCertsFromPEM(pem)
	return k
}

// prepare makes everything ready but does not start it.
func prepare(t *testing.T, o options) *keybearer {
	t.Helper()
	k := &keybearer{t: t, dir: t.TempDir(), roots: x509.NewCertPool(), ended: make(chan struct{})}
	if o.config == "" {
		o.config = policy
	}
	k.write("keybearer.yaml", o.config)
	k.write("upstream.pem", string(o.ca))
	k.roots.AppendCertsFromPEM(o.ca)
	program, err := filepath.Abs(binary)
	if err != nil {
		t.Fatal(err)
	}
	socket := k.file("admin.sock")
	args := append(o.wrap, program, "serve", "-c", k.file("keybearer.yaml"), "--listen", "127.0.0.1:0", "--ca-dir", k.file("ca"),
		"--upstream-ca", k.file("upstream.pem"), "--admin", "unix:"+socket, "--log-format", "text")
	for target, address := range o.resolve {
		args = append(args, "--resolve", target+":"+address)
	}
	args = append(args, o.args...)
	k.cmd = exec.Command(args[0], args[1:]...)
	k.cmd.Env = append(append(os.Environ(), "API_KEY="+canary), o.env...)
	k.cmd.Stderr = &k.log
	k.admin = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		MaxConnsPerHost: 1, // so that to measure costs the same at all times
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	return k
}

// inFront starts a keybearer in front of an upstream.
func inFront(t *testing.T, u *upstream, change ...func(*options)) *keybearer {
	t.Helper()
	o := options{ca: u.issuer.pem(), resolve: map[string]string{
		"api.test:443": u.tls, "other.test:443": u.tls, "fresh.test:443": u.tls, "newer.test:443": u.tls, "direct.test:443": u.tls, "plain.test:80": u.plain, "idle.test:443": u.echo}}
	for _, f := range change {
		f(&o)
	}
	k := start(t, o)
	t.Cleanup(func() { u.verify(t) })
	return k
}

// end ends it, and looks at what it has written.
func (k *keybearer) end() {
	k.admin.CloseIdleConnections()
	k.cmd.Process.Kill()
	<-k.ended
	log := k.log.String()
	if strings.Contains(log, canary) {
		k.t.Error("the secret is in the log")
	}
	if strings.Contains(log, "goroutine ") || strings.Contains(log, "proxy_internal_error") {
		k.t.Errorf("keybearer has failed:\n%s", log)
	}
}

// exitCode waits for its end.
func (k *keybearer) exitCode(patience time.Duration) int {
	k.t.Helper()
	select {
	case <-k.ended:
	case <-time.After(patience):
		k.t.Fatalf("it did not end within %s", patience)
	}
	return k.cmd.ProcessState.ExitCode()
}

func (k *keybearer) signal(s syscall.Signal) {
	k.t.Helper()
	if err := k.cmd.Process.Signal(s); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keybearer) file(name string) string { return filepath.Join(k.dir, name) }

func (k *keybearer) write(name, content string) {
	k.t.Helper()
	if err := os.WriteFile(k.file(name), []byte(content), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// awaitLog waits until the log holds text n times.
func (k *keybearer) awaitLog(text string, n int) {
	k.t.Helper()
	eventually(k.t, 20*time.Second, "log with "+text, func() bool { return strings.Count(k.log.String(), text) >= n })
}

// output is what a process writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
