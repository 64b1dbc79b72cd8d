package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keybearer/internal/clientenv"
)

type envOptions struct {
	settings
	mounted
	account
	format, proxy string
	wait          time.Duration
}

func newEnv() *cobra.Command {
	var o envOptions
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the variables that a client of a running proxy needs",
		Long: `Print the environment variables that make a program use the keybearer serve of
this configuration and trust its CA: proxy addresses, CA bundles for the common
languages and tools, and the env_vars of the rules. With --client the address of the
proxy holds the token of that client: it is for nobody else to read.`,
		Example: `  eval "$(keybearer env)"
  keybearer env --format fish | source
  keybearer env --client team-a --format docker > team-a.env
  keybearer serve & keybearer env --wait 10s --format github >> "$GITHUB_ENV"
  keybearer env --format docker --mounted-at /certs --proxy http://keybearer:3128 > app.env`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.print(cmd) },
	}
	o.settings.register(cmd, "listen", "ca-dir", "client-dir", "secrets-dir", "env-file")
	o.mounted.register(cmd)
	o.account.register(cmd)
	cmd.Flags().StringVarP(&o.format, "format", "f", "sh", "write `FORMAT`: "+strings.Join(clientenv.Formats(), ", "))
	cmd.Flags().DurationVar(&o.wait, "wait", 0, "wait for serve to be ready, for up to that `TIME`, as in 10s")
	cmd.Flags().StringVar(&o.proxy, "proxy", "", "the `URL` of the proxy (default from the setting listen)")
	return cmd
}

func (o *envOptions) print(cmd *cobra.Command) error {
	c, err := o.load(cmd.InOrStdin(), false)
	if err != nil {
		return err
	}
	client, err := o.of(c)
	if err != nil {
		return err
	}
	if o.proxy == "" {
		if o.proxy, err = proxyURL(c.Settings.Listen); err != nil {
			return err
		}
		if c.Policy.ClientAuth != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), "keybearer: clients need the credentials of client_auth; "+
				"put them into the URL with --proxy http://USER:PASSWORD@HOST:PORT")
		}
	}
	if o.wait > 0 {
		if err := await(o.proxy, o.wait); err != nil {
			return err
		}
	}
	if o.proxy, err = through(o.proxy, c, client); err != nil {
		return err
	}
	narrow(c, client)
	files := filesOf(c.Settings)
	if o.mounted == "" { // else they are not for us to see
		if err := files.check(); err != nil {
			return err
		}
	}
	files = o.seen(files)
	vars := clientenv.Variables(files.params(c, o.proxy))
	return exit(exitUsage, clientenv.Write(cmd.OutOrStdout(), o.format, vars))
}

// await waits until the proxy serves: in a script, serve was put into the background
// a moment ago.
func await(proxy string, limit time.Duration) error {
	u, err := url.Parse(proxy)
	if err != nil {
		return exit(exitUsage, fmt.Errorf("--proxy: %w", err))
	}
	const pause = 20 * time.Millisecond
	for end := time.Now().Add(limit); ; time.Sleep(pause) {
		err := probe(u.Host, probeTime)
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("no keybearer serve is ready after %s: %w", limit, err)
		}
	}
}

// proxyURL is how a client on this machine reaches the listener.
func proxyURL(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", exit(exitConfig, fmt.Errorf("listen: %w", err))
	}
	if port == "0" {
		return "", exit(exitUsage, errors.New("the setting listen leaves the port open; give the address that serve printed with --proxy"))
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// check looks whether a serve with this configuration has written the files.
func (f clientFiles) check() error {
	for _, path := range []string{f.ca, f.bundle} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return exit(exitCA, fmt.Errorf("there is no %s in %s; start keybearer serve, or run keybearer ca init, "+
				"with the same configuration", filepath.Base(path), filepath.Dir(path)))
		}
	}
	return nil
}
