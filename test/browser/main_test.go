//go:build browser

// Package browser tries the page of the admin listener in Chromium: a keybearer serve
// with real requests through it, and a browser that playwright-core drives. What the
// page shall do is in testdata/page.test.mjs, in the words of the browser; what happens
// meanwhile is here, and asked for over HTTP: see world.
package browser

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// theDir holds the program, theModules the npm packages.
var theDir, theModules string

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test-browser:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (code int, err error) {
	if theDir, err = os.MkdirTemp("", "keybearer-test-browser-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(theDir)
	if err := quietly("../..", "go", "build", "-o", program(), "."); err != nil {
		return 1, err
	}
	if err := installDebian(map[string]string{"chromium": "chromium", "node": "nodejs", "npm": "npm"}); err != nil {
		return 1, err
	}
	if theModules, err = installPackages(); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func program() string { return filepath.Join(theDir, "keybearer") }

// installDebian gets what is missing, by the names of programs and packages.
func installDebian(programs map[string]string) error {
	var missing []string
	for program, name := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	fmt.Println("installing", missing)
	get := []string{"apt-get"}
	if os.Getuid() != 0 {
		get = []string{"sudo", "-n", "apt-get"}
	}
	if err := quietly(".", append(get, "update")...); err != nil {
		return err
	}
	return quietly(".", append(append(get, "install", "-y", "--no-install-recommends"), missing...)...)
}

// installPackages installs those of testdata/package.json, once for each lock file, in
// the user's cache.
func installPackages() (modules string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	lock, err := os.ReadFile("testdata/package-lock.json")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "keybearer-test-browser", fmt.Sprintf("node-%.12x", sha256.Sum256(lock)))
	modules = filepath.Join(dir, "node_modules")
	if _, err := os.Stat(dir); err == nil {
		return modules, nil
	}
	temp := filepath.Join(theDir, "node")
	if err := os.CopyFS(temp, os.DirFS("testdata")); err != nil {
		return "", err
	}
	if err := quietly(temp, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(temp, dir); errors.Is(err, os.ErrExist) {
		return modules, nil // another run was faster
	} else if err != nil {
		return filepath.Join(temp, "node_modules"), nil // another file system: for this run alone
	}
	return modules, nil
}

// quietly runs a command in dir and shows its output only if it fails.
func quietly(dir string, args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", args, err, out)
	}
	return nil
}
