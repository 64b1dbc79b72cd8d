package cli

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ^C on a terminal reaches the command once: from the terminal, and not from
// keybearer again, to which many a program would answer by giving up at once.
func TestRunInterruptFromTerminal(t *testing.T) {
	terminal, inside := openTerminal(t)
	cmd, lines, temp := startRun(t, func(cmd *exec.Cmd) {
		cmd.Stdin = inside
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}, "interrupts")
	expectLine(t, lines, "ready")
	if _, err := terminal.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	expectLine(t, lines, "interrupt 1")
	// Keybearer passes signals on in their order: an interrupt of its own would
	// come before this one.
	cmd.Process.Signal(syscall.SIGTERM)
	expectLine(t, lines, "terminated")
	expectEnd(t, cmd, lines, 0, temp)
}

// openTerminal returns a pseudo terminal: the side of whoever types, and the side
// of the programs.
func openTerminal(t *testing.T) (terminal, inside *os.File) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { terminal.Close() })
	if err := unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skip(err)
	}
	n, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skip(err)
	}
	inside, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { inside.Close() })
	return terminal, inside
}
