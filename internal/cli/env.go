package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"keybearer/internal/clientenv"
	"keybearer/internal/config"
)

type envOptions struct {
	settings
	format, proxy string
}

func newEnv() *cobra.Command {
	var o envOptions
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the variables that a client of a running proxy needs",
		Long: `Print the environment variables that make a program use the keybearer serve of
this configuration and trust its CA: proxy addresses, CA bundles for the common
languages and tools, and the env_vars of the rules.`,
		Example: `  eval "$(keybearer env)"
  keybearer env --format fish | source
  keybearer env --format github >> "$GITHUB_ENV"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.print(cmd) },
	}
	o.settings.register(cmd, "listen", "ca-dir")
	cmd.Flags().StringVarP(&o.format, "format", "f", "sh", "write `FORMAT`: "+strings.Join(clientenv.Formats(), ", "))
	cmd.Flags().StringVar(&o.proxy, "proxy", "", "the `URL` of the proxy (default from the setting listen)")
	return cmd
}

func (o *envOptions) print(cmd *cobra.Command) error {
	c, err := o.load(cmd.InOrStdin(), false)
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
	files, err := running(c)
	if err != nil {
		return err
	}
	vars := clientenv.Variables(files.params(c, o.proxy))
	return exit(exitUsage, clientenv.Write(cmd.OutOrStdout(), o.format, vars))
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

// running returns the files of a serve with this configuration.
func running(c *config.Config) (clientFiles, error) {
	files := filesIn(c.Settings.CADir)
	for _, path := range []string{files.ca, files.bundle} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return files, exit(exitCA, fmt.Errorf("there is no %s in %s; start keybearer serve, or run keybearer ca init, "+
				"with the same configuration", filepath.Base(path), filepath.Dir(path)))
		}
	}
	return files, nil
}
