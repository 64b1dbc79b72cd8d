package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"keybearer/internal/config"
	"keybearer/proxy"
	"keybearer/rules"
	"keybearer/secrets"
)

type explainOptions struct {
	settings
	resolve
	method  string
	headers []string
}

func newExplain() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain [flags] URL",
		Short: "Say what would happen to a request, and why",
		Long: `Say what keybearer would do with a request, without sending it: the verdict, rule
by rule why it acts or not, the names of the headers that would be set, and where
each secret comes from.`,
		Example: `  keybearer explain https://api.openai.com/v1/models
  keybearer explain -X POST -H 'x-team: blue' https://github.com/o/r.git/git-upload-pack`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("explain needs one URL, as in keybearer explain https://api.openai.com/v1/models")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.explain(cmd, args[0]) },
	}
	o.settings.register(cmd, "unmatched-hosts", "secrets-dir", "env-file")
	o.resolve.register(cmd)
	cmd.Flags().StringVarP(&o.method, "request", "X", "GET", "the `METHOD` of the request")
	cmd.Flags().StringArrayVarP(&o.headers, "header", "H", nil, "a `HEADER` of the request, name: value; repeatable")
	return cmd
}

func (o *explainOptions) explain(cmd *cobra.Command, url string) error {
	request, err := o.request(url)
	if err != nil {
		return exit(exitUsage, err)
	}
	if _, err := o.overrides(); err != nil {
		return err
	}
	c, err := o.load(cmd.InOrStdin(), false)
	if err != nil {
		return err
	}
	store, err := sourcing{}.find(c)
	if err != nil {
		return err
	}
	e := explanation{w: cmd.OutOrStdout(), config: c, store: store, via: upstreamProxy(c, store)}
	address, overridden := o.address(request.Target)
	if overridden {
		fmt.Fprintf(e.w, "address     %s, from --resolve\n", address)
	}
	e.print(request, overridden)
	return nil
}

// request reads the URL as a client would send it: the path is not cleaned.
func (o *explainOptions) request(url string) (rules.Request, error) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		scheme, rest = "https", url
	}
	r := rules.Request{Method: o.method, Path: "/"}
	port := uint16(443)
	switch strings.ToLower(scheme) {
	case "https":
	case "http":
		r.Plaintext, port = true, 80
	default:
		return r, fmt.Errorf("%q is not a scheme that goes through a proxy like this; use https or http", scheme)
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, _ = strings.Cut(rest, "?")
	authority, path, ok := strings.Cut(rest, "/")
	if ok {
		r.Path = "/" + path
	}
	if strings.ContainsFunc(r.Path, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return r, errors.New("the path holds characters that a client sends percent-encoded; write them so")
	}
	var err error
	if r.Target, err = rules.ParseTarget(authority, port); err != nil {
		return r, fmt.Errorf("the host of the URL is not valid: %w", err)
	}
	r.Header, err = parseFields(o.headers)
	return r, err
}

// address is where --resolve sends connections to t.
func (r resolve) address(t rules.Target) (string, bool) {
	for _, s := range r {
		if address, ok := strings.CutPrefix(strings.ToLower(s), t.String()+":"); ok {
			return address, true
		}
	}
	return "", false
}

// fields are the headers of the request in question.
type fields []struct{ name, value string }

func parseFields(lines []string) (fields, error) {
	var list fields
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("-H %q is not name: value", line)
		}
		list = append(list, struct{ name, value string }{name, strings.Trim(value, " \t")})
	}
	return list, nil
}

// HasField implements rules.HeaderMatcher.
func (f fields) HasField(name, value string) bool {
	for _, field := range f {
		if strings.EqualFold(field.name, name) && field.value == value {
			return true
		}
	}
	return false
}

// explanation is what explain prints, line by line. It asks the functions that
// the proxy asks.
type explanation struct {
	w      io.Writer
	config *config.Config
	store  *secrets.Store
	via    *proxy.UpstreamProxy
}

// print explains r. The address of a name is known only when it is dialled, unless
// --resolve gives it.
func (e *explanation) print(r rules.Request, overridden bool) {
	decide := e.config.Set.Decide
	if r.Plaintext {
		decide = e.config.Set.DecidePlaintext
	}
	d := decide(r.Target)
	fmt.Fprintf(e.w, "target      %s\n", r.Target)
	fmt.Fprintf(e.w, "verdict     %s: %s\n", d.Verdict, d.Reason)
	if ip := r.Target.Addr(); d.Verdict != rules.Deny && ip.IsValid() && !overridden && !proxy.MayDial(ip, d.Named, e.config.Settings.AllowPrivate) {
		fmt.Fprintln(e.w, "result      403 destination_ip_prohibited, and nothing is sent upstream: the address has a special purpose; see allow_private")
		return
	}
	if d.Verdict != rules.Deny && !overridden && e.via.Serves(r.Target) {
		fmt.Fprintf(e.w, "upstream    through the proxy %s\n", e.config.Settings.UpstreamProxy)
	}
	if d.Verdict != rules.Intercept {
		fmt.Fprintf(e.w, "result      %s\n", unmatched(d.Verdict, r.Plaintext))
		return
	}
	match, steps := e.config.Set.Explain(r)
	for _, s := range steps {
		answer := "no "
		if s.Matched {
			answer = "yes"
		}
		fmt.Fprintf(e.w, "rule        %s %s: %s\n", answer, s.Rule, s.Why)
	}
	e.result(match)
}

func unmatched(v rules.Verdict, plaintext bool) string {
	switch {
	case v == rules.Deny:
		return "403, and nothing is sent upstream"
	case plaintext:
		return "forwarded as it is, nothing injected"
	}
	return "tunnelled: relayed byte for byte, never decrypted"
}

func (e *explanation) result(match rules.Match) {
	switch match.Outcome {
	case rules.AmbiguousPath:
		fmt.Fprintln(e.w, "result      403 ambiguous_path, and nothing is sent upstream")
	case rules.PlaintextNotInjected:
		fmt.Fprintln(e.w, "result      forwarded without credentials: plaintext_not_injected")
	case rules.NoRule:
		fmt.Fprintln(e.w, "result      forwarded as it is, nothing injected")
	case rules.Matched:
		e.matched(match.Rule)
	}
}

func (e *explanation) matched(rule *rules.Rule) {
	usable := true
	for _, i := range rule.Injections {
		if i.Name == "" {
			fmt.Fprintf(e.w, "sets        what %s answers with\n", rule.Description)
			continue
		}
		fmt.Fprintf(e.w, "sets        %s\n", i.Name)
	}
	for _, name := range rule.Remove {
		fmt.Fprintf(e.w, "removes     %s\n", name)
	}
	for _, name := range rule.References() {
		fmt.Fprintf(e.w, "secret      %s: %s\n", name, origin(e.store, name))
		usable = usable && e.store.Check(name) == nil
	}
	if !usable {
		fmt.Fprintln(e.w, "result      502: a secret is missing, and nothing is sent upstream")
		return
	}
	fmt.Fprintf(e.w, "result      forwarded with the headers of rule %s\n", rule.Name)
}
