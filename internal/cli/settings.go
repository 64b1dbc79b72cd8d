package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"keybearer/internal/config"
	"keybearer/proxy"
)

// settings are the flags that say where the configuration is, and those that
// override a setting of it.
type settings struct {
	path  string
	flags *pflag.FlagSet
}

// register adds --config and the flags of the named settings.
func (s *settings) register(cmd *cobra.Command, names ...string) {
	s.flags = cmd.Flags()
	s.flags.StringVarP(&s.path, "config", "c", "", "read the configuration from `FILE`, - is stdin (default keybearer.yaml)")
	for _, name := range names {
		addSetting(s.flags, name)
	}
}

// addSetting adds the flag of one setting. config.Load reads it, and only if it
// was given; so the defaults here are empty, and the real ones are told.
func addSetting(flags *pflag.FlagSet, name string) {
	switch name {
	case "listen":
		flags.String(name, "", "listen on `ADDR` (default 127.0.0.1:3128)")
	case "unmatched-hosts":
		flags.String(name, "", "tunnel or deny: the `VERDICT` on hosts that no rule names")
	case "allow-private":
		flags.StringSlice(name, nil, "let clients reach the private network `CIDR`; repeatable")
	case "secrets-dir":
		flags.String(name, "", "read secrets from the files in `DIR`")
	case "env-file":
		flags.String(name, "", "read secrets from a dotenv `FILE`")
	case "ca-dir":
		flags.String(name, "", "keep the authority in `DIR`")
	case "client-dir":
		flags.String(name, "", "keep the certificates for clients in `DIR` (default from ca-dir)")
	case "upstream-ca":
		flags.String(name, "", "trust the PEM roots in `FILE` for upstreams too")
	case "upstream-proxy":
		flags.String(name, "", "reach upstreams through the proxy `URL`")
	case "upstream-no-proxy":
		flags.StringSlice(name, nil, "reach `HOST` without it; repeatable")
	case "drain":
		flags.String(name, "", "after SIGTERM let exchanges go on for `TIME` (default 30s)")
	case "admin":
		flags.String(name, "", "show live traffic, metrics and health on `ADDR`, or on unix:PATH")
	case "access-log":
		flags.String(name, "", "write a line per request to `FILE`, - is stdout (default: to the log)")
	case "log-format":
		flags.String(name, "", "log as `FORMAT`: auto, text or json")
	case "log-level":
		flags.String(name, "", "log from `LEVEL` on: debug, info, warn or error")
	default:
		panic("cli: no flag for the setting " + name)
	}
}

func (s *settings) load(stdin io.Reader, strict bool) (*config.Config, error) {
	c, err := config.Load(config.Options{Path: s.path, Stdin: stdin, Flags: s.flags, Strict: strict})
	return c, exit(exitConfig, err)
}

// resolve is curl's --resolve.
type resolve []string

func (r *resolve) register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar((*[]string)(r), "resolve", nil, "connect elsewhere: `TARGET` is HOST:PORT:ADDR[:PORT]; repeatable")
}

func (r resolve) overrides() ([]proxy.Override, error) {
	var overrides []proxy.Override
	for _, s := range r {
		o, err := proxy.ParseOverride(s)
		if err != nil {
			return nil, exit(exitUsage, fmt.Errorf("--resolve: %w", err))
		}
		overrides = append(overrides, o)
	}
	return overrides, nil
}
