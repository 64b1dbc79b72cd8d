package cli

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// systemd learns when serve is ready, reloads and stops.
//
// seen red: each call of the manager left out; MONOTONIC_USEC of the wall clock.
func TestSystemdNotify(t *testing.T) {
	dir, err := os.MkdirTemp("", "notify") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	state := func() string {
		t.Helper()
		if err := socket.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := socket.Read(b)
		if err != nil {
			t.Fatalf("systemd is told nothing: %v", err)
		}
		return string(b[:n])
	}
	expect := func(want string) {
		t.Helper()
		if got := state(); got != want {
			t.Errorf("systemd is told %q, want %q", got, want)
		}
	}
	expectReload := func() {
		t.Helper()
		got, now := state(), monotonic(t)
		var at int64
		if _, err := fmt.Sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%d\n", &at); err != nil || at > now || at < now-20e6 {
			t.Errorf("systemd is told %q, want RELOADING and a time shortly before %d", got, now)
		}
		expect("READY=1")
	}
	s := startServe(t, rulesWith("one"), func(s *served) {
		s.cmd.Env = append(s.cmd.Env, "NOTIFY_SOCKET="+socket.LocalAddr().String())
	})
	expect("READY=1")
	s.signal(syscall.SIGHUP)
	expectReload()
	s.replace("rules: [{nome: x}]\n") // a reload that fails is over as well
	expectReload()
	s.signal(syscall.SIGTERM)
	expect("STOPPING=1")
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// monotonic returns the time in microseconds since the machine was started.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

// A state that cannot be told stops nothing.
func TestSystemdNotifyInVain(t *testing.T) {
	s := startServe(t, rulesWith("one"), func(s *served) {
		s.cmd.Env = append(s.cmd.Env, "NOTIFY_SOCKET="+s.file("none"))
	})
	s.awaitLog("systemd does not know the state of the service")
	s.expect("/", "200 OK key=one")
}

// activated makes cmd what systemd starts for sockets.
func activated(cmd *exec.Cmd, files ...*os.File) *exec.Cmd {
	sh := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, cmd.Args...)...)
	sh.Env = append(cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(files)))
	sh.ExtraFiles = files
	return sh
}

// The socket that systemd hands over takes the place of listen; a connection that
// was made before serve began is served.
//
// seen red: inherited returns nil.
func TestSystemdSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	early, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	s := startServe(t, rulesWith("one"), func(s *served) { s.cmd = activated(s.cmd, fileOf(t, l)) })
	if got, want := proxyOf(s.client), "http://"+l.Addr().String(); got != want {
		t.Errorf("serve listens on %s, want %s", got, want)
	}
	s.expect("/", "200 OK key=one")
	if _, err := early.Write([]byte("nonsense\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	early.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer := make([]byte, len("HTTP/1.1 400"))
	if _, err := early.Read(answer); err != nil || string(answer) != "HTTP/1.1 400" {
		t.Errorf("the early connection got %q, %v", answer, err)
	}
}

func fileOf(t *testing.T, l net.Listener) *os.File {
	t.Helper()
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A socket that other machines can reach has to be asked for, whoever opened it, and
// one that is no single TCP listener is refused.
//
// seen red: checkListen given the setting.
func TestSystemdSocketRefused(t *testing.T) {
	open := func(network, address string) *os.File {
		t.Helper()
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return fileOf(t, l)
	}
	local := open("tcp", "127.0.0.1:0")
	tests := []struct {
		name  string
		files []*os.File
		want  string
	}{
		{"every address", []*os.File{open("tcp", ":0")}, "add --allow-remote if only clients you trust can connect"},
		{"two", []*os.File{local, local}, "a single ListenStream="},
		{"unix", []*os.File{open("unix", "@keybearer-test-"+filepath.Base(t.TempDir())+fmt.Sprint(os.Getpid()))}, "a single ListenStream="},
	}
	config := filepath.Join(t.TempDir(), "keybearer.yaml")
	if err := os.WriteFile(config, []byte(rulesWith("one")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command("keybearer", "serve", "-c", config, "--listen", "127.0.0.1:0", "--ca-dir", t.TempDir())
			cmd.Env = os.Environ()
			out, err := activated(cmd, tt.files...).CombinedOutput()
			var ended *exec.ExitError
			if !errors.As(err, &ended) || ended.ExitCode() != exitUsage || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v, want exit code %d and %q:\n%s", err, exitUsage, tt.want, out)
			}
		})
	}
}

// systemd accepts the units of examples.
func TestSystemdUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("needs systemd-analyze")
	}
	program, err := os.Executable() // keybearer may not be installed
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, unit := range []string{"keybearer.service", "keybearer.socket"} {
		text, err := os.ReadFile(filepath.Join("../../examples/systemd", unit))
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("/usr/local/bin/keybearer"), []byte(program))
		if err := os.WriteFile(filepath.Join(dir, unit), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := exec.Command("systemd-analyze", "verify", "--man=no", "./keybearer.service", "./keybearer.socket")
	verify.Dir = dir
	if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
