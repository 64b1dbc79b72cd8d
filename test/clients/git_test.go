//go:build clients

package clients

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// newRepositories makes bare repositories that take pushes below dir/repositories:
// owner/repo.git with one commit, and owner/empty.git.
func newRepositories(dir string) (string, error) {
	root := filepath.Join(dir, "repositories")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	if _, err := exec.LookPath("git"); err != nil {
		return root, nil // then its client is skipped
	}
	return root, errors.Join(
		newRepository(root, "repo.git", []byte("hello\n")),
		newRepository(root, "empty.git", nil))
}

// newRepository makes one, with a commit of a file README unless there is no content.
func newRepository(root, name string, content []byte) error {
	bare := filepath.Join(root, "owner", name)
	if _, err := gitOutput(root, "init", "-q", "--bare", "-b", "main", bare); err != nil {
		return err
	}
	// Random content is not worth a second of deflating, nor unpacking.
	for _, setting := range []string{"http.receivepack true", "core.compression 0", "receive.unpackLimit 1", "pack.window 0"} {
		key, value, _ := strings.Cut(setting, " ")
		if _, err := gitOutput(bare, "config", key, value); err != nil {
			return err
		}
	}
	if content == nil {
		return nil
	}
	work := filepath.Join(root, "work-"+name)
	defer os.RemoveAll(work)
	if _, err := gitOutput(root, "clone", "-q", bare, work); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, "README"), content, 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"add", "README"},
		{"-c", "user.name=upstream", "-c", "user.email=upstream@example.test", "-c", "commit.gpgSign=false", "commit", "-q", "-m", "first"},
		{"push", "-q", "origin", "HEAD:main"},
	} {
		if _, err := gitOutput(work, append([]string{"-c", "core.compression=0"}, args...)...); err != nil {
			return err
		}
	}
	return nil
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

// packSize is what goes through in a git push and clone of a large pack.
const packSize = 200 << 20

// repository is the path of the upstream's.
func (u *upstream) repository(name string) string {
	return filepath.Join(u.repositories, "owner", name)
}

// git serves the repositories with git's own server. The large one is made when
// it is asked for.
func (u *upstream) git(w http.ResponseWriter, r *http.Request) {
	if _, err := os.Stat(u.repository("large.git")); err != nil && strings.Contains(r.URL.Path, "/large.git/") {
		if err := newRepository(u.repositories, "large.git", randomBytes(packSize)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	execPath, err := gitOutput(".", "--exec-path")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// Without a length git-http-backend reads to the end, but cgi refuses what is chunked.
	r.TransferEncoding = nil
	handler := cgi.Handler{
		Path: filepath.Join(execPath, "git-http-backend"),
		Env: []string{
			"GIT_PROJECT_ROOT=" + u.repositories,
			"GIT_HTTP_EXPORT_ALL=1",
			"REMOTE_USER=somebody", // without one it takes no push
		},
	}
	handler.ServeHTTP(w, r)
}

// checkPushed: the upstream's repository holds the client's commit.
func checkPushed(o outcome) error { return checkSameHead(o, "clone", "repo.git") }

func checkLargePushed(o outcome) error {
	if err := checkSameHead(o, "new", "empty.git"); err != nil {
		return err
	}
	// The next client pushes to an empty one again.
	return errors.Join(
		os.RemoveAll(o.scene.upstream.repository("empty.git")),
		newRepository(o.scene.upstream.repositories, "empty.git", nil))
}

// checkLargeCloned: git itself has compared what it got with its hashes.
func checkLargeCloned(o outcome) error {
	info, err := os.Stat(filepath.Join(o.dir, "clone", "README"))
	if err != nil {
		return err
	}
	if info.Size() != packSize {
		return fmt.Errorf("the file of the clone has %d bytes, want %d", info.Size(), packSize)
	}
	return checkSameHead(o, "clone", "large.git")
}

// checkSameHead compares a repository of the client's with the upstream's.
func checkSameHead(o outcome, local, remote string) error {
	mine, err := gitOutput(filepath.Join(o.dir, local), "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	theirs, err := gitOutput(o.scene.upstream.repository(remote), "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	if mine != theirs {
		return fmt.Errorf("the client's HEAD is %s, the upstream's %s: the push or the clone is not whole", mine, theirs)
	}
	return nil
}
