//go:build unix

package secrets

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLookupOddFiles: files that are none, or never end, neither block nor fill
// the memory.
func TestLookupOddFiles(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	huge := write(t, dir, "huge", "")
	if err := os.Truncate(huge, 10<<30); err != nil { // sparse
		t.Fatal(err)
	}
	unreadable := write(t, dir, "unreadable", "abc")
	if err := os.Chmod(unreadable, 0); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want string }{
		{"pipe", fifo, "not a regular file"},
		{"directory", dir, "not a regular file"},
		{"device", "/dev/zero", "not a regular file"},
		{"10 GiB", huge, "larger than 64 KiB"},
		{"missing", filepath.Join(dir, "none"), "no such file"},
		{"below a file", filepath.Join(huge, "x"), "check the path"},
		{"unreadable", unreadable, "permission denied"},
	}
	for _, tt := range tests {
		if tt.path == unreadable && os.Getuid() == 0 {
			continue // root reads everything
		}
		st := open(t, Sources{Named: map[string]Source{"X": {File: tt.path}}})
		done := make(chan string, 1)
		go func() { done <- lookup(t, st, "X") }()
		select {
		case got := <-done:
			if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, tt.want) {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: look-up blocks", tt.name)
		}
	}
}
