package secrets

import (
	"os/exec"
	"syscall"
)

// setApart puts the command into a process group of its own, so that no ^C reaches it.
func setApart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP, HideWindow: true}
}
