package operations

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The snippet for logrotate in docs/operations.md rotates the access log: later lines
// are in the new file, earlier ones in the old, and each is there once.
//
// seen red: postrotate without the signal; logs.reopen left out.
func TestLogrotate(t *testing.T) {
	s := newService(t, "access_log: access.log\n")
	s.start(s.command())
	snippet := regexp.MustCompile(`(?s)/var/log/keybearer/access\.log \{.*?\n\}\n`).FindString(read(t, manual))
	for from, to := range map[string]string{
		"/var/log/keybearer/access.log":      s.path("access.log"),
		"systemctl reload keybearer.service": fmt.Sprintf("kill -HUP %d", s.cmd.Process.Pid),
	} {
		if !strings.Contains(snippet, from) {
			t.Fatalf("the snippet has no %s:\n%s", from, snippet)
		}
		snippet = strings.ReplaceAll(snippet, from, to)
	}
	s.write("logrotate.conf", snippet)
	client := s.client()
	page := func(path string) {
		t.Helper()
		if status, body := get(client, "https://api.example.com"+path); status != 200 {
			t.Fatalf("%s: %d %s", path, status, body)
		}
	}
	page("/before")
	await(t, "the first line", func() bool { return len(s.paths("access.log")) == 1 })
	rotate := exec.Command("logrotate", "--force", "--state", s.path("state"), s.path("logrotate.conf"))
	if out, err := rotate.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("logrotate: %v\n%s", err, out)
	}
	await(t, "a new file", func() bool { _, err := os.Stat(s.path("access.log")); return err == nil })
	page("/after")
	await(t, "the second line", func() bool { return len(s.paths("access.log")) == 1 })
	if old, now := s.paths("access.log.1"), s.paths("access.log"); fmt.Sprint(old, now) != "[/before] [/after]" {
		t.Errorf("the old file has %q, the new one %q", old, now)
	}
	if info, err := os.Stat(s.path("access.log")); err != nil || info.Mode() != 0o600 {
		t.Errorf("the new file: %v, %v", info, err)
	}
	s.stop()
}

// paths are those of the records in a log.
func (s *service) paths(name string) (paths []string) {
	s.t.Helper()
	for line := range strings.Lines(read(s.t, s.path(name))) {
		var record struct{ Path string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			s.t.Fatalf("%s: %v: %q", name, err, line)
		}
		if record.Path != "" {
			paths = append(paths, record.Path)
		}
	}
	return paths
}
