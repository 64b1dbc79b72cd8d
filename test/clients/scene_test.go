//go:build clients

package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"keybearer/internal/clientenv"
)

// scene is an upstream, a keybearer serve in front of it, and what clients need to
// know. One client plays in it at a time.
type scene struct {
	dir      string // of the programs
	home     string // of what is the scene's own
	upstream *upstream
	serve    *exec.Cmd
	log      *syncBuffer // of serve
	caDir    string
	client   environ // by keybearer env
}

// environ is an environment as os.Environ returns it.
type environ []string

// newScene starts everything.
func newScene(dir, home string, large *largeFile) (*scene, error) {
	s := &scene{dir: dir, home: home, log: new(syncBuffer), caDir: filepath.Join(home, "ca")}
	var err error
	if s.upstream, err = newUpstream(home, large); err != nil {
		return nil, err
	}
	if err := s.writeFiles(); err != nil {
		return nil, err
	}
	address, err := s.start()
	if err != nil {
		return nil, err
	}
	s.client, err = s.ask("http://" + address)
	return s, err
}

func (s *scene) program() string { return filepath.Join(s.dir, "keybearer") }
func (s *scene) config() string  { return filepath.Join(s.home, "keybearer.yaml") }
func (s *scene) origin() string  { return filepath.Join(s.home, "origin") }

// writeFiles writes the configuration, and files with the names of keybearer's
// own that hold the origin's root and nothing else.
func (s *scene) writeFiles() error {
	if err := os.MkdirAll(s.origin(), 0o755); err != nil {
		return err
	}
	root := s.upstream.authority.PEM()
	trustStore, err := clientenv.TrustStore(root)
	if err != nil {
		return err
	}
	bundle := filepath.Join(s.origin(), "bundle.pem")
	return errors.Join(
		os.WriteFile(filepath.Join(s.origin(), "added.pem"), root, 0o644),
		os.WriteFile(bundle, root, 0o644),
		os.WriteFile(filepath.Join(s.origin(), "truststore.p12"), trustStore, 0o644),
		os.WriteFile(filepath.Join(s.origin(), "wgetrc"), clientenv.Wgetrc(bundle, nil), 0o644),
		os.WriteFile(filepath.Join(s.origin(), "keybearer.ini"), clientenv.PHPIni(bundle), 0o644),
		os.WriteFile(filepath.Join(s.origin(), "apt.conf"), clientenv.APTConf(bundle), 0o644),
		os.WriteFile(s.config(), s.configuration(bundle), 0o600))
}

func (s *scene) configuration(upstreamCA string) []byte {
	var b bytes.Buffer
	b.WriteString("rules:\n")
	for _, a := range apis {
		b.WriteString(a.rules())
	}
	fmt.Fprintf(&b, "no_proxy: [\"files-*.example.test\"]\n")
	fmt.Fprintf(&b, "listen: 127.0.0.1:0\nca_dir: %q\nupstream_ca: %q\nlog_format: json\n", s.caDir, upstreamCA)
	return b.Bytes()
}

// resolve are the flags that lead to the upstream.
func (s *scene) resolve() []string {
	flags := []string{"--config", s.config()}
	for _, host := range []string{unmatchedHost, noProxyHost} {
		flags = append(flags, "--resolve", host+":443:"+s.upstream.address)
	}
	for _, a := range apis {
		flags = append(flags, "--resolve", a.host+":443:"+s.upstream.address, "--resolve", a.host+":80:"+s.upstream.plainAddress)
	}
	return flags
}

// start starts keybearer serve and returns its address.
func (s *scene) start() (string, error) {
	s.serve = exec.Command(s.program(), append([]string{"serve"}, s.resolve()...)...)
	s.serve.Env = slices.Concat(basic(s.home), s.secrets())
	s.serve.Stderr = s.log
	endWithUs(s.serve)
	stdout, err := s.serve.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := s.serve.Start(); err != nil {
		return "", err
	}
	line := make(chan string, 1)
	go func() {
		r := bufio.NewReader(stdout)
		first, _ := r.ReadString('\n')
		line <- first
		io.Copy(s.log, r)
	}()
	select {
	case first := <-line:
		s.log.Write([]byte(first))
		if words := strings.FieldsFunc(first, func(c rune) bool { return c == ' ' || c == ',' }); len(words) > 3 {
			return words[3], nil // keybearer listens on ADDRESS, CA …
		}
		s.serve.Wait()
		return "", fmt.Errorf("keybearer serve did not say where it listens: %q; it logged: %s", first, s.log.Bytes())
	case <-time.After(20 * time.Second):
		return "", fmt.Errorf("keybearer serve was not ready after 20 s; it logged: %s", s.log.Bytes())
	}
}

// ask returns the variables that keybearer env prints.
func (s *scene) ask(proxy string) (environ, error) {
	cmd := exec.Command(s.program(), "env", "--config", s.config(), "--format", "json", "--proxy", proxy)
	cmd.Env = basic(s.home)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("keybearer env: %w: %s", err, out)
	}
	var variables map[string]string
	if err := json.Unmarshal(out, &variables); err != nil {
		return nil, fmt.Errorf("keybearer env --format json: %w: %s", err, out)
	}
	var env environ
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		env = append(env, name+"="+variables[name])
	}
	return env, nil
}

// close ends keybearer serve as an operator does.
func (s *scene) close() {
	s.serve.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(20*time.Second, func() { s.serve.Process.Kill() })
	defer timer.Stop()
	s.serve.Wait()
}

// The environments, each on top of basic.

func clientEnv(s *scene, _ client) environ { return s.client }

// variablesEnv has of keybearer's variables only those that the client's row lists.
func variablesEnv(s *scene, c client) environ {
	return slices.DeleteFunc(slices.Clone(s.client), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return !slices.Contains(c.variables, name)
	})
}

// originEnv trusts the origin's authority and not keybearer's.
func originEnv(s *scene, _ client) environ {
	var env environ
	for _, entry := range s.client {
		env = append(env, strings.ReplaceAll(entry, s.caDir, s.origin()))
	}
	return env
}

// runEnv is for keybearer run, which has the secrets and shall keep them.
func runEnv(s *scene, _ client) environ { return s.secrets() }

func (s *scene) secrets() environ {
	var env environ
	for name, value := range canaries {
		env = append(env, name+"="+value)
	}
	return env
}

// basic is what any program needs; home is its own.
func basic(home string) environ {
	return environ{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + filepath.Join(home, "tmp"), "LANG=C.UTF-8"}
}

// syncBuffer is a buffer that a process writes while others read. Its zero value is
// empty.
type syncBuffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{} // closed by the next Write; nil if nobody waits
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	return b.b.Write(p)
}

func (b *syncBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b.Bytes())
}

// await returns nil as soon as the text is there, behind the first skip bytes, and
// an error if it is not when the context ends.
func (b *syncBuffer) await(ctx context.Context, skip int, text string) error {
	for ended := false; ; {
		found, changed := b.find(skip, text)
		switch {
		case found:
			return nil
		case ended:
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			ended = true
		}
	}
}

// find looks for the text once. The channel is closed when it is worth another look.
func (b *syncBuffer) find(skip int, text string) (found bool, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return bytes.Contains(b.b.Bytes()[skip:], []byte(text)), b.changed
}
