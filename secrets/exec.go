package secrets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"time"
)

// Exec fetches what a command prints. The command is started without a shell, in a
// session of its own, so that it has no terminal, with an empty standard input and
// none of the files that keybearer has opened, and with the environment that keybearer
// was started with. What it prints to standard error is dropped: it may quote the
// secret. When its time is up, its process group is killed.
type Exec struct {
	Command []string      // the program, looked for in PATH if there is no slash in it, and its arguments
	TTL     time.Duration // how long its output may be used; 0: until an upstream refuses it
}

// closeTime is how long something that the command has left behind may keep its
// output open.
const closeTime = time.Second

// Fetch implements [Fetcher].
func (e Exec) Fetch(ctx context.Context, a Access) (Fetched, error) {
	if len(e.Command) == 0 {
		return Fetched{}, Problem("there is no command; name one")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var stderr counter
	stdout := bounded{limit: maxSecret + len("\r\n"), full: cancel}
	cmd := exec.CommandContext(ctx, e.Command[0], e.Command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = a.Environ, &stdout, &stderr, closeTime
	setApart(cmd)
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case stdout.over:
		return Fetched{}, Problem("printed more than 64 KiB; check that it prints the secret alone")
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // the command itself has ended well
		return Fetched{Text: string(stdout.data), Lifetime: e.TTL}, nil
	case errors.As(err, &ended):
		return Fetched{}, Problem(fmt.Sprintf("failed (%s, %d bytes on standard error); run it by hand to see why", ended.ProcessState, stderr))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, exec.ErrNotFound):
		return Fetched{}, Problem("no such program; install it, or write its path in full")
	case errors.Is(err, fs.ErrPermission):
		return Fetched{}, Problem("it may not be run; check its permissions")
	}
	return Fetched{}, Problem("it cannot be started; run it by hand to see why")
}

// References implements [Fetcher]: everybody can read the arguments of a command, so
// there are no secrets in them.
func (Exec) References() []string { return nil }

// String names the program and not its arguments.
func (e Exec) String() string {
	return "command " + strings.Join(e.Command[:min(1, len(e.Command))], "")
}

// bounded keeps the first bytes of what is written to it.
type bounded struct {
	data  []byte
	limit int
	over  bool
	full  func() // called when there are more
}

var errFull = errors.New("full")

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > b.limit {
		b.over = true
		b.full()
		return 0, errFull
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

// counter counts the bytes that are written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
