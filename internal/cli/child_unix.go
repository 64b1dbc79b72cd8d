//go:build unix

package cli

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that reach the command when they are sent to
// keybearer. SIGPIPE is caught so that a closed log does not end keybearer before
// it has cleaned up; see delivered. SIGTSTP is not: it stops both, as the
// terminal does.
var forwarded = [...]os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE,
}

// delivered reports whether the command has got the signal already, or is not to
// get it. The command is in keybearer's process group, so that job control works
// as without keybearer; when that group is in the foreground, a key such as ^C
// sends its signal to both, and a second one would look like a second ^C.
func delivered(s os.Signal) bool {
	switch s {
	case syscall.SIGPIPE:
		return true // keybearer's own
	case syscall.SIGINT, syscall.SIGQUIT:
		return inForeground()
	}
	return false
}

func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false // no terminal: somebody has sent the signal to keybearer
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// exitCode is what a shell makes of the end of a process.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignal + int(status.Signal())
	}
	return state.ExitCode()
}
