package soak

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The clock of the machine is set, far ahead and back again, while the process runs:
// when a laptop wakes, or when it learns the time only after it has started. Clients,
// which have the same clock, go on, over connections that are open and new ones.
//
// It is the program itself with its clock moved: built with a copy of time.go in which
// Now adds what SIGUSR2 says. The monotonic clock goes on, as the kernel's does.
//
// seen red: with the validity of a leaf's beginning not looked at in certs.
func TestFaultClockJump(t *testing.T) {
	needsLong(t) // for the build of everything
	program := jumping(t)
	up := newUpstream()
	jump := filepath.Join(t.TempDir(), "jump")
	k := inFront(t, up, func(o *options) {
		o.wrap = []string{"sh", "-c", `shift && exec "$0" "$@"`, program}
		o.env = append(o.env, "CLOCK_JUMP="+jump)
	})
	before := k.warm(up)
	set := 0
	for _, ahead := range []time.Duration{30 * 24 * time.Hour, 0, 400 * 24 * time.Hour, 399 * 24 * time.Hour, -30 * time.Minute, 0} {
		overBoth(t, k, func(t *testing.T, open *http.Client) {
			expect(t, open, "https://fresh.test/", 200, "ok")
			if err := os.WriteFile(jump, []byte(ahead.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			k.signal(syscall.SIGUSR2)
			set++
			k.awaitLog("the clock is set", set)
			k.clock = func() time.Time { return time.Now().Add(ahead) }
			expect(t, open, "https://fresh.test/", 200, "ok")
			for _, http2 := range []bool{false, true} {
				k.once(http2, func(c *http.Client) { expect(t, c, "https://fresh.test/close", 200, "ok") })
			}
		})
	}
	k.settles(before, up.dropIdle, localhost)
}

const clockJump = `package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

func init() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	go func() {
		for range signals {
			b, _ := os.ReadFile(os.Getenv("CLOCK_JUMP"))
			d, err := time.ParseDuration(string(b))
			if err == nil {
				time.Jump = int64(d / time.Second)
				os.Stderr.WriteString("the clock is set\n")
			}
		}
	}()
}
`

// jumping builds keybearer with a clock that can be set.
func jumping(t *testing.T) (program string) {
	t.Helper()
	dir := t.TempDir()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src/time/time.go")
	code, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const now = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	moved := strings.Replace(string(code), now, "var Jump int64\n\n"+now+"\tsec += Jump\n", 1)
	if moved == string(code) {
		t.Fatal("time.Now is not what this test knows")
	}
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	replace := make(map[string]string)
	for path, content := range map[string]string{source: moved, filepath.Join(repository, "clock_jump.go"): clockJump} {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "keybearer")
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, ".")
	build.Dir, build.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}
