package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"keybearer/certs"
	"keybearer/internal/config"
	"keybearer/proxy"
	"keybearer/rules"
)

type serveOptions struct {
	settings
	resolve
	mounted
	allowRemote bool

	environ []string // as it was at the start: a reload looks secrets up in it again
}

func newServe() *cobra.Command {
	o := serveOptions{environ: os.Environ()}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the proxy in the foreground",
		Long: `Run the proxy in the foreground. It prints one line when it is ready: its
address, the CA that clients are to trust, the number of rules.

Configuration and secrets are read again when their files change, and on SIGHUP; a
bad file changes nothing. SIGTERM lets the exchanges under way end, for up to --drain;
a second one ends them. Under systemd, serve tells when it is ready and takes the
socket that it is handed.`,
		Example: `  keybearer serve --config examples/several-apis.yaml
  keybearer serve --admin 127.0.0.1:9901          open that address, or run keybearer top
  eval "$(keybearer env)" && curl -sS https://api.openai.com/v1/models`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.serve(cmd) },
	}
	o.settings.register(cmd, "listen", "unmatched-hosts", "allow-private", "secrets-dir", "env-file",
		"ca-dir", "client-dir", "upstream-ca", "upstream-proxy", "upstream-no-proxy", "drain", "admin", "access-log", "log-format", "log-level")
	o.resolve.register(cmd)
	o.mounted.register(cmd)
	cmd.Flags().BoolVar(&o.allowRemote, "allow-remote", false, "listen on an address that other machines can reach")
	return cmd
}

func (o *serveOptions) serve(cmd *cobra.Command) error {
	// Before the configuration is read: so no change of it is missed.
	inputs := newWatch(config.Options{Path: o.path}.File())
	defer inputs.close()
	c, err := o.load(cmd.InOrStdin(), false)
	if err != nil {
		return err
	}
	logs, err := openLogs(cmd, c)
	if err != nil {
		return err
	}
	defer logs.close()
	limitMemory(logs.Logger)
	l, err := inherited()
	if err != nil {
		return err
	}
	address := listenAddress(c, l)
	if err := errors.Join(o.checkListen(c, address), o.checkAdmin(c.Settings.Admin)); err != nil {
		return err
	}
	if err := hideMemory(); err != nil {
		logs.Warn("other processes of this user can read keybearer's memory: " + err.Error())
	}
	r := &reloader{
		overview: overview{address: address, since: time.Now()},
		options:  o, started: c.Settings, config: c, watch: inputs, manager: manager{logs.Logger}, logger: logs.Logger,
	}
	policy, via, err := r.begin()
	if err != nil {
		return err
	}
	p, rootsPEM, err := o.newProxy(c, logs)
	if err != nil {
		return err
	}
	r.proxy, p.UpstreamProxy = p, via
	p.SetPolicy(policy)
	files, err := o.writeFiles(c, p.Authority, rootsPEM, logs.Logger)
	if err != nil {
		return err
	}
	if r.admin, err = openAdmin(c.Settings.Admin, p, logs.dropped, r.explainRecord); err != nil {
		return err
	}
	defer r.admin.close()

	// From here on signals are ours: one that comes early must not be lost.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)

	if l == nil {
		if l, err = net.Listen("tcp", c.Settings.Listen); err != nil {
			return fmt.Errorf("%w; end what listens there, or give another address with --listen", err)
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "keybearer listens on %s, CA %s, %s\n", l.Addr(), files.ca, count(c.Set.Rules()))
	r.address = l.Addr().String()
	r.tell()
	r.admin.serve()
	r.manager.ready()
	return o.attend(p, l, signals, r, logs)
}

// newProxy returns a proxy without a policy, and the roots of upstream_ca, which its
// clients shall trust as well.
func (o *serveOptions) newProxy(c *config.Config, logs *logs) (*proxy.Proxy, []byte, error) {
	overrides, err := o.overrides()
	if err != nil {
		return nil, nil, err
	}
	roots, rootsPEM, err := upstreamRoots(c.Settings.UpstreamCA)
	if err != nil {
		return nil, nil, err
	}
	authority, err := loadAuthority(c.Settings.CADir)
	if err != nil {
		return nil, nil, err
	}
	return &proxy.Proxy{
		Authority:     authority,
		Overrides:     overrides,
		AllowPrivate:  c.Settings.AllowPrivate,
		UpstreamRoots: roots,
		MaxConns:      maxConns(),
		Identify:      identify,
		Emit:          logs.emit(),
	}, rootsPEM, nil
}

// writeFiles writes the files for the clients.
func (o *serveOptions) writeFiles(c *config.Config, a *certs.Authority, rootsPEM []byte, logger *slog.Logger) (clientFiles, error) {
	files := filesOf(c.Settings)
	err := files.write(a, rootsPEM, o.seen(files))
	switch {
	case err == nil:
	case c.Settings.ClientDir != "": // then they are what clients wait for
		return files, clientDirError(err)
	default:
		logger.Warn("the files that keybearer env names are not up to date: " + err.Error())
	}
	return files, nil
}

var errNoCADir = errors.New("there is no directory for the authority; name one with --ca-dir")

// loadAuthority loads the authority in dir, and creates it if there is none.
func loadAuthority(dir string) (*certs.Authority, error) {
	if dir == "" {
		return nil, exit(exitCA, errNoCADir)
	}
	a, err := certs.LoadOrCreate(dir)
	return a, exit(exitCA, err)
}

// listenAddress is where l listens, or where we shall if it is nil.
func listenAddress(c *config.Config, l net.Listener) string {
	if l != nil {
		return l.Addr().String()
	}
	return c.Settings.Listen
}

// checkListen refuses to hand the rules' credentials to a whole network unless
// that was asked for, or clients have to show credentials of their own: whoever
// reaches the proxy can use those of the rules.
func (o *serveOptions) checkListen(c *config.Config, listen string) error {
	_, asks := c.Set.ClientAuth()
	_, several := c.Set.Clients()
	if asks || several || o.allowRemote || isOwnMachine(listen) {
		return nil
	}
	return exit(exitUsage, fmt.Errorf("other machines may reach %s, and whoever reaches the proxy can use its credentials; "+
		"listen on 127.0.0.1, set client_auth or clients, or add --allow-remote if only clients you trust can connect", listen))
}

// isOwnMachine reports whether only this machine can reach an address to listen on. One
// that is none is for net.Listen to find words for.
func isOwnMachine(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil || host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// attend serves until the listener fails or a signal ends it.
func (o *serveOptions) attend(p *proxy.Proxy, l net.Listener, signals <-chan os.Signal, r *reloader, logs *logs) error {
	served := make(chan error, 1)
	go func() { served <- p.Serve(l) }()
	look := r.look()
	for {
		select {
		case err := <-served:
			return err
		case <-look:
			r.lookAgain()
		case <-r.watch.changed:
			r.reloadChanged()
		case s := <-signals:
			if s == syscall.SIGHUP {
				logs.reopen()
				r.reload()
				continue
			}
			r.manager.stopping()
			r.draining = true
			r.tell()
			r.logger.Info("draining: exchanges under way may end; a second signal ends them now", "signal", s.String())
			return drain(p, r.started.Drain, signals, r.logger)
		}
	}
}

// drain ends the proxy: within limit if what is under way comes to its end, with it
// if not, which is no failure, and at once after another signal.
func drain(p *proxy.Proxy, limit time.Duration, signals <-chan os.Signal, logger *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- p.Shutdown(ctx) }()
	for {
		select {
		case err := <-drained:
			if err != nil {
				logger.Warn("the time to drain is over; what was still under way has been cut", "drain", limit.String())
			}
			return nil
		case s := <-signals:
			if s != syscall.SIGHUP {
				return exit(exitFailed, errors.New("ended by a second signal, before the exchanges under way"))
			}
		}
	}
}

func count(rules []*rules.Rule) string {
	if len(rules) == 1 {
		return "1 rule"
	}
	return fmt.Sprintf("%d rules", len(rules))
}
