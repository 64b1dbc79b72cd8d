// Package operations runs what docs/operations.md tells operators to use: a real
// Prometheus scrapes a real keybearer under traffic, and every query of the dashboard
// and of the alerts has to find data; logrotate rotates the access log; a service is
// replaced by another while its socket stays. "make test-operations" runs it.
//
// It is a module of its own for Grafana's types. Everything listens on loopback and
// lives in a directory that goes when the test ends.
package operations

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// Programs, as paths.
var keybearer, prometheusPath, promtool string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "keybearer-test-operations-")
	if err == nil {
		err = programs(dir)
	}
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, "test-operations:", err)
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// programs builds keybearer and gets Prometheus and logrotate.
func programs(dir string) error {
	keybearer = filepath.Join(dir, "keybearer")
	build := exec.Command("go", "build", "-o", keybearer, ".")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	if err := findPrometheus(dir); err != nil {
		return err
	}
	if _, err := exec.LookPath("logrotate"); err != nil {
		return aptGet("", "install", "-q", "-y", "--no-install-recommends", "logrotate")
	}
	return nil
}

// findPrometheus takes what is installed, or unpacks Debian's package: to install it
// would start a service that every machine of the network can reach.
func findPrometheus(dir string) (err error) {
	if prometheusPath, err = exec.LookPath("prometheus"); err == nil {
		promtool, err = exec.LookPath("promtool")
		return err
	}
	if err := aptGet(dir, "download", "-q", "prometheus"); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "prometheus_*.deb"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("apt-get download has left %q, %v", files, err)
	}
	if out, err := exec.Command("dpkg-deb", "--extract", files[0], dir).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb: %w\n%s", err, out)
	}
	prometheusPath, promtool = filepath.Join(dir, "usr/bin/prometheus"), filepath.Join(dir, "usr/bin/promtool")
	return nil
}

// aptGet runs apt-get in a directory, and once more with new lists if they are too old.
func aptGet(dir string, args ...string) error {
	run := func(args ...string) error {
		cmd := exec.Command("apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if run(args...) == nil {
		return nil
	}
	if err := run("update", "-q"); err != nil {
		return fmt.Errorf("%w; as root, or with prometheus and logrotate installed, it goes on", err)
	}
	return run(args...)
}
