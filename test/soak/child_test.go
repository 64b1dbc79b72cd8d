package soak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// child is an upstream in a process of its own: it has descriptors of its own, and
// can be stopped.
type child struct {
	TLS, Plain, Echo string
	CA               []byte
	process          *os.Process
}

// serveUpstream is the main of a child. It ends with its standard input.
func serveUpstream() {
	u := newUpstream()
	json.NewEncoder(os.Stdout).Encode(child{TLS: u.tls, Plain: u.plain, Echo: u.echo, CA: u.issuer.pem()})
	io.Copy(io.Discard, os.Stdin)
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range u.wrong {
		fmt.Fprintln(os.Stderr, "the upstream received", r)
	}
	os.Exit(min(len(u.wrong), 1))
}

// isStopped reports whether each of its threads is.
func (c *child) isStopped() bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.process.Pid))
	for _, thread := range threads {
		b, _ := os.ReadFile(thread)
		if _, rest, _ := strings.Cut(string(b), ") "); !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return len(threads) > 0
}

func startChild(t *testing.T) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"=upstream")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{process: cmd.Process}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the upstream received requests without their credential: %v", err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}
