//go:build unix

package proxy

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

// An upstream that does not answer the SYN is given up after the dial timeout.
func TestRefuseDialTimeout(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as the dial timeout")
	}
	t.Parallel()
	addr := fullListener(t)
	f := start(t, config(), map[string]string{"direct.test:443": addr, "api.test:443": addr})
	want := refusal{504, "connection_timeout", "firewalls"}
	group := make(chan func(), 2)
	go func() {
		conn := f.dial()
		defer conn.Close()
		resp := f.do(conn, "CONNECT", connectTo("direct.test:443"))
		group <- func() { want.check(t, resp, f.record()) }
	}()
	go func() {
		resp := f.ask(true, "api.test:443", get("/")...)
		group <- func() { want.check(t, resp, f.record()) }
	}()
	(<-group)()
	(<-group)()
}

// fullListener is the address of a socket whose queue is full: a SYN to it gets
// no answer.
func fullListener(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for range 10 {
		conn, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Skip("this kernel keeps no limit on a listener's queue")
	return ""
}
