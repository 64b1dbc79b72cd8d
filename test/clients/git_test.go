//go:build clients

package clients

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// newRepository makes a bare repository with one commit that takes pushes.
func newRepository(dir string) (string, error) {
	bare, work := filepath.Join(dir, "repositories", "owner", "repo.git"), filepath.Join(dir, "work")
	if err := os.MkdirAll(bare, 0o755); err != nil {
		return "", err
	}
	if _, err := exec.LookPath("git"); err != nil {
		return bare, nil // then its client is skipped
	}
	for _, args := range [][]string{
		{"init", "-q", "--bare", "-b", "main", bare},
		{"-C", bare, "config", "http.receivepack", "true"},
		{"init", "-q", "-b", "main", work},
		{"-C", work, "remote", "add", "origin", bare},
	} {
		if _, err := gitOutput(dir, args...); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(filepath.Join(work, "README"), []byte("hello\n"), 0o644); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"add", "README"},
		{"-c", "user.name=upstream", "-c", "user.email=upstream@example.test", "-c", "commit.gpgSign=false", "commit", "-q", "-m", "first"},
		{"push", "-q", "origin", "main"},
	} {
		if _, err := gitOutput(work, args...); err != nil {
			return "", err
		}
	}
	return bare, nil
}

// gitOutput runs git in dir, without the user's settings.
func gitOutput(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// git serves the repository with git's own server. A CGI program is told the
// length of the body, so one that comes without is collected first.
func (u *upstream) git(w http.ResponseWriter, r *http.Request) {
	execPath, err := gitOutput(".", "--exec-path")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	handler := cgi.Handler{
		Path: filepath.Join(execPath, "git-http-backend"),
		Env: []string{
			"GIT_PROJECT_ROOT=" + strings.TrimSuffix(u.repository, filepath.Join("owner", "repo.git")),
			"GIT_HTTP_EXPORT_ALL=1",
			"REMOTE_USER=somebody", // without one it takes no push
		},
	}
	handler.ServeHTTP(w, r)
}
