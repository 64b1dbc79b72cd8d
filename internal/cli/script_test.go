package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestStories runs testdata/*.txtar. Beside the usual commands they have
//
//	status CODE COMMAND...  runs it and demands that exit code
//	canary NAME...          adds the secret to the end of these variables
//	api                     starts an HTTPS server for api.example.com, which says
//	                        whether it got the secret; sets API to its address
//	                        and writes api-ca.pem
//	empty DIR               demands that nothing is in it
//	certificate NAME CN DAYS  writes NAME.pem and NAME.key of a client
//
// and the programs keybearer, get URL... (a client) and those of the system.
func TestStories(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stories use a POSIX shell")
	}
	testscript.RunT(watched{t}, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("GORACE", quickRace)
			e.Setenv("API", "")
			if path, err := exec.LookPath("keybearer"); err == nil {
				e.Setenv("PROGRAMS", filepath.Dir(path)) // where TestMain has put ours
			}
			return os.Mkdir(filepath.Join(e.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
			"canary": setCanary,
			"api":    startAPI,
			"empty":  empty,

			"certificate": newCertificate,
		},
	})
}

func status(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var ended *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &ended) {
		got = ended.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func setCanary(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		ts.Setenv(name, ts.Getenv(name)+canary)
	}
}

func startAPI(ts *testscript.TestScript, _ bool, _ []string) {
	u, err := newUpstream()
	ts.Check(err)
	ts.Defer(u.close)
	ts.Setenv("API", u.address)
	ts.Check(os.WriteFile(ts.MkAbs("api-ca.pem"), u.ca, 0o600))
}

func empty(ts *testscript.TestScript, _ bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(entries) > 0 {
		ts.Fatalf("%s holds %v", args[0], entries)
	}
}
