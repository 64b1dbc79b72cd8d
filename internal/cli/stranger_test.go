package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"keybearer/internal/peer"
)

// A program that does not trust the CA is named in one line of the log, with its
// process and the variable to set.
func TestStrangerInLog(t *testing.T) {
	if !peer.Known() {
		t.Skip("the kernel does not tell here")
	}
	api, err := newUpstream()
	if err != nil {
		t.Fatal(err)
	}
	defer api.close()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rules := write("rules.yaml", "rules: [{name: api, match_hosts: [api.example.com], inject_headers: {X-Key: '${API_KEY}'}}]\n")
	cmd := exec.Command("keybearer", "run", "-c", rules, "--upstream-ca", write("ca.pem", string(api.ca)), "--log-format", "text",
		"--resolve", "api.example.com:443:"+api.address, "--", "env", "-u", "CURL_CA_BUNDLE", "get", "https://api.example.com/")
	cmd.Env = append(os.Environ(), "API_KEY="+canary)
	out, err := cmd.CombinedOutput()
	if err == nil || strings.Contains(string(out), canary) {
		t.Errorf("%v: %s", err, out)
	}
	want := regexp.MustCompile(`get \(pid [0-9]+\) does not trust keybearer's CA \(bad certificate\): set SSL_CERT_FILE, or`)
	if len(want.FindAllString(string(out), -1)) != 1 || strings.Count(string(out), "level=WARN") != 1 {
		t.Errorf("got %s, want one line with %s", out, want)
	}
}

func TestTrustAdvice(t *testing.T) {
	for program, want := range map[string]string{
		"python3.13": "SSL_CERT_FILE and REQUESTS_CA_BUNDLE", "Python": "SSL_CERT_FILE and REQUESTS_CA_BUNDLE",
		"node": "NODE_EXTRA_CA_CERTS", "java": "JAVA_TOOL_OPTIONS", "git-remote-https": "GIT_SSL_CAINFO",
		"curl": "CURL_CA_BUNDLE", "cargo": "CARGO_HTTP_CAINFO", "ruby3.1": "SSL_CERT_FILE",
		"go": "SSL_CERT_FILE", "gopher": "SSL_CERT_FILE, or the variable of its own that it has for that,",
	} {
		if got := trustAdvice(program); got != "set "+want+" to what keybearer env prints" {
			t.Errorf("%s: %s, want %s", program, got, want)
		}
	}
	if got := trustAdvice("chromium"); !strings.Contains(got, "certutil") {
		t.Errorf("chromium reads no variable, and is told: %s", got)
	}
}

// A program's name says no more in the log than a name.
//
// Seen red: with the name as it is.
func TestPlainName(t *testing.T) {
	for file, want := range map[string]string{
		"python3.13":                          "python3.13",
		"x: ok. ALERT (pid 1) run\n\x1b[1mrm": "x__ok._ALERT__pid_1__run___1mrm",
		strings.Repeat("a", 300):              strings.Repeat("a", 40),
	} {
		if got := plainName(file); got != want {
			t.Errorf("%q: %q, want %q", file, got, want)
		}
	}
}
