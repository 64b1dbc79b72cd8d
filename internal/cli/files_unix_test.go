//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What somebody else put where a file goes is replaced, and neither read nor written
// through: a pipe would be waited for, /dev/zero has no end.
//
// Seen red: the pipe and the device, with os.ReadFile alone.
func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	for name, put := range map[string]func(path string) error{
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"link":   func(path string) error { return os.Symlink(victim, path) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(victim, []byte("victim"), 0o600); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, name)
			if err := put(path); err != nil {
				t.Skip(err)
			}
			if err := replaceFile(path, []byte("data")); err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(path)
			if err != nil || info.Mode() != 0o644 || !holds(path, []byte("data")) || !holds(victim, []byte("victim")) {
				t.Errorf("%v, %v", info, err)
			}
		})
	}
}
