package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"keybearer/internal/telemetry"
	"keybearer/rules"
)

type explainOptions struct {
	settings
	resolve
	account
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
each secret comes from. The request is taken as it is given, with the query of the
URL: a header that -H does not name is not there, a signature neither.`,
		Example: `  keybearer explain https://api.openai.com/v1/models
  keybearer explain --client team-a https://api.openai.com/v1/models
  keybearer explain -X POST -H 'x-team: blue' https://github.com/o/r.git/git-upload-pack
  keybearer explain 'https://bucket.example.com/key?X-Amz-Credential=...&X-Amz-Signature=...'`,
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
	o.account.register(cmd)
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
	client, err := o.of(c)
	if err != nil {
		return err
	}
	store, err := sourcing{}.find(c)
	if err != nil {
		return err
	}
	address, _ := o.address(request.Target)
	e := explainer{config: c, set: client.Set, store: store, via: upstreamProxy(c, store)}
	printExplanation(cmd.OutOrStdout(), e.explain(request.Request, address, request.head()))
	return nil
}

// request is one as a client would send it.
type request struct {
	rules.Request
	query  string // as sent, with the ? before it; "" if there is none
	fields fields
}

// head is that of HTTP/1.1.
func (r request) head() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%s HTTP/1.1\r\n", r.Method, r.Path, r.query)
	for _, f := range r.fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	return b.String() + "\r\n"
}

// request reads the URL as a client would send it: path and query are not cleaned.
func (o *explainOptions) request(url string) (request, error) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || strings.ContainsAny(scheme, "/?#") { // an address may be in the query
		scheme, rest = "https", url
	}
	r := request{Request: rules.Request{Method: o.method, Path: "/"}}
	port := uint16(443)
	switch strings.ToLower(scheme) {
	case "https":
	case "http":
		r.Plaintext, port = true, 80
	default:
		return r, fmt.Errorf("%q is not a scheme that goes through a proxy like this; use https or http", scheme)
	}
	rest, _, _ = strings.Cut(rest, "#")
	if at := strings.IndexByte(rest, '?'); at >= 0 {
		rest, r.query = rest[:at], rest[at:]
	}
	authority, path, ok := strings.Cut(rest, "/")
	if ok {
		r.Path = "/" + path
	}
	if strings.ContainsFunc(r.Path+r.query, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return r, errors.New("path or query hold characters that a client sends percent-encoded; write them so")
	}
	var err error
	if r.Target, err = rules.ParseTarget(authority, port); err != nil {
		return r, fmt.Errorf("the host of the URL is not valid: %w", err)
	}
	r.fields, err = parseFields(o.headers)
	r.Header = r.fields
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

// printExplanation prints an explanation, line by line.
func printExplanation(w io.Writer, e telemetry.Explanation) {
	line := func(word, format string, args ...any) {
		fmt.Fprintf(w, "%-11s "+format+"\n", append([]any{word}, args...)...)
	}
	if e.Address != "" {
		line("address", "%s, from --resolve", e.Address)
	}
	line("target", "%s", e.Target)
	line("verdict", "%s: %s", e.Verdict, e.Reason)
	if e.Upstream != "" {
		line("upstream", "through the proxy %s", e.Upstream)
	}
	for _, a := range e.Rules {
		line("rule", "%-3s %s: %s", map[bool]string{true: "yes", false: "no"}[a.Matched], a.Rule, a.Why)
	}
	for _, name := range e.Sets {
		line("sets", "%s", name)
	}
	for _, name := range e.Leaves {
		line("leaves out", "%s", name)
	}
	for _, name := range e.Removes {
		line("removes", "%s", name)
	}
	for _, s := range e.Secrets {
		line("secret", "%s: %s", s.Name, s.Source)
	}
	line("result", "%s", e.Result)
}
