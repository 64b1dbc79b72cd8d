//go:build unix

package cli

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// startRun starts keybearer run with a command whose standard output it returns
// by lines.
func startRun(t *testing.T, prepare func(*exec.Cmd), command ...string) (cmd *exec.Cmd, lines *bufio.Scanner, temp string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "keybearer.yaml")
	if err := os.WriteFile(config, []byte(rulesWith("${API_KEY}")), 0o600); err != nil {
		t.Fatal(err)
	}
	temp = filepath.Join(dir, "tmp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command("keybearer", append([]string{"run", "-c", config, "--"}, command...)...)
	cmd.Env = append(os.Environ(), "API_KEY="+canary, "TMPDIR="+temp)
	if prepare != nil {
		prepare(cmd)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd, bufio.NewScanner(stdout), temp
}

// expectLine demands that the next line is want.
func expectLine(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() || lines.Text() != want {
		t.Fatalf("line %q, want %q", lines.Text(), want)
	}
}

// expectEnd demands an exit code, and that nothing is left in temp.
func expectEnd(t *testing.T, cmd *exec.Cmd, lines *bufio.Scanner, code int, temp string) {
	t.Helper()
	for lines.Scan() {
		t.Errorf("unexpected line %q", lines.Text())
	}
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	if entries, err := os.ReadDir(temp); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// Signals sent to keybearer reach the command; keybearer cleans up and exits as
// the command does.
func TestRunForwardsSignals(t *testing.T) {
	for _, tt := range []struct {
		signal syscall.Signal
		name   string
	}{
		{syscall.SIGINT, "INT"}, {syscall.SIGTERM, "TERM"}, {syscall.SIGHUP, "HUP"},
		{syscall.SIGQUIT, "QUIT"}, {syscall.SIGUSR1, "USR1"}, {syscall.SIGUSR2, "USR2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd, lines, temp := startRun(t, newSession, "sh", "-c",
				`trap 'echo got `+tt.name+`; exit 9' `+tt.name+`; echo ready; while :; do sleep 0.01; done`)
			expectLine(t, lines, "ready")
			cmd.Process.Signal(tt.signal)
			expectLine(t, lines, "got "+tt.name)
			expectEnd(t, cmd, lines, 9, temp)
		})
	}
}

// newSession detaches the process from the terminal of whoever runs the tests.
func newSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// A command that a forwarded signal kills makes the exit code 128+n.
func TestRunDiesOfSignal(t *testing.T) {
	cmd, lines, temp := startRun(t, newSession, "sh", "-c", "echo ready; exec sleep 600")
	expectLine(t, lines, "ready")
	cmd.Process.Signal(syscall.SIGTERM)
	expectEnd(t, cmd, lines, exitSignal+int(syscall.SIGTERM), temp)
}

// A signal that keybearer was started to ignore stays ignored, as under nohup.
func TestRunKeepsIgnoredSignals(t *testing.T) {
	var stdin io.WriteCloser
	cmd, lines, temp := startRun(t, func(cmd *exec.Cmd) {
		newSession(cmd)
		cmd.Args = append([]string{"sh", "-c", `trap '' HUP; exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
		stdin, _ = cmd.StdinPipe()
	}, "sh", "-c", "echo ready; read line; echo $line")
	expectLine(t, lines, "ready")
	cmd.Process.Signal(syscall.SIGHUP)
	io.WriteString(stdin, "still here\n")
	expectLine(t, lines, "still here")
	expectEnd(t, cmd, lines, 0, temp)
}

// A log that nobody reads any more ends neither the command nor the cleaning up.
func TestRunSurvivesClosedLog(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	cmd, lines, temp := startRun(t, func(cmd *exec.Cmd) { cmd.Stderr = write },
		"sh", "-c", `get https://denied.invalid/ 2>/dev/null; echo after`)
	write.Close()
	expectLine(t, lines, "after")
	expectEnd(t, cmd, lines, 0, temp)
}

// The secret is in no file that the command can find by its environment, nor in
// its own arguments and environment as the system shows them.
func TestRunHidesSecretFromProc(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("no /proc")
	}
	cmd, lines, temp := startRun(t, nil, "sh", "-c", `tr '\0' '\n' < /proc/$$/environ; cat /proc/$$/cmdline | tr '\0' ' '; echo; echo end`)
	var seen []string
	for lines.Scan() && lines.Text() != "end" {
		seen = append(seen, lines.Text())
		if strings.Contains(lines.Text(), canary) {
			t.Errorf("the secret is in %q", lines.Text())
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d lines: %q", len(seen), seen)
	}
	expectEnd(t, cmd, lines, 0, temp)
}
