package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A burst of events is one change, once it is over; a burst without an end is
// reported each second. Lost events count.
//
// seen red: quiet and maxBurst swapped; errors ignored; timer not reset.
func TestSettle(t *testing.T) {
	every := func(d time.Duration, n int) []time.Duration {
		var all []time.Duration
		for i := range n {
			all = append(all, time.Duration(i)*d)
		}
		return all
	}
	tests := []struct {
		name   string
		events []time.Duration // when, after the start
		lost   bool
		want   []time.Duration
	}{
		{"one", []time.Duration{0}, false, []time.Duration{quiet}},
		{"lost ones", []time.Duration{0}, true, []time.Duration{quiet}},
		{"truncate and write", []time.Duration{0, 60 * time.Millisecond}, false, []time.Duration{160 * time.Millisecond}},
		{"two bursts", []time.Duration{0, time.Minute}, false, []time.Duration{quiet, time.Minute + quiet}},
		{"without an end", every(30*time.Millisecond, 50), false, []time.Duration{maxBurst, 1470*time.Millisecond + quiet}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				events, errs, changed := make(chan fsnotify.Event), make(chan error), make(chan struct{}, 1)
				go settle(events, errs, changed)
				var got []time.Duration
				collected := make(chan struct{})
				go func() {
					defer close(collected)
					for range len(tt.want) {
						<-changed
						got = append(got, time.Since(start))
					}
				}()
				for _, at := range tt.events {
					time.Sleep(at - time.Since(start)) // the time of synctest
					if tt.lost {
						errs <- fsnotify.ErrEventOverflow
					} else {
						events <- fsnotify.Event{}
					}
				}
				<-collected
				close(events)
				synctest.Wait()
				if !slices.Equal(got, tt.want) || len(changed) != 0 {
					t.Errorf("changed after %v (and %d more), want %v", got, len(changed), tt.want)
				}
			})
		})
	}
}

// A file is watched in each directory that decides what its path leads to, and
// itself.
func TestPlaces(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"etc/..v1", "elsewhere/deep"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"etc/plain", "etc/..v1/conf", "elsewhere/deep/conf"} {
		if err := os.WriteFile(filepath.Join(root, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"etc/..data": "..v1", "etc/conf": "..data/conf", "absolute": filepath.Join(root, "elsewhere/deep"), "loop": "loop", "up": "etc/../elsewhere",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Skip(err) // Windows gives that right to few
		}
	}
	tests := []struct{ name, file, want string }{
		{"file", "etc/plain", "etc etc/plain"},
		{"missing", "etc/none", "etc"},
		{"nothing of its directory", "none/such/file", "."},
		{"below a file", "etc/plain/file", "etc/plain"},
		{"Kubernetes", "etc/conf", "etc etc etc/..v1 etc/..v1/conf"},
		{"absolute link", "absolute/conf", ". elsewhere/deep elsewhere/deep/conf"},
		{"link upwards", "up/deep/conf", ". elsewhere/deep elsewhere/deep/conf"},
		{"directory", "elsewhere", ". elsewhere"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, place := range placesOf(filepath.Join(root, tt.file)) {
				relative, err := filepath.Rel(root, place)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, filepath.ToSlash(relative))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	if n := len(placesOf(filepath.Join(root, "loop"))); n > maxLinks+1 {
		t.Errorf("%d places of a link to itself", n)
	}
}

// A look tells a change from none, whatever events there were.
//
// seen red: fresh, mode, SameFile left out of differs; directories compared by time.
func TestLook(t *testing.T) {
	old := time.Now().Add(-time.Hour)
	write := func(t *testing.T, path, content string, at time.Time) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		change func(t *testing.T, dir, file string)
		want   bool
	}{
		{"nothing", func(*testing.T, string, string) {}, false},
		{"a neighbour", func(t *testing.T, dir, file string) { write(t, dir+"/other", "x", time.Now()) }, false},
		{"size", func(t *testing.T, dir, file string) { write(t, file, "longer", old) }, true},
		{"time", func(t *testing.T, dir, file string) { write(t, file, "two", old.Add(time.Second)) }, true},
		{"mode", func(t *testing.T, dir, file string) {
			if err := os.Chmod(file, 0o400); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"another file", func(t *testing.T, dir, file string) {
			write(t, dir+"/other", "two", old)
			if err := os.Rename(dir+"/other", file); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"gone", func(t *testing.T, dir, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "file")
			write(t, file, "one", old)
			w := newWatch(file, dir)
			defer w.close()
			tt.change(t, dir, file)
			if got := w.look(); got != tt.want {
				t.Errorf("look: %v, want %v", got, tt.want)
			}
			if w.look() {
				t.Error("a second look finds a change again")
			}
		})
	}
}

// A file that was written just before it was looked at may be written again and
// look the same.
func TestLookFresh(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	now := time.Now()
	for _, content := range []string{"one", "two"} {
		if err := errors.Join(os.WriteFile(file, []byte(content), 0o600), os.Chtimes(file, now, now)); err != nil {
			t.Fatal(err)
		}
	}
	before := see(file)
	if !see(file).differs(before) {
		if time.Since(now) >= coarse {
			t.Skip("this machine is too slow")
		}
		t.Error("a file of this moment is taken for unchanged")
	}
}

// Without inotify there is one warning, and SIGHUP works.
//
// seen red: follow warns each time; never.
func TestReloadWithoutNotify(t *testing.T) {
	if runtime.GOOS != "linux" || exec.Command("unshare", "-Ur", "true").Run() != nil {
		t.Skip("needs unshare, and the right to use it")
	}
	for _, limit := range []string{"max_inotify_instances", "max_inotify_watches"} {
		t.Run(limit, func(t *testing.T) {
			s := startServe(t, rulesWith("one"), func(s *served) {
				limited := exec.Command("unshare", append([]string{"-Ur", "sh", "-c",
					`echo 0 >/proc/sys/user/` + limit + ` && exec "$@"`, "sh"}, s.cmd.Args...)...)
				limited.Env = s.cmd.Env
				s.cmd = limited
			})
			s.awaitLog("not every change of configuration and secrets will be noticed; send SIGHUP after one")
			s.write(rulesWith("two"))
			s.signal(syscall.SIGHUP)
			for s.log.Scan() && !strings.Contains(s.log.Text(), "msg=reloaded") {
				if strings.Contains(s.log.Text(), "send SIGHUP") {
					t.Error("warned twice")
				}
			}
			s.expect("/", "200 OK key=two")
		})
	}
}

// A file that a container has mounted alone is seen to change, though its directory
// is another one.
//
// seen red: placesOf without the file itself.
func TestReloadMountedFile(t *testing.T) {
	if runtime.GOOS != "linux" || exec.Command("unshare", "-Urm", "true").Run() != nil {
		t.Skip("needs unshare, and the right to use it")
	}
	s := startServe(t, "secrets: {TOKEN: {file: mounted}}\n"+rulesShown("${TOKEN}"), func(s *served) {
		if err := os.Mkdir(s.file("host"), 0o700); err != nil {
			t.Fatal(err)
		}
		s.writeFile("host/token", "one")
		s.writeFile("mounted", "")
		// The authority elsewhere: its making is an event, and so a reason to look.
		args := append(s.cmd.Args, "--ca-dir", t.TempDir())
		mounting := exec.Command("unshare", append([]string{"-Urm", "sh", "-c",
			`mount --bind "$0" "$1" && shift && exec "$@"`, s.file("host/token"), s.file("mounted")}, args...)...)
		mounting.Env = s.cmd.Env
		s.cmd = mounting
	})
	s.expect("/", "200 OK key=one")
	s.writeFile("host/token", "two")
	s.eventually("/", "200 OK key=two")
}
