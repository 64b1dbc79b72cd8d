package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"keybearer/internal/config"
	"keybearer/rules"
	"keybearer/secrets"
)

type checkOptions struct {
	settings
	strict bool
}

func newCheck() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and say what each rule does",
		Long: `Check the configuration without using the network: print all problems and
warnings at once, then in words what each rule does and where its secrets come
from. A secret that is not here is said to be missing, and is no error: it has to
be where keybearer runs.`,
		Example: `  keybearer check --config examples/several-apis.yaml
  keybearer check --strict`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.check(cmd) },
	}
	o.settings.register(cmd, "unmatched-hosts", "secrets-dir", "env-file")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "warnings are errors")
	return cmd
}

func (o *checkOptions) check(cmd *cobra.Command) error {
	c, err := o.load(cmd.InOrStdin(), o.strict)
	if err != nil {
		return err
	}
	store, warnings := o.places(c)
	for _, p := range c.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), p)
	}
	for _, w := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+w)
	}
	if o.strict && len(warnings) > 0 {
		return exit(exitConfig, errors.New("there are warnings, and --strict makes them errors"))
	}
	describe(cmd.OutOrStdout(), c, store)
	return nil
}

// places opens the places of the secrets. Where that fails it is a warning, and
// the store is nil.
func (o *checkOptions) places(c *config.Config) (*secrets.Store, []string) {
	store, err := sourcing{}.find(c)
	if err != nil {
		return nil, append(strings.Split(err.Error(), "\n"), certificateWarnings(c.Set)...)
	}
	return store, append(store.Warnings(c.References()), certificateWarnings(c.Set)...)
}

// describe says in words what a configuration does.
func describe(w io.Writer, c *config.Config, store *secrets.Store) {
	enabled := map[string]*rules.Rule{}
	for _, rule := range c.Set.Rules() {
		enabled[rule.Name] = rule
	}
	for _, written := range c.Policy.Rules {
		fmt.Fprintf(w, "rule %s", written.Name)
		if written.Description != "" {
			fmt.Fprintf(w, ": %s", written.Description)
		}
		fmt.Fprintln(w)
		if rule := enabled[written.Name]; rule != nil {
			describeRule(w, rule, store)
		} else {
			fmt.Fprintln(w, "  is not enabled")
		}
	}
	for _, rule := range c.Set.Rules()[len(c.Set.Rules())-len(c.Policy.Callbacks):] {
		fmt.Fprintf(w, "callback %s, for requests that no rule acts on\n", rule.Description)
		describeRule(w, rule, store)
	}
	if field, ok := c.Set.ClientAuth(); ok {
		fmt.Fprintln(w, "clients have to send the credentials of client_auth")
		for _, name := range field.References() {
			fmt.Fprintf(w, "  they hold the secret %s: %s\n", name, origin(store, name))
		}
	}
	clients, _ := c.Set.Clients()
	for _, client := range clients {
		describeClient(w, client, store)
	}
	if len(c.Policy.NoProxy) > 0 {
		fmt.Fprintf(w, "never decrypted: %s\n", strings.Join(c.Policy.NoProxy, ", "))
	}
	if a := c.Policy.AccessControl; a != nil && len(a.AllowList) > 0 {
		fmt.Fprintf(w, "reachable, and nothing else: %s\n", strings.Join(a.AllowList, ", "))
	} else if a != nil {
		fmt.Fprintf(w, "refused: %s\n", strings.Join(a.DenyList, ", "))
	}
	verb := "tunnelled untouched"
	if c.Settings.UnmatchedHosts == "deny" {
		verb = "refused"
	}
	fmt.Fprintf(w, "all other hosts: %s\n", verb)
	describeProxy(w, c.Settings.UpstreamProxy, store)
}

// describeClient says which rules a client has, and how it is known.
func describeClient(w io.Writer, c rules.Client, store *secrets.Store) {
	var names []string
	for _, rule := range c.Set.Rules() {
		names = append(names, rule.Name)
	}
	fmt.Fprintf(w, "client %s: %s\n", c.Name, orNone(names))
	for _, name := range c.Credentials.References() {
		fmt.Fprintf(w, "  sends the secret %s: %s\n", name, origin(store, name))
	}
	if len(c.Credentials.References()) == 0 {
		fmt.Fprintln(w, "  sends a token that stands in the configuration")
	}
}

func orNone(rules []string) string {
	switch len(rules) {
	case 0:
		return "no rule"
	case 1:
		return "rule " + rules[0]
	}
	return "rules " + strings.Join(rules, ", ")
}

// describeProxy says how upstreams are reached, unless that is as usual.
func describeProxy(w io.Writer, p *config.UpstreamProxy, store *secrets.Store) {
	if p == nil {
		return
	}
	fmt.Fprintf(w, "upstreams are reached through the proxy %s\n", p)
	for _, name := range p.References() {
		fmt.Fprintf(w, "  with the secret %s: %s\n", name, origin(store, name))
	}
	if p.Credentials() != nil && len(p.References()) == 0 {
		fmt.Fprintln(w, "  with credentials that stand in the configuration")
	}
	if len(p.NoProxy) > 0 {
		fmt.Fprintf(w, "  but directly: %s\n", strings.Join(p.NoProxy, ", "))
	}
}

func describeRule(w io.Writer, rule *rules.Rule, store *secrets.Store) {
	fmt.Fprintf(w, "  on %s requests to %s\n", orEvery(rule.Methods()), strings.Join(rule.Hosts(), ", "))
	if paths := rule.Paths(); len(paths) > 0 {
		fmt.Fprintf(w, "  whose path is %s\n", strings.Join(paths, " or "))
	}
	for _, condition := range rule.Headers() {
		fmt.Fprintf(w, "  that have the header %s\n", condition)
	}
	if rule.Plaintext() {
		fmt.Fprintln(w, "  over TLS and in plain HTTP")
	}
	for _, i := range rule.Injections {
		describeInjection(w, i, store)
	}
	describeSigning(w, rule.Signing, store)
	describeCertificate(w, rule)
	if len(rule.Remove) > 0 {
		fmt.Fprintf(w, "  removes %s\n", strings.Join(rule.Remove, ", "))
	}
}

func orEvery(methods []string) string {
	if len(methods) == 0 {
		return "all"
	}
	return strings.Join(methods, " and ")
}

// describeInjection names what is set and where its secrets come from, and never
// a value.
func describeInjection(w io.Writer, i rules.Injection, store *secrets.Store) {
	names := i.References()
	sets := "  " + condition(i) + "sets " + i.String()
	switch {
	case i.In == rules.InPlaceholder:
		fmt.Fprintf(w, "  puts the secret %s where a client sends %s: %s\n", i.Name, i.Placeholder, origin(store, i.Name))
		return
	case len(names) == 0 && i.Secret():
		fmt.Fprintf(w, "%s to a secret that stands in the configuration\n", sets)
	case len(names) == 0:
		fmt.Fprintf(w, "%s to a text that is not secret\n", sets)
	}
	for _, name := range names {
		if i.Name == "" {
			fmt.Fprintf(w, "  sets the headers of the answer of %s\n", origin(store, name))
			continue
		}
		fmt.Fprintf(w, "%s with the secret %s: %s\n", sets, name, origin(store, name))
	}
}

// describeSigning says what signatures are for, and where the keys come from.
func describeSigning(w io.Writer, s *rules.Signing, store *secrets.Store) {
	if s == nil {
		return
	}
	orClients := func(name, what string) string {
		if name == "" {
			return "the " + what + " that the client has signed for"
		}
		return "the " + what + " " + name
	}
	fmt.Fprintf(w, "  signs for AWS, for %s and %s\n", orClients(s.Region, "region"), orClients(s.Service, "service"))
	for _, key := range s.Keys() {
		for _, name := range key.References() {
			fmt.Fprintf(w, "  with the secret %s as %s: %s\n", name, key.Name, origin(store, name))
		}
		if len(key.References()) == 0 {
			fmt.Fprintf(w, "  with an %s that stands in the configuration\n", key.Name)
		}
	}
}

// condition is that of an injection, in words.
func condition(i rules.Injection) string {
	return [...]string{rules.Always: "", rules.IfAbsent: "where a client sends none ", rules.IfPresent: "where a client sends one "}[i.When]
}

// origin is where a secret comes from, and whether it can be used right now.
func origin(store *secrets.Store, name string) string {
	if store == nil {
		return "its place cannot be opened"
	}
	var problem *secrets.Error
	if errors.As(store.Check(name), &problem) {
		return problem.Source + ", which cannot be used: " + problem.Reason
	}
	return store.Describe(name)
}
