package telemetry

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// On a terminal the format auto is text.
func TestNewLoggerTerminal(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer terminal.Close()
	if err := unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skip(err)
	}
	n, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skip(err)
	}
	inside, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer inside.Close()
	l, err := NewLogger(inside, "auto", "info")
	if err != nil {
		t.Fatal(err)
	}
	l.Info("hello")
	got, err := bufio.NewReader(terminal).ReadString('\n')
	if err != nil || !strings.Contains(got, "level=INFO msg=hello") {
		t.Errorf("wrote %q, %v; want text", got, err)
	}
}
