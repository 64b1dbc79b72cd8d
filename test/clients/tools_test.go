//go:build clients

package clients

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tool is what a client needs on the machine.
type tool struct {
	name    string
	present []string // a command that succeeds if it is there
	debian  []string // the packages that bring it
}

var tools = []tool{
	{"curl", []string{"curl", "--version"}, []string{"curl"}},
	{"wget", []string{"wget", "--version"}, []string{"wget"}},
	{"git", []string{"git", "--version"}, []string{"git"}},
	{"requests", []string{pythonPath, "-c", "import requests"}, []string{"python3-requests"}},
	{"httpx", []string{pythonPath, "-c", "import httpx"}, []string{"python3-httpx"}},
	{"httpx h2", []string{pythonPath, "-c", "import httpx, h2"}, []string{"python3-httpx", "python3-h2"}},
	{"aiohttp", []string{pythonPath, "-c", "import aiohttp"}, []string{"python3-aiohttp"}},
	{"npm", []string{"npm", "--version"}, []string{"nodejs", "npm"}},
	{"java", []string{"javac", "--version"}, []string{"openjdk-17-jdk-headless"}},
	{"go", []string{"go", "version"}, nil}, // it is here: it runs this
}

// pythonPath is Debian's python3: another one that comes first on PATH does not
// see Debian's packages.
var pythonPath = firstOf("/usr/bin/python3", "python3")

func firstOf(programs ...string) string {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			return p
		}
	}
	return programs[len(programs)-1]
}

// missing says why a tool cannot be used, "" if it can.
func (t tool) missing() string {
	if err := exec.Command(t.present[0], t.present[1:]...).Run(); err != nil {
		return strings.Join(append([]string{"apt-get install"}, t.debian...), " ")
	}
	return ""
}

// install gets what is missing from Debian, as root or by sudo that asks nothing,
// and the npm packages. What could not be had is told; its clients are skipped.
func install() {
	var packages []string
	for _, t := range tools {
		if t.missing() != "" {
			packages = append(packages, t.debian...)
		}
	}
	slices.Sort(packages)
	if packages = slices.Compact(packages); len(packages) > 0 {
		if err := installDebian(packages); err != nil {
			fmt.Printf("install %s: %v\n", strings.Join(packages, " "), err)
		}
	}
	if err := installNode(); err != nil {
		fmt.Printf("install the npm packages: %v\n", err)
	}
}

func installDebian(packages []string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("there is no apt-get here; install them by hand")
	}
	fmt.Println("installing", strings.Join(packages, " "))
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...)} {
		command := append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get"}, args...)
		if os.Getuid() != 0 {
			command = append([]string{"sudo", "-n"}, command...)
		}
		if err := quietly("", command...); err != nil {
			return err
		}
	}
	return nil
}

// nodeDir is where the npm packages are, Node itself among them: Debian's does
// not know NODE_USE_ENV_PROXY. Another lock file is another directory.
func nodeDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	lock, err := os.ReadFile("testdata/node/package-lock.json")
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "keybearer-test-clients", fmt.Sprintf("node-%.12x", sha256.Sum256(lock))), nil
}

// installNode fills nodeDir, at once and only if it is not there.
func installNode() error {
	dir, err := nodeDir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "new-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join("testdata/node", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(temp, name), data, 0o644); err != nil {
			return err
		}
	}
	fmt.Println("installing the npm packages of testdata/node/package.json")
	// Without scripts: none of them needs one.
	if err := quietly(temp, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return err
	}
	return os.Rename(temp, dir)
}

// findNode returns the program of nodeDir and its modules.
func findNode() (program, modules string, err error) {
	dir, err := nodeDir()
	if err != nil {
		return "", "", err
	}
	modules = filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err != nil {
		return "", "", errors.New("the npm packages are not installed; go online and run make test-clients again")
	}
	programs, err := filepath.Glob(filepath.Join(modules, "node-*", "bin", "node"))
	if err != nil {
		return "", "", err
	}
	return firstOf(append(programs, "node")...), modules, nil
}

// quietly runs a command and tells what it printed only if it fails.
func quietly(dir string, command ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return nil
}
