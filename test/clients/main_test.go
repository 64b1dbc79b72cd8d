//go:build clients

package clients

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// isolatedVariable is set in the process that runs the tests. Its parent has done
// what needs the network: it holds the directory with the programs.
const isolatedVariable = "KEYBEARER_TEST_CLIENTS_DIR"

// The tests' own. A test takes a scene out of theScenes and puts it back.
var (
	theDir    string // of the programs
	theScenes chan *scene
	theScene  *scene        // one of them, for tests that run alone
	theLogs   func() []byte // of all scenes
	theTools  map[string]state
	theTable  table
)

func TestMain(m *testing.M) {
	flag.Parse()
	joinFamilies()
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
	if err := quietly("../..", "go", "build", "-o", filepath.Join(dir, "keybearer"), "."); err != nil {
		return 1, err
	}
	if err := install(dir); err != nil {
		return 1, err
	}
	buildModule(dir, h2specModule)
	buildModule(dir, storeModule)
	code, err := isolate(append(os.Environ(), isolatedVariable+"="+dir))
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Println("no network of its own for this run, so a client that goes around the proxy can reach the real hosts:", err)
		return runTests(m, dir)
	}
	return code, err
}

func runTests(m *testing.M, dir string) (int, error) {
	theDir = dir
	var err error
	if theTools, err = readStates(dir); err != nil {
		return 1, err
	}
	scenes, err := newScenes(dir, min(runtime.GOMAXPROCS(0), 4))
	for _, s := range scenes {
		defer s.close()
	}
	if err != nil {
		return 1, err
	}
	theScene, theScenes = scenes[0], make(chan *scene, len(scenes))
	for _, s := range scenes {
		theScenes <- s
	}
	theLogs = func() []byte {
		var logs [][]byte
		for _, s := range scenes {
			logs = append(logs, s.log.Bytes())
		}
		return slices.Concat(logs...)
	}
	code := m.Run()
	theTable.print(os.Stdout)
	if !theTable.complete() {
		return code, nil
	}
	return code, theTable.write("../../docs/clients.md")
}

// newScenes returns those that it has started even if one could not be.
func newScenes(dir string, n int) (scenes []*scene, err error) {
	large, err := newLargeFile(dir)
	if err != nil {
		return nil, err
	}
	for i := range n {
		home := filepath.Join(dir, fmt.Sprintf("scene-%d", i))
		if err := os.MkdirAll(filepath.Join(home, "tmp"), 0o755); err != nil {
			return scenes, err
		}
		s, err := newScene(dir, home, large)
		if err != nil {
			return scenes, err
		}
		scenes = append(scenes, s)
	}
	return scenes, nil
}
