package cli

import (
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

// memoryGroup makes a cgroup that grants so much memory.
func memoryGroup(t *testing.T, limit string) (dir string) {
	for parent, file := range map[string]string{"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"} {
		if _, err := os.Stat(parent); err != nil {
			continue
		}
		dir, err := os.MkdirTemp(parent, "keybearer-test-*")
		if err != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		if os.WriteFile(filepath.Join(dir, file), []byte(limit), 0o644) == nil {
			return dir
		}
	}
	t.Skip("no cgroup with a memory limit can be made here: it takes root, and a writable cgroup file system")
	return ""
}
