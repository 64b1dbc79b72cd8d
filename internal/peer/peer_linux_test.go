package peer

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// A connection of this user is told from one of another, over either IP version.
func TestSameUser(t *testing.T) {
	if !Known() {
		t.Skip("the kernel does not tell here")
	}
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				t.Skip(err)
			}
			defer l.Close()
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := SameUser(conn); err != nil {
				t.Errorf("own connection: %v", err)
			}
		})
	}
}

// Another user is refused. It takes root to become one.
func TestOtherUser(t *testing.T) {
	if os.Getuid() != 0 || !Known() {
		t.Skip("needs root")
	}
	conn, _ := shell(t, listen(t), &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
	if err := SameUser(conn); !errors.Is(err, ErrOtherUser) {
		t.Errorf("connection of another user: %v, want %v", err, ErrOtherUser)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	return l
}

// shell returns the accepted connection of a shell, which keeps it open until its
// standard input ends with the test.
func shell(t *testing.T, l net.Listener, attr *syscall.SysProcAttr) (conn net.Conn, pid int) {
	t.Helper()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	cmd := exec.Command("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/"+port+"; read -r line")
	cmd.SysProcAttr = attr
	cmd.Dir = "/" // which every user may enter
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	if conn, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, cmd.Process.Pid
}

// A connection that does not exist has no owner.
func TestNoSuchConnection(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	if err := SameUser(server); err == nil {
		t.Error("a pipe has an owner")
	}
}

func BenchmarkSameUser(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	for b.Loop() {
		if err := SameUser(conn); err != nil {
			b.Fatal(err)
		}
	}
}
