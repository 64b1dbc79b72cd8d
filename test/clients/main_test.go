//go:build clients

package clients

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// isolatedVariable is set in the process that runs the tests. Its parent has done
// what needs the network: it holds the directory with the programs.
const isolatedVariable = "KEYBEARER_TEST_CLIENTS_DIR"

// theScene and theTable are the tests' own.
var (
	theScene *scene
	theTable table
)

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test-clients:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	if dir := os.Getenv(isolatedVariable); dir != "" {
		if err := loopbackUp(); err != nil {
			return 1, fmt.Errorf("set loopback up: %w", err)
		}
		return runTests(m, dir)
	}
	dir, err := os.MkdirTemp("", "keybearer-test-clients-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	install()
	if err := build(dir); err != nil {
		return 1, err
	}
	buildH2spec(dir)
	code, err := isolate(append(os.Environ(), isolatedVariable+"="+dir))
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Println("no network of its own for this run, so a client that goes around the proxy can reach the real hosts:", err)
		return runTests(m, dir)
	}
	return code, err
}

// build makes the programs in dir: keybearer and the clients that are compiled.
func build(dir string) error {
	if err := quietly("../..", "go", "build", "-o", filepath.Join(dir, "keybearer"), "."); err != nil {
		return err
	}
	if err := quietly("", "go", "build", "-o", filepath.Join(dir, "client"), "testdata/client.go"); err != nil {
		return err
	}
	if slices.ContainsFunc(tools, func(t tool) bool { return t.name == "java" && t.missing() != "" }) {
		return nil // it is skipped
	}
	return quietly("", "javac", "-d", dir, "testdata/Client.java")
}

func runTests(m *testing.M, dir string) (int, error) {
	var err error
	if theScene, err = newScene(dir); err != nil {
		return 1, err
	}
	defer theScene.close()
	code := m.Run()
	theTable.print(os.Stdout)
	return code, nil
}
