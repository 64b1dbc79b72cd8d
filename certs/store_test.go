package certs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func mustCreate(t *testing.T, dir string, c *Constraints) *Authority {
	t.Helper()
	a, err := Create(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What Create wrote, Load reads: the same authority, which signs leaves that
// clients of the first one accept, under the same constraints.
func TestCreateThenLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "ca")
	created := mustCreate(t, dir, &Constraints{DNS: []string{"api.example.com"}})
	loaded, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := handshake(t, created, mustLeaf(t, loaded, "api.example.com"), "api.example.com"); err != nil {
		t.Error(err)
	}
	if _, err := loaded.Leaf("other.example.com"); !errors.Is(err, errNotPermitted) {
		t.Errorf("other host: %v, want %v", err, errNotPermitted)
	}
	ca, err := os.ReadFile(filepath.Join(dir, rootFile))
	if err != nil || !bytes.Equal(ca, created.PEM()) {
		t.Errorf("ca.pem is not the root (%v): %s", err, ca)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	for _, name := range []string{signerFile, rootFile} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Create(dir, nil); !errors.Is(err, fs.ErrExist) {
				t.Errorf("Create: %v, want %v", err, fs.ErrExist)
			}
			if _, err := LoadOrCreate(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("LoadOrCreate: %v, want an error that says what is in the way", err)
			}
			if data, err := os.ReadFile(path); string(data) != "precious" {
				t.Errorf("%s now holds %q (%v)", name, data, err)
			}
		})
	}
}

func TestLoadNone(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "missing")} {
		if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Load(%s): %v, want %v", path, err, fs.ErrNotExist)
		}
	}
}

// A crash at any point of Create leaves nothing that hinders the next start,
// and a damaged file is an error.
func TestLoadAfterCrash(t *testing.T) {
	t.Run("before signer.pem", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "ca")
		if err := claimDir(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".new-1"), []byte("-----BEGIN PRI"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreate(dir); err != nil {
			t.Error(err)
		}
	})
	t.Run("before ca.pem", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "ca")
		created := mustCreate(t, dir, nil)
		path := filepath.Join(dir, rootFile)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); !bytes.Equal(data, created.PEM()) {
			t.Errorf("ca.pem is not the root (%v): %s", err, data)
		}
	})
	t.Run("cut short", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "ca")
		mustCreate(t, dir, nil)
		path := filepath.Join(dir, signerFile)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for size := 0; size < len(data)-1; size += 7 {
			if err := os.WriteFile(path, data[:size], 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadOrCreate(dir); err == nil {
				t.Errorf("%d of %d bytes are accepted", size, len(data))
			}
		}
	})
}

// Files of different authorities do not make one.
func TestLoadMixedUp(t *testing.T) {
	a, b := newAuthority(t, nil), newAuthority(t, nil)
	tests := []struct {
		name   string
		signer *Authority
		root   *Authority
		wants  string
	}{
		{"another's key", &Authority{key: b.key, signer: a.signer, root: a.root}, a, "private key does not belong"},
		{"another's root", &Authority{key: a.key, signer: a.signer, root: b.root}, b, "not signed by the root"},
		{"another's ca.pem", a, b, "is not the root"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ca")
			data, err := test.signer.encodeSigner()
			if err != nil {
				t.Fatal(err)
			}
			err = errors.Join(claimDir(dir),
				os.WriteFile(filepath.Join(dir, signerFile), data, 0o600),
				os.WriteFile(filepath.Join(dir, rootFile), test.root.PEM(), 0o600))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), test.wants) {
				t.Errorf("got %v, want an error with %q", err, test.wants)
			}
		})
	}
}

func TestLoadOutsideValidity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	synctest.Test(t, func(t *testing.T) { // the clock starts in the year 2000
		mustCreate(t, dir, nil)
		time.Sleep(persistedLife - time.Minute)
		if _, err := Load(dir); err != nil {
			t.Errorf("a minute before its end: %v", err)
		}
	})
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("got %v, want that it expired", err)
	}

	dir = filepath.Join(t.TempDir(), "future")
	mustCreate(t, dir, nil)
	synctest.Test(t, func(t *testing.T) {
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "not valid before") {
			t.Errorf("got %v, want that it is not valid yet", err)
		}
	})
}

// Of many who publish at one path, one wins, and the others are told.
func TestPublishIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var publishers sync.WaitGroup
	winners := make(chan string, 20)
	for i := range cap(winners) {
		publishers.Go(func() {
			data := fmt.Sprint("by ", i)
			switch err := publish(path, []byte(data), 0o600); {
			case err == nil:
				winners <- data
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	publishers.Wait()
	if len(winners) != 1 {
		t.Fatalf("%d winners", len(winners))
	}
	if data, err := os.ReadFile(path); string(data) != <-winners {
		t.Errorf("holds %q, which did not win (%v)", data, err)
	}
}

// Goroutines and processes that start at once end with one authority.
func TestStartsAtOnce(t *testing.T) {
	const variable = "KEYBEARER_TEST_CA_DIR"
	if dir := os.Getenv(variable); dir != "" { // one of the processes
		a, err := LoadOrCreate(dir)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("serial %x\n", a.signer.SerialNumber)
		return
	}
	for range 3 {
		dir := filepath.Join(t.TempDir(), "new", "ca")
		serials := make(chan string, 20)
		var starts sync.WaitGroup
		ready := make(chan struct{})
		for range 15 {
			starts.Go(func() {
				<-ready
				a, err := LoadOrCreate(dir)
				if err != nil {
					t.Error(err)
					return
				}
				serials <- fmt.Sprintf("%x", a.signer.SerialNumber)
			})
		}
		for range 5 {
			starts.Go(func() {
				command := exec.Command(os.Args[0], "-test.run=^TestStartsAtOnce$")
				command.Env = append(os.Environ(), variable+"="+dir)
				out, err := command.CombinedOutput()
				_, after, found := strings.Cut(string(out), "serial ")
				if err != nil || !found {
					t.Errorf("%v: %s", err, out)
					return
				}
				serials <- strings.Fields(after)[0]
			})
		}
		close(ready)
		starts.Wait()
		close(serials)
		distinct := make(map[string]bool)
		for serial := range serials {
			distinct[serial] = true
		}
		if len(distinct) != 1 {
			t.Errorf("%d authorities", len(distinct))
		}
	}
}
