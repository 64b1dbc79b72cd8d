package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"keybearer/proxy"
	"keybearer/rules"
)

const (
	doctorHost   = "doctor.keybearer.example" // of {url}: a name that nobody can own, RFC 2606
	doctorPolicy = `rules:
  - name: doctor
    match_hosts: ["%s"]
    inject_headers: {Authorization: "Bearer ${DOCTOR_KEY}"}
unmatched_hosts: deny
`
)

type doctorOptions struct {
	host    string
	timeout time.Duration
}

func newDoctor() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor [flags] -- COMMAND [ARG...]",
		Short: "Say whether a command's HTTP client uses the proxy and trusts the CA",
		Long: `Run a command as keybearer run would, with a host on this machine in place of the
one that it calls, and say whether its HTTP client used the proxy, trusted the CA,
what it spoke, whether the header arrived, and what to set if not. Its proxy lets
nothing leave this machine; a command that goes around it calls the real host.

{url} in an argument becomes the URL of the host. For a command that calls a host
of its own choice name that one: it gets 200 and a line of JSON for every request.`,
		Example: `  keybearer doctor -- curl -sS {url}
  keybearer doctor --host api.openai.com -- python agent.py`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("doctor needs a command, as in keybearer doctor -- curl -sS {url}")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.examine(cmd, args) },
	}
	cmd.Flags().SetInterspersed(false) // what follows the command is the command's
	cmd.Flags().StringVar(&o.host, "host", doctorHost, "stand in for `HOST`")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "end the command after that `TIME`; what it did by then counts")
	return cmd
}

func (o *doctorOptions) examine(cmd *cobra.Command, args []string) error {
	host, err := rules.ParseTarget(o.host, 443)
	if err == nil && host.Addr().IsValid() {
		err = errors.New("it has to be a name")
	}
	if err != nil {
		return exit(exitUsage, fmt.Errorf("--host %s: %w", o.host, err))
	}
	r, err := newRehearsal(host, fmt.Sprintf(doctorPolicy, host), "DOCTOR_KEY", os.Environ())
	if err != nil {
		return err
	}
	defer r.close()
	p := patient{rehearsal: r, host: host, args: slices.Clone(args)}
	for i, arg := range p.args {
		p.args[i] = strings.ReplaceAll(arg, "{url}", "https://"+strings.TrimSuffix(host.String(), ":443")+"/")
	}
	if err := p.run(cmd, o.timeout); err != nil {
		return err
	}
	return p.report(cmd.OutOrStdout())
}

// patient is a command, and what it did with the host.
type patient struct {
	*rehearsal
	host  rules.Target
	args  []string
	ended error // how the command ended

	elsewhere []string       // targets that it asked the proxy for, beside the host
	unclear   string         // why the proxy did not understand what it asked for
	refused   []proxy.Record // connections to the host that did not get as far as a request
	exchanges []proxy.Record // requests to the host
}

// run runs the command to its end, or until it is interrupted, and takes its
// records. What the command prints goes where messages go.
func (p *patient) run(cmd *cobra.Command, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	command := exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	command.Stdin, command.Stdout, command.Stderr = cmd.InOrStdin(), cmd.ErrOrStderr(), cmd.ErrOrStderr()
	command.Env = p.env
	command.WaitDelay = time.Second // of what it left behind, with its output open
	if p.ended = command.Run(); command.ProcessState == nil {
		return startError(p.args[0], p.ended)
	}
	switch err := ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		p.ended = fmt.Errorf("it was ended after %s", timeout)
	case err != nil:
		p.ended = errors.New("it was interrupted")
	}
	p.rehearsal.run.close() // the last records are there when the connections are gone
	p.collect()
	return nil
}

// collect sorts the records.
func (p *patient) collect() {
	for {
		select {
		case r := <-p.records:
			p.sort(r)
		default:
			return
		}
	}
}

func (p *patient) sort(r proxy.Record) {
	switch {
	case r.Target == "":
		p.unclear = r.Reason
	case r.Target != p.host.String():
		if !slices.Contains(p.elsewhere, r.Target) {
			p.elsewhere = append(p.elsewhere, r.Target)
		}
	case r.Method == "CONNECT":
		p.refused = append(p.refused, r)
	default:
		p.exchanges = append(p.exchanges, r)
	}
}

// report prints one line per check. The checks after the first that fails could
// only repeat it.
func (p *patient) report(w io.Writer) error {
	fmt.Fprintf(w, "keybearer doctor: %s\n\n", strings.Join(p.args, " "))
	for _, check := range []func() (string, string){p.usedProxy, p.trustedCA, p.spoke, p.injected, p.endedWell} {
		found, cure := check()
		if cure != "" {
			fmt.Fprintf(w, "  FAILED  %s\n\n%s\n", found, cure)
			return &exitError{code: exitFailed}
		}
		fmt.Fprintf(w, "  ok      %s\n", found)
	}
	fmt.Fprintln(w, "\nIt works with keybearer as it is.")
	return nil
}
