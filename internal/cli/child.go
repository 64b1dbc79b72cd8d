package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"

	"keybearer/internal/clientenv"
	"keybearer/internal/config"
	"keybearer/secrets"
)

// child is the command of run.
type child struct {
	*exec.Cmd
	signals chan os.Signal
}

// newChild finds the command and takes over the signals, so that from here on
// none of them ends keybearer before it has cleaned up. Whether the command can
// be started is told as a shell tells it.
func newChild(args []string, stdin io.Reader, stdout, stderr io.Writer) (*child, error) {
	cmd := exec.Command(args[0], args[1:]...)
	if errors.Is(cmd.Err, exec.ErrDot) {
		cmd.Err = nil // as a shell with . in PATH
	}
	if cmd.Err != nil {
		return nil, startError(args[0], cmd.Err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	c := &child{Cmd: cmd, signals: make(chan os.Signal, 16)}
	for _, s := range forwarded {
		if !signal.Ignored(s) { // nohup, and jobs in the background of a script
			signal.Notify(c.signals, s)
		}
	}
	return c, nil
}

func (c *child) release() { signal.Stop(c.signals) }

func startError(name string, err error) error {
	var path *fs.PathError
	var search *exec.Error
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return exit(exitNoFound, fmt.Errorf("%s: command not found; check the name and PATH", name))
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &search):
		err = search.Err
	}
	return exit(exitNoExec, fmt.Errorf("%s: cannot be run: %w", name, err))
}

// run starts the command, passes signals on to it and waits for its end. The
// error holds its exit code.
func (c *child) run() error {
	if err := c.Start(); err != nil {
		return startError(c.Args[0], err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	for {
		select {
		case s := <-c.signals:
			if !delivered(s) {
				c.Process.Signal(s) // it may be gone: then done is next
			}
		case err := <-done:
			return c.result(err)
		}
	}
}

func (c *child) result(err error) error {
	var ended *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ended):
		return &exitError{code: exitCode(ended.ProcessState)}
	}
	return err // its output could not be copied
}

// childEnv is the environment of the command: that of keybearer without the
// secrets of these names, with what a client needs. A variable that gives a secret away, and the
// variable that a program looks for the secret in, hold a placeholder: many
// programs do not start without.
func childEnv(environ []string, c *config.Config, store *secrets.Store, names []string, p clientenv.Params) []string {
	const placeholder = "keybearer-placeholder"
	hidden := append(store.EnvNames(names), "KEYBEARER_UPSTREAM_PROXY") // also if a flag outweighs it
	dummies := map[string]string{}
	for _, name := range slices.Concat(store.EnvNames(names), names) {
		if isVariableName(name) {
			dummies[name] = placeholder
		}
	}
	maps.Copy(dummies, p.Placeholders)
	p.Placeholders = dummies

	env := map[string]string{}
	for _, entry := range environ {
		name, value, ok := strings.Cut(entry, "=")
		if ok && !slices.Contains(hidden, name) && !c.Settings.UpstreamProxy.Leaks(value) {
			env[name] = value
		}
	}
	p.JavaToolOptions = env["JAVA_TOOL_OPTIONS"]
	for _, v := range clientenv.Variables(p) {
		env[v.Name] = v.Value
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// isVariableName reports whether a shell could set a variable of that name. The
// names of secrets may have dots and hyphens as well.
func isVariableName(name string) bool { return !strings.ContainsAny(name, ".-") }
