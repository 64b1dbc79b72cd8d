package cli

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// top shows what goes through a real serve, which it finds by the setting admin.
//
// seen red: admin without the environment variable.
func TestTopServe(t *testing.T) {
	s := startServe(t, rulesWith("${API_KEY}"), withAdmin)
	s.get("/v1/before")
	top := exec.Command("keybearer", "top")
	top.Env = append(os.Environ(), "KEYBEARER_ADMIN=unix:"+s.file("admin.sock"))
	out, err := top.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := top.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { top.Process.Kill(); top.Wait() })
	lines := bufio.NewScanner(out)
	for i, path := range []string{"/v1/before", "/v1/after"} {
		if i > 0 {
			s.get(path)
		}
		if !lines.Scan() {
			t.Fatalf("no line for %s: %v", path, lines.Err())
		}
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 8 || fields[1] != "intercept" || fields[2] != "200" || fields[4] != "GET" ||
			fields[5] != "api.example.com"+path || fields[6] != "api" || fields[7] != "-" {
			t.Errorf("line %q", fields)
		}
		if strings.Contains(lines.Text(), canary) {
			t.Error("it shows the secret")
		}
	}
}

// Without an admin listener to ask, top says how to get one.
//
// seen red: admin without the last condition.
func TestTopWithoutAdmin(t *testing.T) {
	top := exec.Command("keybearer", "top", "-c", "-")
	top.Stdin = strings.NewReader(rulesWith("one"))
	out, err := top.CombinedOutput()
	if top.ProcessState.ExitCode() != exitUsage || !strings.Contains(string(out), "start serve with --admin 127.0.0.1:9901") {
		t.Errorf("%v: %s", err, out)
	}
}
