package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"keybearer/certs"
	"keybearer/internal/config"
)

type caOptions struct {
	settings
	mounted
	constrain bool
}

func newCA() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Manage the authority that clients of serve trust",
		Long: `Manage the authority of keybearer serve. It lives in the directory ca_dir; the
key of its root is gone once it has signed, the key in signer.pem signs leaves.`,
		Example: `  keybearer ca init --constrain
  curl --cacert "$(keybearer ca path)" --proxy http://127.0.0.1:3128 https://api.openai.com/`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCAInit(), newCAPath(), newCAExport(), newCABundle(), newCAImport())
	return cmd
}

func newCAInit() *cobra.Command {
	var o caOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Create an authority",
		Long: `Create an authority in ca_dir and print the path of its certificate. Keybearer
serve does the same when there is none, always unconstrained. Nothing is ever
overwritten.`,
		Example: `  keybearer ca init
  keybearer ca init --constrain --config examples/openai.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.create(cmd) },
	}
	o.settings.register(cmd, "ca-dir", "client-dir", "upstream-ca")
	o.mounted.register(cmd)
	cmd.Flags().BoolVar(&o.constrain, "constrain", false,
		"let clients refuse it for hosts that the rules do not name today")
	return cmd
}

func (o *caOptions) create(cmd *cobra.Command) error {
	c, err := o.loadAny(cmd)
	if err != nil {
		return err
	}
	var constraints *certs.Constraints
	if o.constrain {
		if constraints, err = constraintsOf(c); err != nil {
			return exit(exitCA, err)
		}
	}
	if c.Settings.CADir == "" {
		return exit(exitCA, errNoCADir)
	}
	a, err := certs.Create(c.Settings.CADir, constraints)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%w; keep it, or move its directory away to start anew", err)
	}
	if err != nil {
		return exit(exitCA, err)
	}
	_, rootsPEM, err := upstreamRoots(c.Settings.UpstreamCA)
	if err != nil {
		return err
	}
	files := filesOf(c.Settings)
	if err := files.write(a, rootsPEM, o.seen(files)); err != nil {
		return exit(exitCA, err)
	}
	fmt.Fprintln(cmd.OutOrStdout(), files.ca)
	return nil
}

// constraintsOf are the hosts of the rules.
func constraintsOf(c *config.Config) (*certs.Constraints, error) {
	dns, ips, ok := c.Set.Bases()
	switch {
	case !ok:
		return nil, errors.New("a rule has a host pattern without a literal suffix, as in *, which no name constraint can express; " +
			"narrow the pattern, or leave out --constrain")
	case len(dns)+len(ips) == 0:
		return nil, errors.New("no rule names a host to constrain the authority to; write the rules first, or leave out --constrain")
	}
	return &certs.Constraints{DNS: dns, IPs: ips}, nil
}

func newCAPath() *cobra.Command {
	return newCAPrinter("path", "Print the path of the CA certificate",
		`  curl --cacert "$(keybearer ca path)" --proxy http://127.0.0.1:3128 https://api.openai.com/`,
		func(c *config.Config, _ *certs.Authority) ([]byte, error) {
			return []byte(filesIn(c.Settings.CADir).ca + "\n"), nil
		})
}

func newCAExport() *cobra.Command {
	return newCAPrinter("export", "Print the CA certificate",
		"  keybearer ca export | sudo tee /usr/local/share/ca-certificates/keybearer.crt",
		func(_ *config.Config, a *certs.Authority) ([]byte, error) { return a.PEM(), nil })
}

func newCABundle() *cobra.Command {
	return newCAPrinter("bundle", "Print the system's roots, upstream_ca and the CA in one",
		"  keybearer ca bundle > bundle.pem && SSL_CERT_FILE=$PWD/bundle.pem python agent.py",
		func(c *config.Config, a *certs.Authority) ([]byte, error) {
			_, rootsPEM, err := upstreamRoots(c.Settings.UpstreamCA)
			if err != nil {
				return nil, err
			}
			return bundle(a, rootsPEM)
		})
}

// newCAPrinter is a command that prints something of the authority. Like serve it
// creates one if there is none, so that a container can hand out certificates
// before it serves.
func newCAPrinter(name, short, example string, text func(*config.Config, *certs.Authority) ([]byte, error)) *cobra.Command {
	var o caOptions
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Long: short + `. If there is no authority yet, it is created; and if
there is a client_dir, the certificates for clients are written to it.`,
		Example: example,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.loadAny(cmd)
			if err != nil {
				return err
			}
			a, err := loadAuthority(c.Settings.CADir)
			if err != nil {
				return err
			}
			if err := o.hand(c, a); err != nil {
				return err
			}
			out, err := text(c, a)
			if err != nil {
				return exit(exitCA, err)
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
	o.settings.register(cmd, "ca-dir", "client-dir", "upstream-ca")
	return cmd
}

// hand writes the files for clients, if they have a directory.
func (o *caOptions) hand(c *config.Config, a *certs.Authority) error {
	if c.Settings.ClientDir == "" {
		return nil
	}
	_, rootsPEM, err := upstreamRoots(c.Settings.UpstreamCA)
	if err != nil {
		return err
	}
	files := filesOf(c.Settings)
	return clientDirError(files.write(a, rootsPEM, o.seen(files)))
}

// clientDirError is an error of clientFiles.write, nil if err is.
func clientDirError(err error) error {
	if err == nil {
		return nil
	}
	return exit(exitCA, fmt.Errorf("client_dir: %w; name a directory that keybearer can write to", err))
}

// loadAny loads the configuration, or the defaults if there is none: an authority
// can come before the first rule.
func (o *caOptions) loadAny(cmd *cobra.Command) (*config.Config, error) {
	if o.path == "" && os.Getenv("KEYBEARER_CONFIG") == "" && !o.constrain {
		if _, err := os.Stat(config.DefaultFile); errors.Is(err, fs.ErrNotExist) {
			defaults := settings{path: "-", flags: o.flags}
			return defaults.load(strings.NewReader("rules: []\n"), false)
		}
	}
	return o.load(cmd.InOrStdin(), false)
}
