package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"keybearer/internal/telemetry"
)

// On a terminal top draws what comes, and q gives the terminal back as it was.
//
// seen red: close without term.Restore; readKeys that waits for an x; show without the
// comparison, which wrote whole frames again.
func TestTopScreen(t *testing.T) {
	terminal, inside := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(inside.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 100, Row: 20}); err != nil {
		t.Fatal(err)
	}
	before, err := term.GetState(int(inside.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	output := make(chan string, 10_000)
	go func() {
		var b [4096]byte
		for {
			n, err := terminal.Read(b[:])
			if err != nil {
				return
			}
			output <- string(b[:n])
		}
	}()
	news, ended, done := make(chan adminNews), make(chan error, 1), make(chan error, 1)
	go func() { done <- topScreen(t.Context(), news, ended, inside, inside) }()
	news <- adminNews{connected: true}
	news <- adminNews{state: &telemetry.State{Version: "1.0.0", Listen: "127.0.0.1:3128", Started: time.Now()}}
	news <- adminNews{batch: adminBatch{Records: []telemetry.Event{topEvent(1, nil), topEvent(2, denied)}}}

	shown := awaitOutput(t, output, "api.example.com/v1/models")
	if !strings.Contains(shown, screenEnter) || strings.Index(shown, "evil.example") > strings.Index(shown, "api.example.com") {
		t.Errorf("drew %q", shown)
	}
	news <- adminNews{batch: adminBatch{Records: []telemetry.Event{topEvent(3, func(e *telemetry.Event) { e.Path = "/v1/new" })}}}
	if again := awaitOutput(t, output, "/v1/new"); strings.Contains(again, "VERDICT") {
		t.Errorf("drew again what was there: %q", again)
	}
	if _, err := terminal.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("q did not end it")
	}
	awaitOutput(t, output, screenLeave)
	if now, err := term.GetState(int(inside.Fd())); err != nil || fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("the terminal is %v, %v; it was %v", now, err, before)
	}
}

// awaitOutput returns what is written up to the text.
func awaitOutput(t *testing.T, output <-chan string, text string) string {
	t.Helper()
	var all strings.Builder
	deadline := time.After(10 * time.Second)
	for !strings.Contains(all.String(), text) {
		select {
		case piece := <-output:
			all.WriteString(piece)
		case <-deadline:
			t.Fatalf("no %q after 10 s in %q", text, all.String())
		}
	}
	return all.String()
}
