package secrets

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUsable: what is a secret and what is not, the same for every place.
func TestUsable(t *testing.T) {
	big := strings.Repeat("x", maxSecret)
	tests := []struct {
		name, text, want string // want: the secret, or "error: " and a part of the reason
	}{
		{"plain", "abc", "abc"},
		{"newline", "abc\n", "abc"},
		{"CRLF", "abc\r\n", "abc"},
		{"spaces stay", " a c ", " a c "},
		{"dollar stays", "$HOME ${X} \\n", "$HOME ${X} \\n"},
		{"UTF-8", "p\u00e4ss", "p\u00e4ss"},
		{"Latin-1", "p\xe4ss", "p\xe4ss"},
		{"as large as allowed", big, big},
		{"as large as allowed, CRLF", big + "\r\n", big},
		{"one too many", big + "x", "error: larger than 64 KiB"},
		{"one too many, newline", big + "x\n", "error: larger than 64 KiB"},
		{"empty", "", "error: empty"},
		{"newline only", "\n", "error: empty"},
		{"two newlines", "abc\n\n", "error: contains a line break"},
		{"lone CR", "abc\r", "error: contains a line break"},
		{"line break inside", "a\nb", "error: contains a line break"},
		{"header injection", "a\r\nX-Evil: 1", "error: contains a line break"},
		{"tab", "a\tb", "error: contains a line break"},
		{"DEL", "a\x7fb", "error: contains a line break"},
		{"byte order mark", "\ufeffabc", "error: starts with a byte order mark"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "IN_DIR", tt.text)
			st := open(t, Sources{
				Named:   map[string]Source{"NAMED": {File: write(t, dir, "named", tt.text)}},
				Dir:     dir,
				Environ: []string{"ENV=" + tt.text},
			})
			for _, name := range []string{"NAMED", "IN_DIR", "ENV"} {
				got := lookup(t, st, name)
				if strings.HasPrefix(tt.want, "error: ") && strings.HasPrefix(got, tt.want) && strings.Contains(got, "; ") {
					continue
				}
				if got != tt.want {
					t.Errorf("%s = %.80q, want %.80q", name, got, tt.want)
				}
			}
		})
	}
	st := open(t, Sources{Dir: filepath.Dir(write(t, t.TempDir(), "NUL", "a\x00b"))})
	if got := lookup(t, st, "NUL"); !strings.HasPrefix(got, "error: contains") {
		t.Errorf("NUL = %q, want an error", got)
	}
}

// TestDirIsClosed: no name and no link leads out of secrets_dir.
func TestDirIsClosed(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "TARGET", canary)
	dir := filepath.Join(outside, "secrets")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"RELATIVE": "../TARGET", "ABSOLUTE": filepath.Join(outside, "TARGET"), "UP": "..",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{
		".", "..", "../TARGET", "UP/TARGET", "a/../../TARGET", filepath.Join(outside, "TARGET"),
		"", "A/B", `..\TARGET`, "A\x00", "1A", "-A", "A B", "\u00c4", "RELATIVE", "ABSOLUTE", "UP",
	}
	environ := []string{}
	for _, name := range names {
		environ = append(environ, name+"=from the environment")
	}
	st := open(t, Sources{Dir: dir, Environ: environ})
	for _, name := range names {
		if got := lookup(t, st, name); !strings.HasPrefix(got, "error: ") {
			t.Errorf("Lookup(%q) = %q, want an error", name, got)
		}
	}
}

// TestDirKubernetes reads the layout of a mounted Secret, where every file is a
// link through ..data, before and after Kubernetes swaps it.
func TestDirKubernetes(t *testing.T) {
	dir := t.TempDir()
	for version, value := range map[string]string{"..v1": "old", "..v2": "new"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, dir, version+"/tls.token-1", value)
	}
	link := func(target, name string) {
		t.Helper()
		tmp := filepath.Join(dir, "..tmp")
		if err := errors.Join(os.Symlink(target, tmp), os.Rename(tmp, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	link("..v1", "..data")
	link("..data/tls.token-1", "tls.token-1")
	st := open(t, Sources{Dir: dir})
	if got := lookup(t, st, "tls.token-1"); got != "old" {
		t.Errorf("before: %q", got)
	}
	link("..v2", "..data")
	if got := lookup(t, st, "tls.token-1"); got != "new" {
		t.Errorf("after: %q", got)
	}
}

// TestRelativePath: relative to the working directory.
func TestRelativePath(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "token", "abc")
	t.Chdir(dir)
	st := open(t, Sources{Named: map[string]Source{"X": {File: "token"}}})
	if got := lookup(t, st, "X"); got != "abc" {
		t.Errorf("X = %q", got)
	}
}
