package cli

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// github is api.github.com, which gives a token to an app that shows a JWT, and
// github.com, which has one repository for those who show the token.
type github struct {
	address, key   string
	ca             []byte
	tokens, served atomic.Int32
	backend        http.Handler
}

func startGitHub(t *testing.T, git string) *github {
	t.Helper()
	g := &github{backend: newRepository(t, git)}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g.key = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}))
	g.address, g.ca = serveAnyHost(t, g)
	return g
}

func (g *github) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Host == "api.github.com" {
		// internal/tokens has the test of what is in the JWT.
		if r.URL.Path != "/app/installations/34/access_tokens" || strings.Count(r.Header.Get("Authorization"), ".") != 2 {
			http.NotFound(w, r)
			return
		}
		g.tokens.Add(1)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token": %q, "expires_at": %q}`, canary, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		return
	}
	if name, token, _ := r.BasicAuth(); name != "x-access-token" || token != canary {
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.served.Add(1)
	g.backend.ServeHTTP(w, r)
}

// newRepository serves owner/repo.git, with one file, as git itself does.
func newRepository(t *testing.T, git string) http.Handler {
	t.Helper()
	dir := t.TempDir()
	work := filepath.Join(dir, "work")
	run := func(args ...string) {
		cmd := exec.Command(git, args...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "HOME="+dir,
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	run("init", "--quiet", work)
	if err := os.WriteFile(filepath.Join(work, "README"), []byte("cloned\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run("-C", work, "add", "README")
	run("-C", work, "commit", "--quiet", "-m", "one")
	run("clone", "--quiet", "--bare", work, filepath.Join(dir, "owner", "repo.git"))
	path, err := exec.Command(git, "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	return &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
}
