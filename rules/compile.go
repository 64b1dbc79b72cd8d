package rules

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpguts"
)

// Compile checks and compiles a policy. unmatched is the verdict on hosts that
// no rule names, Deny or Tunnel. All problems are returned at once; their paths
// are those of the keys (rules[1].match_hosts[0],
// rules[0].inject_headers.Authorization). The Set is nil if and only if one of
// them is not a warning. It keeps parts of c, which must not be changed any more.
func Compile(c Config, unmatched Verdict) (*Set, []Problem) {
	k := &compiler{known: make(knownPlaceholders)}
	s := &Set{unmatched: unmatched}
	if unmatched != Deny && unmatched != Tunnel {
		k.errorf("unmatched_hosts", "%q is not a verdict for unmatched hosts; use deny or tunnel", unmatched)
	}
	k.rules(s, c)
	k.lists(s, c)
	if c.ClientAuth != nil {
		i := k.basicAuth("client_auth", c.ClientAuth)
		i.Name = "Proxy-Authorization"
		s.clientAuth = &i
	}
	k.clients(s, c)
	if !k.failed() {
		k.lint(s)
	}
	if k.failed() {
		return nil, k.problems
	}
	return s, k.problems
}

// A compiler collects problems.
type compiler struct {
	problems []Problem
	known    knownPlaceholders
}

func (c *compiler) errorf(at, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: at, Message: fmt.Sprintf(format, args...)})
}

func (c *compiler) warnf(at, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: at, Message: fmt.Sprintf(format, args...), Warning: true})
}

func (c *compiler) check(at string, err error) {
	if err != nil {
		c.errorf(at, "%v", err)
	}
}

func (c *compiler) failed() bool {
	return slices.ContainsFunc(c.problems, func(p Problem) bool { return !p.Warning })
}

func (c *compiler) rules(s *Set, config Config) {
	var patterns []hostPattern
	names := map[string]int{}
	add := func(r *Rule, at string) {
		r.at, r.order = at, len(s.all)
		s.all = append(s.all, r)
		if !r.enabled {
			return
		}
		s.enabled = append(s.enabled, r)
		for n := range r.hosts {
			r.hosts[n].order, r.hosts[n].rule, r.hosts[n].reason = r.order, r, "rule "+r.Name
		}
		patterns = append(patterns, r.hosts...)
	}
	for i := range config.Rules {
		at := fmt.Sprintf("rules[%d]", i)
		c.name(at, config.Rules[i].Name, i, names)
		add(c.rule(at, &config.Rules[i]), at)
	}
	for i := range config.Callbacks { // behind the rules: the first that matches acts
		at := fmt.Sprintf("callbacks[%d]", i)
		if n, taken := names[at]; taken {
			c.errorf(fmt.Sprintf("rules[%d].name", n), "%q is what clients and logs call a callback; choose another", at)
		}
		add(c.callback(at, i, &config.Callbacks[i]), at)
	}
	s.hosts = newIndex(patterns)
}

// callback compiles a callback to a rule whose headers are the answer's. Its server is
// told the host, and decides which credentials are for it: so a pattern may be broad.
func (c *compiler) callback(at string, i int, w *CallbackConfig) *Rule {
	written := RuleConfig{Name: at, MatchHosts: w.MatchHosts}
	server, _, _ := strings.Cut(w.URL, "?") // as anywhere: a query may hold a key
	if w.FullRequest {
		server += " (shown each request)"
	}
	return &Rule{
		Name: at, Description: server, Injections: []Injection{{answer: AnswerName(i)}},
		enabled: true, callback: true, written: written, hosts: c.hosts(at, &written, false),
	}
}

func (c *compiler) name(at, name string, i int, seen map[string]int) {
	first, again := seen[name]
	switch {
	case strings.TrimSpace(name) == "":
		c.errorf(at+".name", "is missing; every rule has a name, which logs use")
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		c.errorf(at+".name", "%q holds a character that can not be printed", name)
	case again:
		c.errorf(at+".name", "%q is the name of rules[%d] already", name, first)
	default:
		seen[name] = i
	}
}

// rule compiles one rule. What is wrong with it is reported; what is right with
// it is in the result.
func (c *compiler) rule(at string, written *RuleConfig) *Rule {
	c.envVars(at, written.EnvVars)
	w := new(*written)
	signing := c.signing(at, w)
	r := &Rule{
		Name: w.Name, Description: w.Description, EnvVars: w.EnvVars, Signing: signing,
		enabled: w.Enabled == nil || *w.Enabled, plaintext: w.AllowPlaintext, written: *w,
	}
	r.Injections = c.injections(at, w)
	c.certificate(at, w)
	r.Remove = c.removals(at, w, r)
	r.hosts = c.hosts(at, w, r.carriesSecret())
	for n, text := range w.MatchPaths {
		here := fmt.Sprintf("%s.match_paths[%d]", at, n)
		patterns, err := parsePathPattern(text)
		if err != nil {
			c.errorf(here, "%q: %v", text, err)
		}
		r.paths = append(r.paths, patterns...)
		c.lintPath(here, text)
	}
	for n, method := range w.MatchMethods {
		if err := checkMethod(method); err != nil {
			c.errorf(fmt.Sprintf("%s.match_methods[%d]", at, n), "%q: %v", method, err)
		}
	}
	for n, text := range w.MatchHeaders {
		h, err := parseHeaderField(text)
		if err != nil {
			c.errorf(fmt.Sprintf("%s.match_headers[%d]", at, n), "%q: %v", text, err)
		}
		r.headers = append(r.headers, h)
	}
	switch w.ScrubResponses {
	case "", "text":
	case "all":
		r.Scrub = ScrubAll
	case "off":
		r.Scrub = ScrubOff
	default:
		c.errorf(at+".scrub_responses", "%q is not one of text, all, off", w.ScrubResponses)
	}
	return r
}

// hosts compiles match_hosts and checks what depends on how wide a pattern is.
func (c *compiler) hosts(at string, w *RuleConfig, secret bool) []hostPattern {
	if len(w.MatchHosts) == 0 {
		c.errorf(at+".match_hosts", "is missing; name at least one host")
	}
	var out []hostPattern
	for n, text := range w.MatchHosts {
		here := fmt.Sprintf("%s.match_hosts[%d]", at, n)
		patterns, err := parseHostPattern(text)
		if strings.Contains(text, "/") {
			err = errors.New("a host has no scheme, no path and no CIDR range; write api.example.com")
		}
		if err != nil {
			c.errorf(here, "%q: %v", text, err)
			continue
		}
		if secret && !w.AllowBroadHosts && slices.ContainsFunc(patterns, func(p hostPattern) bool { return p.broad }) {
			c.errorf(here, "%q matches hosts of strangers, who would get the secret; name the hosts, or say allow_broad_hosts: true", text)
		}
		if w.AllowPlaintext && slices.ContainsFunc(patterns, func(p hostPattern) bool { return p.host == "" }) {
			c.errorf(here, "%q: allow_plaintext needs exact hosts; name them, or take allow_plaintext out", text)
		}
		out = append(out, patterns...)
	}
	if w.AllowPlaintext {
		c.warnf(at+".allow_plaintext", "injects into plain HTTP, where everybody on the way can read it; use https")
	}
	return out
}

func (c *compiler) removals(at string, w *RuleConfig, r *Rule) []string {
	for _, i := range r.Injections {
		if i.In == InHeader {
			c.check(at, r.Signing.checkAWSField(i.Name))
		}
	}
	for n, name := range w.RemoveHeaders {
		here := fmt.Sprintf("%s.remove_headers[%d]", at, n)
		c.check(here, checkFieldName(name))
		c.check(here, r.Signing.checkAWSField(name))
		same := func(i Injection) bool { return i.In == InHeader && fieldKey(i.Name) == fieldKey(name) }
		if slices.ContainsFunc(r.Injections, same) {
			c.errorf(here, "%s is injected by this rule, which replaces what the client sent; take it out here", name)
		}
	}
	return slices.Clone(w.RemoveHeaders)
}

func checkMethod(method string) error {
	switch upper := strings.ToUpper(method); {
	case !httpguts.ValidHeaderFieldName(method): // both are tokens
		return errors.New("not a method")
	case method != upper && slices.Contains(usualMethods, upper):
		return fmt.Errorf("case matters in methods; write %s", upper)
	case slices.Contains([]string{"CONNECT", "TRACE", "TRACK", "PRI"}, upper):
		return errors.New("requests with this method are never forwarded")
	}
	return nil
}

var usualMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// parseHeaderField reads "name: value".
func parseHeaderField(text string) (headerField, error) {
	name, value, ok := strings.Cut(text, ":")
	value = strings.Trim(value, " \t")
	switch {
	case !ok:
		return headerField{}, errors.New(`write "name: value"`)
	case !httpguts.ValidHeaderFieldName(name):
		return headerField{}, fmt.Errorf("%q is not a header name (RFC 9110 5.6.2)", name)
	case !httpguts.ValidHeaderFieldValue(value):
		return headerField{}, errors.New("the value holds a control character, which no header can have")
	}
	return headerField{name, value}, nil
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (c *compiler) envVars(at string, vars map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		here := at + ".env_vars." + name
		switch {
		case !envName.MatchString(name):
			c.errorf(here, "%q is not a name for an environment variable", name)
		case strings.Contains(vars[name], "\x00"):
			c.errorf(here, "the value holds a NUL byte, which no environment variable can have")
		case looksLikeKey(vars[name]):
			c.warnf(here, "looks like a real key, and the client sees it; a placeholder is enough")
		}
	}
}

// lists compiles no_proxy and access_control.
func (c *compiler) lists(s *Set, config Config) {
	s.noProxy = c.list("no_proxy", "no_proxy ", config.NoProxy, noProxyEntry)
	a := config.AccessControl
	if a == nil {
		return
	}
	if (len(a.AllowList) > 0) == (len(a.DenyList) > 0) {
		c.errorf("access_control", "needs exactly one of allow_list and deny_list, with at least one entry")
	}
	s.allow = len(a.AllowList) > 0
	if s.allow {
		s.access = c.list("access_control.allow_list", "access_control.allow_list ", a.AllowList, accessEntry)
	} else {
		s.access = c.list("access_control.deny_list", "access_control.deny_list ", a.DenyList, accessEntry)
	}
}

func (c *compiler) list(at, reason string, entries []string, parse func(string) ([]hostPattern, error)) *index {
	var out []hostPattern
	for n, text := range entries {
		here := fmt.Sprintf("%s[%d]", at, n)
		patterns, err := parse(text)
		if err != nil {
			c.errorf(here, "%q: %v", text, err)
			continue
		}
		for _, p := range patterns {
			p.order, p.reason = n, reason+text
			out = append(out, p)
		}
		c.lintEntry(here, text)
	}
	return newIndex(out)
}
