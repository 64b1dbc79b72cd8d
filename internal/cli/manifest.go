package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"keybearer/internal/config"
	"keybearer/internal/manifest"
	"keybearer/rules"
	"keybearer/secrets"
)

type manifestOptions struct {
	settings
	format, name, image, appImage string
	classicSidecar                bool
}

func newManifest() *cobra.Command {
	var o manifestOptions
	cmd := &cobra.Command{
		Use:   "manifest [flags] [-- ARG...]",
		Short: "Print manifests that put keybearer next to a container",
		Long: `Print what runs an app in a container with keybearer next to it, for Kubernetes
or docker compose. Secrets are not in it: they come from the places that the
configuration names, a Kubernetes Secret or the environment of docker compose. The
configuration goes along as it is in its file, without what KEYBEARER_ variables
set here. What follows -- are the arguments of the app.`,
		Example: `  keybearer manifest --app-image agent:1.0 | kubectl apply -f -
  keybearer manifest --format compose --app-image agent:1.0 -- --model small > compose.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
				return fmt.Errorf("what is %q? the arguments of the app come after --", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.print(cmd, args) },
	}
	o.settings.register(cmd, "upstream-ca")
	flags := cmd.Flags()
	flags.StringVarP(&o.format, "format", "f", "pod", "write `FORMAT`: "+strings.Join(manifest.Formats(), ", "))
	flags.StringVar(&o.name, "name", "app", "call the app `NAME`, and what belongs to it NAME-keybearer")
	flags.StringVar(&o.image, "image", "keybearer:latest", "the `IMAGE` of keybearer")
	flags.StringVar(&o.appImage, "app-image", "", "the `IMAGE` of the app (required)")
	flags.BoolVar(&o.classicSidecar, "classic-sidecar", false, "no native sidecar: for Kubernetes before 1.29, and podman")
	return cmd
}

func (o *manifestOptions) print(cmd *cobra.Command, args []string) error {
	if o.appImage == "" {
		return exit(exitUsage, errors.New("name the image of the app with --app-image IMAGE"))
	}
	var input bytes.Buffer
	c, err := o.load(io.TeeReader(cmd.InOrStdin(), &input), false)
	if err != nil {
		return err
	}
	p := manifest.Params{
		Name: o.name, Image: o.image, AppImage: o.appImage, AppArgs: args,
		Config: input.Bytes(), File: config.DefaultFile,
		Client:         mounted(manifest.ClientDir).seen(clientFiles{}).params(c, ""),
		ClassicSidecar: o.classicSidecar,
	}
	if c.File != "-" {
		p.File = filepath.Base(c.File)
		if p.Config, err = os.ReadFile(c.File); err != nil {
			return exit(exitConfig, err)
		}
	}
	if _, p.UpstreamCA, err = upstreamRoots(c.Settings.UpstreamCA); err != nil {
		return err
	}
	// Once more as a container will read it: without the variables that are set here,
	// and with paths as written, which are relative to another directory there.
	written, err := config.Load(config.Options{Path: "-", Stdin: bytes.NewReader(p.Config), Alone: true})
	if err != nil {
		return exit(exitConfig, err)
	}
	p.Ports, p.Networks = ports(written), written.Settings.AllowPrivate
	if p.Secrets, err = secretPlaces(written); err != nil {
		return exit(exitConfig, err)
	}
	return exit(exitUsage, manifest.Write(cmd.OutOrStdout(), o.format, p))
}

// secretPlaces are where keybearer in a container with this configuration looks
// for the secrets of the rules.
func secretPlaces(c *config.Config) ([]manifest.Secret, error) {
	literal := literalSecret(c)
	switch {
	case literal != "":
		return nil, fmt.Errorf("%s is a secret that stands in the configuration, which anybody who can read a ConfigMap would read; "+
			"write ${NAME} for it", literal)
	case c.Policy.ClientAuth != nil:
		return nil, errors.New("client_auth: a manifest would have to give the app its password; remove it: " +
			"nobody but the app reaches keybearer there")
	case c.Policy.Clients != nil:
		return nil, errors.New("clients: a manifest puts keybearer next to one app, and would have to give it a client's token; " +
			"remove clients and the rules of others: nobody but the app reaches keybearer there")
	case c.Settings.EnvFile != "":
		return nil, errors.New("env_file: a container has no such file; remove it, and the manifest " +
			"takes each secret from where the platform keeps secrets")
	}
	for _, rule := range c.Set.Rules() {
		if files, ok := certificateFiles(rule); ok {
			return nil, fmt.Errorf("rule %q: client_certificate: a container has no file %s, and the manifest does not put it there; "+
				"leave the rule out here, and add it and the files to the manifest by hand", rule.Name, files.Cert)
		}
	}
	var places []manifest.Secret
	for _, name := range c.References() {
		switch c.Secrets.Named[name].Fetch.(type) {
		case nil:
			places = append(places, secretPlace(name, c.Secrets))
		case secrets.Exec:
			return nil, fmt.Errorf("secrets.%s: a container has no such command; take the secret from where the platform keeps secrets", name)
		}
	}
	return places, nil
}

// literalSecret names a secret whose value is written in the configuration, "" if
// there is none.
func literalSecret(c *config.Config) string {
	literal := func(i *rules.Injection) bool { return i != nil && i.Secret() && len(i.References()) == 0 }
	for _, rule := range c.Set.Rules() {
		for _, i := range rule.Injections {
			if literal(&i) {
				return fmt.Sprintf("rule %q: %s", rule.Name, i)
			}
		}
	}
	if len(c.Literals) > 0 {
		return c.Literals[0]
	}
	if via := c.Settings.UpstreamProxy; via != nil && literal(via.Credentials()) {
		return "upstream_proxy: the password"
	}
	return ""
}

// secretPlace follows the order in which secrets are looked up.
func secretPlace(name string, sources secrets.Sources) manifest.Secret {
	named, ok := sources.Named[name]
	switch {
	case ok:
		return manifest.Secret{Name: name, Env: named.Env, File: named.File}
	case sources.Dir != "":
		return manifest.Secret{Name: name, File: sources.Dir + "/" + name}
	}
	return manifest.Secret{Name: name, Env: name}
}

// ports are those that upstreams listen on, as the configuration names them; nil is
// every port.
func ports(c *config.Config) []int {
	found := map[int]bool{443: true, 80: c.Settings.UnmatchedHosts == "tunnel"}
	if via := c.Settings.UpstreamProxy; via != nil {
		found[int(via.Address.Port())] = true
	}
	patterns := slices.Clone(c.Policy.NoProxy)
	for _, rule := range c.Set.Rules() {
		patterns = append(patterns, rule.Hosts()...)
		if rule.Plaintext() {
			found[80] = true
		}
	}
	for _, name := range c.References() {
		asks, ok := c.Secrets.Named[name].Fetch.(interface{ Server() string })
		if !ok {
			continue
		}
		if u, err := url.Parse(asks.Server()); err == nil {
			patterns = append(patterns, u.Host)
		}
	}
	for _, pattern := range patterns {
		_, port, err := net.SplitHostPort(pattern)
		if err != nil {
			continue // without a port, that is 443
		}
		n, err := strconv.Atoi(port)
		if err != nil { // :*
			return nil
		}
		found[n] = true
	}
	maps.DeleteFunc(found, func(_ int, wanted bool) bool { return !wanted })
	return slices.Sorted(maps.Keys(found))
}
