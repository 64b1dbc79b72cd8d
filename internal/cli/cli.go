// Package cli is keybearer's command line: one constructor per command, each
// over a struct of its own options, all wired by [Main].
//
// A command loads the configuration (internal/config), finds the secrets
// (secrets), builds a policy and hands it to the proxy (proxy). What the proxy
// decides is decided there; this package starts and stops it, gives child
// processes their environment, and says what happened.
//
// Results go to standard output, everything else to standard error. The exit
// codes are those of exit.go.
package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"keybearer/internal/config"
)

// Main runs the command line args, without the program's name, and returns the
// exit code. It reads the environment and receives the signals of the process,
// so it is to be called once, from main.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)

	// Until a command starts, what is wrong is the command line.
	code := exitUsage
	root.PersistentPreRun = func(*cobra.Command, []string) { code = exitFailed }
	cmd, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	var exit *exitError
	if errors.As(err, &exit) {
		code, err = exit.code, exit.err
	}
	if err != nil {
		fmt.Fprintln(stderr, message(err))
	}
	if code == exitUsage {
		fmt.Fprintf(stderr, "Usage: %s\nSee '%s --help'.\n", cmd.UseLine(), cmd.CommandPath())
	}
	return code
}

// message is an error for people, each line of it with keybearer's name. Only the
// problems found in a file begin with file:line:column, as editors read them.
func message(err error) string {
	var invalid *config.Error
	if !errors.As(err, &invalid) {
		return "keybearer: " + strings.ReplaceAll(err.Error(), "\n", "\nkeybearer: ")
	}
	var lines []string
	for _, p := range invalid.Problems {
		line := p.String()
		if p.File == "" {
			line = "keybearer: " + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "keybearer",
		Short: "A forward proxy that lets programs use credentials they can never learn",
		Long: `Keybearer is a forward proxy that lets programs use credentials they can never
learn. A program gets HTTPS_PROXY and a CA to trust; keybearer sets the headers
that its rules name, with secrets that only keybearer has.`,
		Example: `  keybearer demo                                 see it work, offline
  keybearer run -- python agent.py               one program, nothing to set up
  keybearer serve                                a proxy for many
  keybearer explain https://api.openai.com/v1/   why a request gets what`,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(
		newRun(), newServe(), newEnv(), newCheck(), newExplain(),
		newTop(), newCA(), newHealthcheck(), newManifest(), newDoctor(), newDemo(), newSchema(), newVersion(),
	)
	return root
}
