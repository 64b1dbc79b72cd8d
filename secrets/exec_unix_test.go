//go:build unix

package secrets

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runs opens a store whose TOKEN is what a shell script prints.
func runs(t *testing.T, script string, timeout time.Duration) *Store {
	t.Helper()
	return open(t, Sources{
		Named:   map[string]Source{"TOKEN": {Fetch: Exec{Command: []string{"/bin/sh", "-c", script}}, Timeout: timeout}},
		Environ: []string{"SESSION=" + canary, "PATH=" + os.Getenv("PATH")},
	})
}

// A command's output is the secret; whatever else it does is an error that repeats
// nothing of what it printed.
//
// seen red: bounded without its limit; Setpgid in place of Setsid.
func TestExec(t *testing.T) {
	for name, tt := range map[string]struct{ script, want string }{
		"prints":          {"echo token", "token"},
		"environment":     {"echo $SESSION", canary},
		"no input":        {"cat; echo end", "end"},
		"own session":     {"set -- $(cat /proc/$$/stat || echo 1 2 3 4 5 $$); [ $6 = $$ ] && echo apart", "apart"}, // so no terminal
		"warns":           {"echo careful >&2; echo token", "token"},
		"fails":           {"echo $SESSION; echo $SESSION >&2; exit 3", "error: failed (exit status 3, 20 bytes on standard error); "},
		"is killed":       {"kill -9 $$", "error: failed (signal: killed, "},
		"prints nothing":  {"", "error: empty; "},
		"two lines":       {"echo $SESSION; echo b", "error: contains a line break"},
		"never ends":      {"while :; do echo $SESSION$SESSION; done", "error: printed more than 64 KiB; "},
		"leaves a child":  {"echo token; sleep 60 & ", "token"},
		"child of a pipe": {"yes $SESSION | head -c 100000", "error: printed more than 64 KiB; "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			got := lookup(t, runs(t, tt.script, 20*time.Second), "TOKEN")
			if !strings.HasPrefix(got, tt.want) || strings.HasPrefix(got, "error: ") && strings.Contains(got, canary) {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	for command, want := range map[string]string{"no-such-program": "no such program; ", "/etc/passwd": "it may not be run; "} {
		st := open(t, Sources{Named: map[string]Source{"TOKEN": {Fetch: Exec{Command: []string{command, canary}}}}})
		if got := lookup(t, st, "TOKEN"); !strings.HasPrefix(got, "error: "+want) || strings.Contains(st.Describe("TOKEN"), canary) {
			t.Errorf("%s: %q, described as %q", command, got, st.Describe("TOKEN"))
		}
	}
}

// A command gets none of the files that keybearer has open.
//
// seen red: cmd.ExtraFiles with the file.
func TestExecFiles(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "open-file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("this system does not tell")
	}
	if got := lookup(t, runs(t, "ls -l /proc/$$/fd | grep -c open-file", 0), "TOKEN"); !strings.HasPrefix(got, "error: failed (exit status 1") {
		t.Errorf("the command has files: %q", got)
	}
}

// A command that takes too long is ended, with all that it has started.
//
// seen red: setApart without Cancel.
func TestExecTimeout(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	st := runs(t, "echo $$ >"+pids+"; sleep 60 & echo $! >>"+pids+"; wait", 300*time.Millisecond)
	if got := lookup(t, st, "TOKEN"); !strings.HasPrefix(got, "error: did not answer within 300ms; ") {
		t.Fatalf("TOKEN = %q", got)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(text)) {
		pid, _ := strconv.Atoi(word)
		for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d is still there", pid)
			}
		}
	}
}

// alive reports whether a process runs: one that has ended and that nobody has asked
// for does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}
