//go:build clients

package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tool is what a client needs on the machine. In present "$dir" is the directory
// of the programs.
type tool struct {
	name    string
	present []string               // a command that succeeds if it is there; the first line that it prints is the version
	debian  []string               // the packages that bring it
	build   func(dir string) error // makes what its clients need in dir, where there is a network; may be nil
}

// state is how a tool is here.
type state struct {
	Version string
	Missing string // why it cannot be used, empty if it can
}

// look runs the tool's command.
func (t tool) look(dir string) state {
	var args []string
	for _, arg := range t.present {
		args = append(args, strings.ReplaceAll(arg, "$dir", dir))
	}
	cmd := exec.Command(args[0], args[1:]...)
	out, err := cmd.Output()
	if err != nil {
		missing := fmt.Sprintf("%s, which is not installed", t.name)
		if len(t.debian) > 0 {
			missing += ": apt-get install " + strings.Join(t.debian, " ")
		}
		return state{Missing: missing}
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return state{Version: string(line)}
}

// install gets what is missing from Debian, as root or by sudo that asks nothing,
// has each tool built, and writes to dir what could be had. The clients of what could
// not are skipped.
func install(dir string) error {
	var packages []string
	for _, t := range tools {
		if len(t.debian) > 0 && t.look(dir).Missing != "" {
			packages = append(packages, t.debian...)
		}
	}
	slices.Sort(packages)
	if packages = slices.Compact(packages); len(packages) > 0 {
		if err := installDebian(packages); err != nil {
			fmt.Printf("install %s: %v\n", strings.Join(packages, " "), err)
		}
	}
	states := map[string]state{}
	for _, t := range tools {
		if t.build != nil {
			if err := t.build(dir); err != nil {
				states[t.name] = state{Missing: fmt.Sprintf("%s, which could not be built: %v", t.name, err)}
				continue
			}
		}
		states[t.name] = t.look(dir)
	}
	data, err := json.Marshal(states)
	if err != nil {
		return err
	}
	return os.WriteFile(statesFile(dir), data, 0o644)
}

func statesFile(dir string) string { return filepath.Join(dir, "tools.json") }

// readStates returns what install has written.
func readStates(dir string) (map[string]state, error) {
	data, err := os.ReadFile(statesFile(dir))
	if err != nil {
		return nil, err
	}
	var states map[string]state
	return states, json.Unmarshal(data, &states)
}

// installed says why a tool cannot be used, "" if it can.
func installed(name string) string {
	s, ok := theTools[name]
	if !ok {
		return fmt.Sprintf("%s, which is in no list of tools", name)
	}
	return s.Missing
}

func installDebian(packages []string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("there is no apt-get here; install them by hand")
	}
	fmt.Println("installing", strings.Join(packages, " "))
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...)} {
		command := append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"}, args...)
		if os.Getuid() != 0 {
			command = append([]string{"sudo", "-n"}, command...)
		}
		if err := quietly("", command...); err != nil {
			return err
		}
	}
	return nil
}

// firstOf returns the first of several programs that is here.
func firstOf(programs ...string) string {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			return p
		}
	}
	return programs[len(programs)-1]
}

// quietly runs a command and tells what it printed only if it fails.
func quietly(dir string, command ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return nil
}
