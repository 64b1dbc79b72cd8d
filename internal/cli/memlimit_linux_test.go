package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// serve leaves a tenth of what its cgroup grants to all that is not Go's heap, and an
// operator who sets GOMEMLIMIT is obeyed.
// seen red: without limitMemory.
func TestServeMemoryLimit(t *testing.T) {
	group := memoryGroup(t, "100M")
	for _, test := range []struct{ name, env, want string }{
		{"cgroup", "GODEBUG=", "bytes=94371840"},
		{"GOMEMLIMIT", "GOMEMLIMIT=64MiB", "bytes=67108864"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startServe(t, rulesWith("one"), func(s *served) {
				enter := exec.Command("sh", append([]string{"-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(group, "cgroup.procs")}, s.cmd.Args...)...)
				enter.Args = append(enter.Args, "--log-level", "debug")
				enter.Env = append(s.cmd.Env, test.env)
				s.cmd = enter
			})
			s.awaitLog(`msg="memory limit of the garbage collector" ` + test.want)
			s.expect("/", "200 OK key=one")
		})
	}
}

// memoryGroup makes a cgroup that grants so much memory. Where memory has a hierarchy of
// its own (version 1), the directory above is none, and whatever is written there is a
// plain file: the kernel has made the one with the limit, or there is no cgroup.
func memoryGroup(t *testing.T, limit string) (dir string) {
	for _, kind := range []struct{ parent, file string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"},
	} {
		dir, err := os.MkdirTemp(kind.parent, "keybearer-test-*")
		if err != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		granted, err := os.OpenFile(filepath.Join(dir, kind.file), os.O_WRONLY, 0)
		if err != nil {
			continue
		}
		_, err = granted.WriteString(limit)
		if err = errors.Join(err, granted.Close()); err == nil {
			return dir
		}
	}
	t.Skip("no cgroup with a memory limit can be made here: it takes root, and a writable cgroup file system")
	return ""
}
