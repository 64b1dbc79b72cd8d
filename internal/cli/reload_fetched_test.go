package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// telling has one rule whose secret is what tell.sh prints, which is a file, and one
// without. Each run of it leaves a line in the file runs.
func telling(ttl string) string {
	return "secrets: {TOKEN: {exec: [./tell.sh], ttl: " + ttl + "}}\n" + rulesShown("${TOKEN}") + "    match_paths: [/secret]\n" +
		"  - name: other\n    match_hosts: [api.example.com]\n    inject_headers: {X-Key: plain}\n"
}

func (s *served) tell(value string) {
	s.t.Helper()
	s.writeFile("value.new", value)
	s.rename("value.new", "value")
}

func startTelling(t *testing.T, ttl string) *served {
	return startServe(t, telling(ttl), func(s *served) {
		s.tell("first")
		s.writeFile("tell.sh", "#!/bin/sh\ncd \"${0%/*}\"\necho >> runs\necho \"$API_KEY\" >&2\ncat value\n")
		if err := os.Chmod(s.file("tell.sh"), 0o700); err != nil {
			t.Fatal(err)
		}
	})
}

func (s *served) runs() int {
	s.t.Helper()
	text, err := os.ReadFile(s.file("runs"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

// What a command prints is renewed before its time is up. When the command fails, what
// it printed last is used for the rest of that time, then its rule refuses its requests
// and only its rule; the log says why and holds nothing of what was printed. When it
// works again, so does the rule.
//
// seen red: fetched.go plan without AfterFunc; sourcing without Notice.
func TestServeFetched(t *testing.T) {
	s := startTelling(t, "1s")
	s.expect("/secret", "200 OK key=first")
	s.tell("second")
	s.eventually("/secret", "200 OK key=second")
	s.rename("value", "away")
	s.awaitLog("a secret cannot be fetched")
	s.expect("/other", "200 OK key=plain")
	s.eventually("/secret", "502 Bad Gateway keybearer: a secret of the rule is not available: TOKEN has expired or cannot be fetched.\n")
	s.expect("/other", "200 OK key=plain")
	s.rename("away", "value")
	s.eventually("/secret", "200 OK key=second")
	s.awaitLog("a secret can be fetched again")
}

// A reload keeps what was fetched, and does not run the command again; one whose secret
// is gone, or is got in another way, no longer runs it.
//
// seen red: reloader.load without after; without Retire.
func TestReloadFetched(t *testing.T) {
	s := startTelling(t, "1h")
	for range 3 {
		s.signal(syscall.SIGHUP)
		s.awaitLog("reloaded")
	}
	if s.expect("/secret", "200 OK key=first"); s.runs() != 1 {
		t.Errorf("the command ran %d times", s.runs())
	}
	s.tell("second")
	s.replace(telling("100ms"))
	s.eventually("/secret", "200 OK key=second")
	s.replace(rulesShown("gone"))
	s.eventually("/secret", "200 OK key=gone")
	before := s.runs()
	time.Sleep(500 * time.Millisecond) // five times as long as it was good for
	if now := s.runs(); now > before+1 {
		t.Errorf("the command ran %d times after it was not needed any more", now-before)
	}
}

// git clones through keybearer with the token of a GitHub App that keybearer got for
// it, and knows nothing of the app's key or of the token.
//
// seen red: github.go in tokens, another path; a GitHub that wants another token.
func TestGitHubAppClone(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("there is no git")
	}
	g := startGitHub(t, git)
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("app.pem", g.key)
	write("upstream.pem", string(g.ca))
	write("keybearer.yaml", `rules:
  - name: github-git
    match_hosts: [github.com]
    basic_auth: {username: x-access-token, password: "${GITHUB_TOKEN}"}
secrets:
  APP_KEY: {file: app.pem}
  GITHUB_TOKEN: {github_app: {app_id: 12, installation_id: 34, private_key: "${APP_KEY}", repositories: [repo], permissions: {contents: read}}}
`)
	cmd := exec.Command("keybearer", "run", "-c", filepath.Join(dir, "keybearer.yaml"), "--upstream-ca", filepath.Join(dir, "upstream.pem"),
		"--resolve", "github.com:443:"+g.address, "--resolve", "api.github.com:443:"+g.address, "--log-level", "debug",
		"--", git, "-c", "credential.helper=", "clone", "--quiet", "https://github.com/owner/repo.git", filepath.Join(dir, "clone"))
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null", "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "clone", "README"))
	if err != nil || string(text) != "cloned\n" {
		t.Errorf("README: %q, %v", text, err)
	}
	if strings.Contains(string(out), canary) || strings.Contains(string(out), "PRIVATE KEY") {
		t.Errorf("the token is in what was printed:\n%s", out)
	}
	if g.tokens.Load() != 1 || g.served.Load() < 2 {
		t.Errorf("%d tokens handed out, %d requests with one", g.tokens.Load(), g.served.Load())
	}
}
