package cli

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// The command of a run cannot read the memory and the environment of keybearer,
// its parent, which holds the secrets.
func TestRunHidesMemory(t *testing.T) {
	cmd, lines, _ := startRun(t, asNobody(t), "sh", "-c",
		`cat /proc/$PPID/environ > /dev/null 2>&1 && echo environment; LC_ALL=C head -c 1 /proc/$PPID/mem 2>&1 | grep -q 'Permission denied' || echo memory
		 cat /proc/$$/environ > /dev/null && echo end`)
	expectLine(t, lines, "end")
	expectEnd(t, cmd, lines, 0, tempOf(cmd))
}

// asNobody prepares a command to run as a user without privileges: root may read
// everything. The program is copied to where that user finds it.
func asNobody(t *testing.T) func(*exec.Cmd) {
	if os.Geteuid() != 0 {
		return func(*exec.Cmd) {}
	}
	return func(cmd *exec.Cmd) {
		dir := t.TempDir()
		const nobody = 65534
		program := filepath.Join(dir, "keybearer")
		if err := copyFile(program, cmd.Path); err != nil {
			t.Fatal(err)
		}
		config := cmd.Args[3]
		for _, path := range []string{config, tempOf(cmd)} {
			if err := os.Chown(path, nobody, nobody); err != nil {
				t.Skip(err)
			}
		}
		for dir := filepath.Dir(config); dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) {
			os.Chmod(dir, 0o755) // t.TempDir and its parent
		}
		os.Chmod(dir, 0o755)
		os.Chmod(filepath.Dir(dir), 0o755)
		cmd.Path = program
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}

// tempOf is the temporary directory of a command of startRun.
func tempOf(cmd *exec.Cmd) string {
	return filepath.Join(filepath.Dir(cmd.Args[3]), "tmp")
}
