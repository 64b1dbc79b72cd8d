package operations

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// handed makes cmd what systemd starts for a socket: it gets l as descriptor 3.
func handed(t *testing.T, cmd *exec.Cmd, l *net.TCPListener) *exec.Cmd {
	t.Helper()
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	sh := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh"}, cmd.Args...)...)
	sh.ExtraFiles = []*os.File{file}
	return sh
}

// While the socket stays, as it does with examples/systemd, a restart refuses nobody:
// the exchange under way ends, and who connects meanwhile waits for the new process.
//
// seen red: the socket closed with the old process (both commands without handed).
func TestRestartBehindSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newService(t, "")
	s.start(handed(t, s.command(), l.(*net.TCPListener)))
	old := s.cmd
	before := s.client()
	resp, err := before.Get("https://api.example.com/slow") // its head has come
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	s.signal(syscall.SIGTERM)
	await(t, "the old process to drain", func() bool {
		status, why := s.ask("/readyz")
		return status == http.StatusServiceUnavailable && why == "keybearer is shutting down\n"
	})

	after := s.client()
	answered := make(chan string, 1)
	go func() {
		status, body := get(after, "https://api.example.com/echo")
		answered <- fmt.Sprint(status, " ", body)
	}()
	s.finish <- struct{}{}
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "the end" {
		t.Errorf("the exchange under way has ended with %q, %v", body, err)
	}
	if err := old.Wait(); err != nil {
		t.Errorf("the old process: %v", err)
	}
	select {
	case early := <-answered:
		t.Fatalf("a client that connected to nobody got %s", early)
	default:
	}
	s.start(handed(t, s.command(), l.(*net.TCPListener)))
	if got, want := <-answered, "200 "+strings.Repeat("*", len("Bearer "+canary))+"\n"; got != want {
		t.Errorf("the client that waited got %q, want %q", got, want)
	}
	s.stop()
}

// Without a socket of systemd's the new process listens as soon as the old one drains.
//
// seen red: the listener kept open until drained.
func TestHandOver(t *testing.T) {
	s := newService(t, "")
	cmd := s.command()
	address := freeAddress(t)
	cmd.Args = append(cmd.Args, "--listen", address)
	s.start(cmd)
	old := s.cmd
	resp, err := s.client().Get("https://api.example.com/slow") // its head has come
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	s.signal(syscall.SIGTERM)
	await(t, "the old process to drain", func() bool { status, _ := s.ask("/readyz"); return status == http.StatusServiceUnavailable })
	next := s.command()
	next.Args = append(next.Args, "--listen", address, "--admin", freeAddress(t))
	s.start(next)
	if status, body := get(s.client(), "https://api.example.com/"); status != http.StatusOK {
		t.Errorf("the new process answers %d %s", status, body)
	}
	s.finish <- struct{}{}
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "the end" {
		t.Errorf("the exchange under way has ended with %q, %v", body, err)
	}
	if err := old.Wait(); err != nil {
		t.Errorf("the old process: %v", err)
	}
	s.stop()
}

// systemd-socket-activate, which does for one start what systemd does for a socket
// unit, starts keybearer with the first connection, and that is served.
//
// seen red: inherited of internal/cli returns nil.
func TestSocketActivation(t *testing.T) {
	if _, err := exec.LookPath("systemd-socket-activate"); err != nil {
		t.Skip("needs systemd-socket-activate, of Debian's package systemd")
	}
	s := newService(t, "")
	s.start(s.command()) // it makes the authority
	client := s.client()
	s.stop()
	s.proxy = freeAddress(t)
	client = s.clientTrusting(client.Transport.(*http.Transport).TLSClientConfig.RootCAs)
	cmd := exec.Command("systemd-socket-activate", append([]string{"--listen=" + s.proxy}, s.command().Args...)...)
	cmd.Stderr = s.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.cmd = cmd
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	await(t, "systemd-socket-activate to listen", func() bool {
		c, err := net.Dial("tcp", s.proxy)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if status, body := get(client, "https://api.example.com/"); status != http.StatusOK {
		t.Errorf("got %d %s", status, body)
	}
	s.stop()
}
