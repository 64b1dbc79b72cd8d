//go:build clients

package clients

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// play starts the client in a directory of its own and waits for its end.
func (s *scene) play(t *testing.T, c client, sit situation) outcome {
	t.Helper()
	o := outcome{client: c, situation: sit, scene: s, dir: t.TempDir(), logged: len(s.log.Bytes())}
	if err := errors.Join(
		os.Mkdir(filepath.Join(o.dir, "tmp"), 0o700),
		os.WriteFile(filepath.Join(o.dir, "upload.bin"), uploadData, 0o600),
		os.Link(s.upstream.large.path, filepath.Join(o.dir, "large.bin"))); err != nil {
		t.Fatal(err)
	}
	o.environ = slices.Concat(basic(o.dir), environ{"NODE_PATH=" + filepath.Join(s.dir, "node_modules")}, sit.environ(s, c))
	o.command = s.command(c, sit)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, o.command[0], o.command[1:]...)
	cmd.Dir, cmd.Env = o.dir, o.environ
	killGroup(cmd)
	cmd.WaitDelay = 5 * time.Second
	output := new(syncBuffer) // the upstream follows what is written to it
	cmd.Stdout, cmd.Stderr = output, output
	s.upstream.begin(c.api, output)
	o.err = cmd.Run()
	o.output, o.requests = output.Bytes(), s.upstream.seen()
	return o
}

// command is the client's, under keybearer run with its environment shown first.
func (s *scene) command(c client, sit situation) []string {
	command := append(c.command(s), sit.mode, sit.scheme+"://"+sit.host(s, c)+c.api.path)
	if !sit.run {
		return command
	}
	return slices.Concat([]string{s.program(), "run"}, s.resolve(), []string{"--", "sh", "-c", `env; exec "$@"`, "sh"}, command)
}

// testdata returns the absolute path of a client program.
func testdata(name string) string {
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		panic(err) // only without a working directory
	}
	return path
}

// Hosts of situations.

func matchedHost(_ *scene, c client) string { return c.api.host }

func always(host string) func(*scene, client) string {
	return func(*scene, client) string { return host }
}

// directHost is one that NO_PROXY names. Keybearer would refuse to go there.
func directHost(s *scene, _ client) string {
	_, port, _ := net.SplitHostPort(s.upstream.address)
	return net.JoinHostPort("localhost", port)
}
