package secrets

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func open(t *testing.T, s Sources) *Store {
	t.Helper()
	if s.Environ == nil {
		s.Environ = []string{}
	}
	st, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func write(t *testing.T, dir, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lookup returns the secret or the reason why there is none.
func lookup(t *testing.T, st *Store, name string) string {
	t.Helper()
	v, err := st.Lookup(name)
	if err == nil {
		return v.Reveal()
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("Lookup(%q): %T, want *Error", name, err)
	}
	if e.Name != name || e.Source != st.Describe(name) {
		t.Errorf("Lookup(%q): error names %q at %q", name, e.Name, e.Source)
	}
	return "error: " + e.Reason
}

// TestLookupOrder: the first place that knows the name decides.
func TestLookupOrder(t *testing.T) {
	dir := t.TempDir()
	named := write(t, dir, "elsewhere", "from named file")
	write(t, dir, "IN_DIR", "from dir")
	write(t, dir, "IN_NAMED", "from dir")
	env := write(t, t.TempDir(), ".env", "IN_NAMED=from env_file\nIN_DIR=from env_file\nIN_ENV_FILE=from env_file\n")
	st := open(t, Sources{
		Named:   map[string]Source{"IN_NAMED": {File: named}, "RENAMED": {Env: "OTHER"}},
		Dir:     dir,
		EnvFile: env,
		Environ: []string{"IN_NAMED=env", "IN_DIR=env", "IN_ENV_FILE=env", "IN_ENV=from env", "OTHER=from OTHER", "IN_ENV=second", "RENAMED=env"},
	})
	tests := []struct{ name, value, source string }{
		{"IN_NAMED", "from named file", "file " + named},
		{"RENAMED", "from OTHER", "environment variable OTHER"},
		{"IN_DIR", "from dir", "file " + filepath.Join(dir, "IN_DIR")},
		{"IN_ENV_FILE", "from env_file", "env_file " + env},
		{"IN_ENV", "from env", "environment variable IN_ENV"},
	}
	for _, tt := range tests {
		if got := lookup(t, st, tt.name); got != tt.value {
			t.Errorf("%s = %q, want %q", tt.name, got, tt.value)
		}
		if got := st.Describe(tt.name); got != tt.source {
			t.Errorf("Describe(%s) = %q, want %q", tt.name, got, tt.source)
		}
	}
}

// TestLookupNoFallThrough: a place that knows the name but has no usable value
// is an error, though a later place has one.
func TestLookupNoFallThrough(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "EMPTY_FILE", "")
	if err := os.Symlink("gone", filepath.Join(dir, "DANGLING")); err != nil {
		t.Fatal(err)
	}
	env := write(t, t.TempDir(), ".env", "EMPTY_LINE=\n")
	names := []string{"EMPTY_FILE", "EMPTY_LINE", "DANGLING", "NO_FILE", "NO_ENV"}
	s := Sources{
		Named:   map[string]Source{"NO_FILE": {File: filepath.Join(dir, "none")}, "NO_ENV": {Env: "UNSET"}},
		Dir:     dir,
		EnvFile: env,
	}
	for _, name := range names {
		s.Environ = append(s.Environ, name+"=stale value")
	}
	st := open(t, s)
	for _, name := range names {
		if got := lookup(t, st, name); !strings.HasPrefix(got, "error: ") {
			t.Errorf("%s = %q, want an error", name, got)
		}
	}
	if got := lookup(t, st, "NOWHERE"); !strings.Contains(got, dir+" has no file NOWHERE") {
		t.Errorf("a secret that is nowhere: %q, want to be told of both places", got)
	}

	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Rename(dir+".away", dir) })
	if got := lookup(t, st, "ANY"); !strings.Contains(got, "no such file") {
		t.Errorf("with secrets_dir gone: %q, want an error", got)
	}
}

// TestOpenRefuses reports everything that is wrong at once.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	plain := write(t, dir, "plain", "")
	bad := write(t, dir, "bad.env", "GOOD=1\n"+canary+"\n")
	_, err := Open(Sources{
		Named:   map[string]Source{"BOTH": {Env: "A", File: "b"}, "NEITHER": {}, "../x": {Env: "A"}},
		Dir:     plain,
		EnvFile: bad,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"secret BOTH: secrets entry: needs either env or file",
		"secret NEITHER: secrets entry: needs either env or file",
		"secret ../x: secrets entry: not a secret name",
		"secrets_dir " + plain + ": not a directory",
		"env_file " + bad + ": line 2: expected =",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("error quotes the file: %v", err)
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("%T holds no *Error", err)
	}

	for name, s := range map[string]Sources{
		"secrets_dir": {Dir: filepath.Join(dir, "none")},
		"env_file":    {EnvFile: filepath.Join(dir, "none")},
	} {
		if _, err := Open(s); err == nil || !strings.HasPrefix(err.Error(), name) || !strings.Contains(err.Error(), "; create it") {
			t.Errorf("missing %s: %v", name, err)
		}
	}
}

// TestOpenEnvFileBounded: a file without end is not read to its end.
func TestOpenEnvFileBounded(t *testing.T) {
	path := write(t, t.TempDir(), ".env", "")
	if err := os.Truncate(path, 10<<30); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Sources{EnvFile: path}); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("error %v", err)
	}
}

// TestEnvNames: everything in the environment that gives a secret away.
func TestEnvNames(t *testing.T) {
	dir := t.TempDir()
	st := open(t, Sources{
		Named: map[string]Source{
			"FROM_ENV":  {Env: "BACKING"},
			"FROM_FILE": {File: write(t, dir, "f", "file-secret-1234\n")},
			"SHORT":     {Env: "PIN"},
			"BROKEN":    {Env: "UNSET"},
		},
		Environ: []string{
			"BACKING=env-secret-1234", "COPY=env-secret-1234", "URL=https://u:env-secret-1234@h/",
			"FROM_FILE=something else", "FILE_COPY=x file-secret-1234",
			"PIN=a1", "PIN_COPY=a1", "PATH=/a1/bin",
			"PLAIN=plain-secret-1", "OTHER_SECRET=other-secret-1", "HOME=/home/u",
		},
	})
	tests := []struct{ names, want []string }{
		{nil, nil},
		{[]string{"FROM_ENV"}, []string{"BACKING", "COPY", "URL"}},
		{[]string{"FROM_FILE"}, []string{"FILE_COPY", "FROM_FILE"}},
		{[]string{"SHORT"}, []string{"PIN", "PIN_COPY"}},
		{[]string{"PLAIN"}, []string{"PLAIN"}},
		{[]string{"BROKEN", "NOWHERE"}, nil},
		{[]string{"PLAIN", "FROM_ENV", "PLAIN"}, []string{"BACKING", "COPY", "PLAIN", "URL"}},
	}
	for _, tt := range tests {
		if got := st.EnvNames(tt.names); !slices.Equal(got, tt.want) {
			t.Errorf("EnvNames(%v) = %v, want %v", tt.names, got, tt.want)
		}
	}
}

// TestWarnings: files that strangers can read or replace, each once.
func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	modes := map[string]os.FileMode{"PRIVATE": 0o600, "READ_ONLY": 0o400, "FS_GROUP": 0o440, "WORLD": 0o644, "GROUP_WRITE": 0o620}
	for name, mode := range modes {
		if err := os.Chmod(write(t, dir, name, "abc"), mode); err != nil {
			t.Fatal(err)
		}
	}
	env := write(t, t.TempDir(), ".env", "A=1\nB=2\n")
	if err := os.Chmod(env, 0o604); err != nil {
		t.Fatal(err)
	}
	st := open(t, Sources{Dir: dir, EnvFile: env, Environ: []string{"E=1"}})
	tests := []struct {
		names []string
		want  []string // parts of the warnings, in order
	}{
		{[]string{"PRIVATE", "READ_ONLY", "FS_GROUP", "E", "NOWHERE", ".."}, nil},
		{[]string{"WORLD"}, []string{"file " + filepath.Join(dir, "WORLD") + " is open to other users (mode 0644)"}},
		{[]string{"GROUP_WRITE"}, []string{"(mode 0620)"}},
		{[]string{"A", "B", "WORLD", "A"}, []string{"env_file " + env, "WORLD"}},
	}
	for _, tt := range tests {
		got := st.Warnings(tt.names)
		if len(got) != len(tt.want) {
			t.Errorf("Warnings(%v) = %q, want %d", tt.names, got, len(tt.want))
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], tt.want[i]) {
				t.Errorf("Warnings(%v)[%d] = %q, want %q in it", tt.names, i, got[i], tt.want[i])
			}
		}
	}
}

// TestLookupConcurrent is for the race detector.
func TestLookupConcurrent(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "A", "abc")
	st := open(t, Sources{Dir: dir, EnvFile: write(t, t.TempDir(), ".env", "B=abc"), Environ: []string{"C=abc"}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, name := range []string{"A", "B", "C"} {
				if v, err := st.Lookup(name); err != nil || v.Reveal() != "abc" {
					t.Errorf("%s: %v", name, err)
				}
				st.Describe(name)
			}
			st.EnvNames([]string{"A", "B", "C"})
			st.Warnings([]string{"A", "B", "C"})
		})
	}
	wg.Wait()
}
