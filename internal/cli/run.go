package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"keybearer/certs"
	"keybearer/internal/config"
	"keybearer/internal/peer"
	"keybearer/proxy"
)

type runOptions struct {
	settings
	resolve
	account
}

func newRun() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARG...]",
		Short: "Run one command with a proxy of its own",
		Long: `Run a command with a proxy that lives as long as it does, on a free port of this
machine, with a CA that signs for the hosts of the rules only. The secrets of the
rules are taken out of the command's environment, and placeholders put in.

The exit code is the command's: 126 or 127 if it cannot be started, 128+n if
signal n ended it. Only what goes wrong is logged, unless --log-level is given.
With --admin a page shows each request, and keybearer top --admin does; the setting
admin is for serve.`,
		Example: `  keybearer run --config examples/openai.yaml -- curl -sS https://api.openai.com/v1/models
  keybearer run -- python agent.py
  keybearer run --admin 127.0.0.1:9901 -- python agent.py   open that address`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("run needs a command, as in keybearer run -- python agent.py")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	o.settings.register(cmd, "unmatched-hosts", "allow-private", "secrets-dir", "env-file",
		"upstream-ca", "upstream-proxy", "upstream-no-proxy", "admin", "access-log", "log-format", "log-level")
	o.resolve.register(cmd)
	o.account.register(cmd)
	cmd.Flags().SetInterspersed(false) // what follows the command is the command's
	return cmd
}

func (o *runOptions) run(cmd *cobra.Command, args []string) error {
	c, err := o.load(cmd.InOrStdin(), false)
	if err != nil {
		return err
	}
	if !o.flags.Changed("log-level") && os.Getenv("KEYBEARER_LOG_LEVEL") == "" {
		c.Settings.LogLevel = "warn" // the rest of the terminal is the command's
	}
	client, err := o.of(c)
	if err != nil {
		return err
	}
	hidden := c.References() // those of other clients as well
	owner := ownUserOnly(c, peer.Known())
	narrow(c, client)
	logs, err := openLogs(cmd, c)
	if err != nil {
		return err
	}
	defer logs.close()
	if err := hideMemory(); err != nil {
		logs.Warn("other processes of this user can read keybearer's memory: " + err.Error())
	}
	provided, err := provide(c, o.resolve, nil, logs.Logger)
	if err != nil {
		return err
	}
	child, err := newChild(args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer child.release()
	s, err := o.open(c, logs, owner)
	if err != nil {
		return err
	}
	defer s.close()
	s.proxy.UpstreamProxy = provided.via
	s.proxy.SetPolicy(provided.policy)
	view, err := o.show(c, s.proxy, provided, logs)
	if err != nil {
		return err
	}
	defer view.admin.close()
	view.address = s.listener.Addr().String()
	if view.admin != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "keybearer shows this run on %s\n", view.admin.url())
	}
	go view.attend()
	child.Env = childEnv(os.Environ(), c, provided.store, hidden, s.files.params(c, s.url()))
	forget(provided.store, hidden)
	go s.proxy.Serve(s.listener) // until close; it has no other error to tell
	return child.run()
}

// show opens the admin listener that --admin asks for. That of the configuration is of
// serve, which may be running.
func (o *runOptions) show(c *config.Config, p *proxy.Proxy, provided provisions, logs *logs) (*overview, error) {
	v := &overview{proxy: p, via: provided.via, since: time.Now()}
	if !o.flags.Changed("admin") {
		return v, nil
	}
	address := c.Settings.Admin
	if !isOwnAdmin(address) {
		return nil, exit(exitUsage, fmt.Errorf(remoteAdmin, address))
	}
	v.inForce.Store(newInForce(c, provided.store))
	var err error
	v.admin, err = openAdmin(address, p, logs.dropped, v.explainRecord)
	return v, err
}

// session is the proxy of one run, and what is to be cleaned up after it.
type session struct {
	proxy    *proxy.Proxy
	listener net.Listener
	dir      string
	files    clientFiles
	password *url.Userinfo // that the proxy asks for; nil: none
}

// url is the proxy's, for the environment of the command.
func (s *session) url() string {
	u := url.URL{Scheme: "http", User: s.password, Host: s.listener.Addr().String()}
	return u.String()
}

func (o *runOptions) open(c *config.Config, logs *logs, owner owner) (*session, error) {
	overrides, err := o.overrides()
	if err != nil {
		return nil, err
	}
	roots, rootsPEM, err := upstreamRoots(c.Settings.UpstreamCA)
	if err != nil {
		return nil, err
	}
	constraints, err := constraintsOf(c)
	if err != nil && len(c.Set.Rules()) > 0 {
		logs.Warn("the authority of this run is not constrained: " + err.Error())
	}
	authority, err := certs.New(constraints)
	if err != nil {
		return nil, exit(exitCA, err)
	}
	s := &session{password: owner.password, proxy: &proxy.Proxy{
		Authority:     authority,
		Overrides:     overrides,
		AllowPrivate:  c.Settings.AllowPrivate,
		UpstreamRoots: roots,
		Admit:         owner.admit,
		MaxConns:      maxConns(),
		Identify:      identify,
		Emit:          logs.emit(),
	}}
	if err := s.prepare(authority, rootsPEM); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// prepare makes the files and the listener. The trust store for Java takes most
// of its time, about 5 ms; guessing whether the command will start a JVM would
// save those and fail whoever starts one from a place of its own.
func (s *session) prepare(authority *certs.Authority, rootsPEM []byte) (err error) {
	if s.dir, err = os.MkdirTemp("", "keybearer-"); err != nil { // mode 0700
		return fmt.Errorf("%w; set TMPDIR to a directory that can be written to", err)
	}
	s.files = filesIn(s.dir)
	if err := s.files.write(authority, rootsPEM, s.files); err != nil {
		return err
	}
	s.listener, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", "0"))
	return err
}

// close ends the proxy and removes the files. The command is gone; what it left
// in the background has lost its proxy, as it would have lost its terminal.
func (s *session) close() {
	if s.listener != nil {
		s.listener.Close()
	}
	const grace = time.Second // for records of what has just ended
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	s.proxy.Shutdown(ctx)
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}
