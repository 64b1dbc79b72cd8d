package cli

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// The control sequences (ECMA-48, and xterm's private modes) of a screen of our own,
// without cursor and without line wrap: what is too wide is cut by the terminal too.
const (
	screenEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	screenClear = "\x1b[2J"
	screenLeave = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// screen is the alternate screen of a terminal.
type screen struct {
	out   *os.File
	in    *os.File
	saved *term.State
	quit  chan struct{} // closed by q, Ctrl-C or Ctrl-D

	width, height int
	shown         []string
}

// openScreen takes the terminal until close. Keys are read from in, if that is a
// terminal.
func openScreen(in, out *os.File) (*screen, error) {
	s := &screen{out: out, quit: make(chan struct{})}
	if in != nil && term.IsTerminal(int(in.Fd())) {
		saved, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return nil, err
		}
		s.in, s.saved = in, saved
		go s.readKeys()
	}
	if _, err := out.WriteString(screenEnter); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *screen) close() {
	s.out.WriteString(screenLeave)
	if s.saved != nil {
		term.Restore(int(s.in.Fd()), s.saved)
	}
}

// readKeys ends with the key that ends the program: in raw mode Ctrl-C is one.
func (s *screen) readKeys() {
	defer close(s.quit)
	var keys [32]byte
	for {
		n, err := s.in.Read(keys[:])
		if err != nil || strings.ContainsAny(string(keys[:n]), "qQ\x03\x04") {
			return
		}
	}
}

// show writes the lines that differ from those that are there; all of them, if the
// terminal has got another size.
func (s *screen) show(lines []string, width, height int) error {
	var b strings.Builder
	if s.width != width || s.height != height {
		s.width, s.height, s.shown = width, height, nil
		b.WriteString(screenClear)
	}
	for i := range max(len(lines), len(s.shown)) {
		var line, there string
		if i < len(lines) {
			line = lines[i]
		}
		if i < len(s.shown) {
			there = s.shown[i]
		}
		if line != there {
			fmt.Fprintf(&b, "\x1b[%d;1H%s\x1b[K", i+1, line)
		}
	}
	s.shown = lines
	if b.Len() == 0 {
		return nil
	}
	_, err := s.out.WriteString(b.String())
	return err
}
