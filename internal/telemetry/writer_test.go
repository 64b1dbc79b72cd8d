package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gate is a writer that takes nothing until it is opened.
type gate struct {
	open chan struct{}
	mu   sync.Mutex
	got  bytes.Buffer
}

func (g *gate) Write(b []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.got.Write(b)
}

// Whoever writes a line never waits for whoever reads the log. What does not fit is
// counted, and told of once there is room.
//
// seen red: Write without its limit (nothing dropped); NewLogger without lost; Close
// that does not wait.
func TestWriterNeverWaits(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	w := NewWriter(g)
	log, err := NewLogger(w, "text", "info")
	if err != nil {
		t.Fatal(err)
	}
	const lines = 3 * maxPending / 1000
	for n := range lines {
		log.Info(strings.Repeat("x", 1000), "n", n)
	}
	dropped := w.Dropped()
	if dropped == 0 || dropped > lines-maxPending/2000 {
		t.Errorf("%d of %d lines dropped", dropped, lines)
	}
	close(g.open)
	log.Info("late")
	w.Close()
	got := g.got.String()
	if !strings.Contains(got, fmt.Sprintf("or the disk is full\" lines=%d\n", dropped)) {
		t.Errorf("not told of %d lines: …%s", dropped, got[len(got)-300:])
	}
	if written := strings.Count(got, "xxx n="); written != int(lines-dropped) || !strings.Contains(got, "msg=late") {
		t.Errorf("%d lines written, %d dropped, of %d", written, dropped, lines)
	}
}

// A reader that never comes back does not keep a command from ending.
//
// seen red: Close without closeTime (synctest: deadlock).
func TestWriterCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		w := NewWriter(g)
		io.WriteString(w, "line\n")
		began := time.Now()
		w.Close()
		if waited := time.Since(began); waited != closeTime {
			t.Errorf("waited %v", waited)
		}
		close(g.open)
	})
}

// A log that is renamed goes on in a new file of the old name.
//
// seen red: Reopen without the swap.
func TestFileReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log := slog.New(slog.NewTextHandler(f, nil))
	log.Info("one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	log.Info("two")
	for name, want := range map[string]string{path + ".1": "msg=one\n", path: "msg=two\n"} {
		got, err := os.ReadFile(name)
		if err != nil || !strings.HasSuffix(string(got), want) || strings.Count(string(got), "\n") != 1 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
