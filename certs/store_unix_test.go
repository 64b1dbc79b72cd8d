//go:build unix

package certs

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The modes do not depend on the umask.
func TestModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		for _, exists := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "ca")
			func() {
				defer syscall.Umask(syscall.Umask(umask))
				if exists {
					if err := os.Mkdir(dir, 0o777); err != nil {
						t.Fatal(err)
					}
				}
				mustCreate(t, dir, nil)
			}()
			for path, want := range map[string]fs.FileMode{
				dir:                            0o700,
				filepath.Join(dir, signerFile): 0o600,
				filepath.Join(dir, rootFile):   0o644,
			} {
				info, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				if got := info.Mode().Perm(); got != want {
					t.Errorf("umask %04o, directory exists = %t: %s has mode %04o, want %04o", umask, exists, info.Name(), got, want)
				}
			}
		}
	}
}

func TestLoadRefusesWhatOthersReach(t *testing.T) {
	tests := []struct {
		name   string
		file   string // below the directory of the authority, "" = itself
		mode   fs.FileMode
		refuse bool
	}{
		{"key for all to read", signerFile, 0o644, true},
		{"key for the group to read", signerFile, 0o640, true},
		{"key for others to write", signerFile, 0o602, true},
		{"key for us to read only", signerFile, 0o400, false},
		{"root for all to read", rootFile, 0o644, false},
		{"root for all to write", rootFile, 0o666, true},
		{"directory for all to write", "", 0o777, true},
		{"directory for the group to write", "", 0o770, true},
		{"directory for all to list", "", 0o755, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ca")
			mustCreate(t, dir, nil)
			if err := os.Chmod(filepath.Join(dir, test.file), test.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadOrCreate(dir)
			if (err != nil) != test.refuse {
				t.Errorf("got %v, want refused = %t", err, test.refuse)
			}
			if err != nil && !strings.Contains(err.Error(), "chmod") {
				t.Errorf("%v: does not say what to do", err)
			}
		})
	}
}

// A link at any of the paths is neither followed nor replaced.
func TestSymbolicLinks(t *testing.T) {
	t.Run("create", func(t *testing.T) {
		for _, name := range []string{signerFile, rootFile} {
			dir := filepath.Join(t.TempDir(), "ca")
			if err := claimDir(dir); err != nil {
				t.Fatal(err)
			}
			victim := filepath.Join(t.TempDir(), "victim")
			if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadOrCreate(dir); err == nil {
				t.Errorf("%s: accepted", name)
			}
			if _, err := os.Lstat(victim); err == nil {
				t.Errorf("%s: wrote through the link", name)
			}
		}
	})
	t.Run("load", func(t *testing.T) {
		for _, name := range []string{signerFile, rootFile, ""} {
			dir := filepath.Join(t.TempDir(), "ca")
			mustCreate(t, dir, nil)
			path := filepath.Join(dir, name)
			if err := os.Rename(path, path+".real"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path+".real", path); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadOrCreate(dir + "/"); err == nil {
				t.Errorf("%q: accepted", name)
			}
		}
	})
}

// A directory that others write to and that is in use is left as it is.
func TestCreateRefusesSharedDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, nil); err == nil || !strings.Contains(err.Error(), "others can replace") {
		t.Errorf("got %v, want a refusal", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("mode was changed to %v (%v)", info.Mode(), err)
	}
}

// A pipe at the path must not block the start.
func TestLoadRefusesPipe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	if err := claimDir(dir); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, signerFile), 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("accepted")
	}
}
