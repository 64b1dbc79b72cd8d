package cli

import "fmt"

// The exit codes. Run exits with the code of its child instead, or as a shell
// does when there is none: see child.go.
const (
	exitFailed  = 1 // failed at run time
	exitUsage   = 2 // the command line is wrong
	exitConfig  = 3 // the configuration is invalid
	exitSecret  = 4 // a secret does not resolve
	exitCA      = 5 // the authority is unusable
	exitNoExec  = 126
	exitNoFound = 127
	exitSignal  = 128 // plus the number of the signal
)

// exitError ends the process with a code. A nil err prints nothing: whoever
// failed has said why.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exit gives err a code; a nil err stays nil.
func exit(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code, err}
}
