//go:build unix

package secrets

import (
	"os/exec"
	"syscall"
)

// setApart puts the command into a session of its own, and has all of its process
// group end when it is to end.
func setApart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
