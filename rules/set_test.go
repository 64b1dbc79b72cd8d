package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func compile(t testing.TB, c Config, unmatched Verdict) *Set {
	t.Helper()
	s, problems := Compile(c, unmatched)
	if s == nil {
		t.Fatal(problems)
	}
	return s
}

// fields is a header.
type fields map[string]string

func (f fields) HasField(name, value string) bool {
	for n, v := range f {
		if strings.EqualFold(n, name) && v == value {
			return true
		}
	}
	return false
}

func TestVerdict(t *testing.T) {
	var zero Verdict
	if got := fmt.Sprint(zero, Tunnel, Intercept, Verdict(9)); got != "deny tunnel intercept deny" {
		t.Error(got)
	}
	if d := new(Set).Decide(target(t, "a.com")); d.Verdict != Deny {
		t.Errorf("the zero Set decides %v", d)
	}
	if m := new(Set).Match(Request{Target: target(t, "a.com")}); m != (Match{}) {
		t.Errorf("the zero Set matches %v", m)
	}
	s := compile(t, Config{Rules: []RuleConfig{{Name: "all", MatchHosts: []string{"*:*"}}}}, Tunnel)
	if d := s.Decide(Target{}); d.Verdict != Deny || d.Named {
		t.Errorf("the zero Target: %v", d)
	}
}

func TestDecide(t *testing.T) {
	policy := Config{
		Rules: []RuleConfig{
			with(rule("off", "off.example.com"), func(r *RuleConfig) { r.Enabled = off() }),
			rule("api", "api.example.com"),
			rule("wild", "*.example.com", "*.example.com:8443"),
			with(rule("late", "late.example.com"), func(r *RuleConfig) { r.AllowPlaintext = true }),
			with(rule("plain", "plain.example.org"), func(r *RuleConfig) { r.AllowPlaintext = true }),
			rule("any-port", "any.example.org:*"),
			rule("local", "localhost:9443", "10.0.0.1", "[::1]:9443"),
			with(rule("broad", "*.com"), func(r *RuleConfig) { r.AllowBroadHosts = true }),
		},
		NoProxy: []string{"stripe.com", ".corp", "10.1.0.0/16", "both.example.com", "net"},
	}
	tunnel, deny := compile(t, policy, Tunnel), compile(t, policy, Deny)
	for _, tt := range []struct {
		target string
		want   Decision
	}{
		{"api.example.com:443", Decision{Intercept, "rule api", true}},
		{"www.example.com:443", Decision{Intercept, "rule wild", true}},
		{"late.example.com:443", Decision{Intercept, "rule wild", true}},
		{"off.example.com:443", Decision{Intercept, "rule wild", true}},
		{"api.example.com:8443", Decision{Intercept, "rule wild", true}},
		{"example.com:443", Decision{Intercept, "rule broad", false}},
		{"evilexample.com:443", Decision{Intercept, "rule broad", false}},
		{"plain.example.org:443", Decision{Intercept, "rule plain", true}},
		{"any.example.org:22", Decision{Intercept, "rule any-port", true}},
		{"localhost:9443", Decision{Intercept, "rule local", true}},
		{"[::1]:9443", Decision{Intercept, "rule local", true}},
		{"10.0.0.1:443", Decision{Intercept, "rule local", true}},
		// no_proxy wins over rules and names hosts, subdomains included.
		{"both.example.com:443", Decision{Tunnel, "no_proxy both.example.com", true}},
		{"stripe.com:443", Decision{Tunnel, "no_proxy stripe.com", true}},
		{"api.stripe.com:22", Decision{Tunnel, "no_proxy stripe.com", true}},
		{"a.corp:443", Decision{Tunnel, "no_proxy .corp", true}},
		{"10.1.2.3:443", Decision{Tunnel, "no_proxy 10.1.0.0/16", true}},
		{"a.net:443", Decision{Tunnel, "no_proxy net", false}},
	} {
		t.Run(tt.target, func(t *testing.T) {
			for _, s := range []*Set{tunnel, deny} {
				if got := s.Decide(target(t, tt.target)); got != tt.want {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
			}
		})
	}
	for _, unnamed := range []string{"plain.example.org:80", "other.org:443", "api.example.com:80", "api.example.com:8080", "localhost:22", "10.0.0.2:443", "10.2.0.1:443", "corp:443"} {
		t.Run(unnamed, func(t *testing.T) {
			reason := "no rule names this host and port"
			switch unnamed { // a rule names these for http://
			case "plain.example.org:80":
				reason = "plaintext_not_injected: rule plain does not act in a tunnel to port 80"
			case "api.example.com:80":
				reason = "plaintext_not_injected: rule api does not act in a tunnel to port 80"
			}
			if got, want := tunnel.Decide(target(t, unnamed)), (Decision{Tunnel, reason, false}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if got, want := deny.Decide(target(t, unnamed)), (Decision{Deny, reason, false}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	for s, want := range map[string]Verdict{
		"plain.example.org:80": Intercept, "api.example.com:80": Intercept, "api.example.com:443": Intercept,
		"api.example.com:8080": Deny, "stripe.com:80": Tunnel, "other.org:80": Deny, "localhost:80": Deny,
	} {
		if got := deny.DecidePlaintext(target(t, s)); got.Verdict != want {
			t.Errorf("DecidePlaintext(%s) = %+v, want %v", s, got, want)
		}
	}
}

func TestAccessControl(t *testing.T) {
	c := Config{Rules: []RuleConfig{rule("api", "api.example.com")}, NoProxy: []string{"bypass.example.com"}}
	c.AccessControl = &AccessControlConfig{AllowList: []string{"github.com", "*.example.com", "10.0.0.0/8", `~^API\d+\.x\.com$`, "host:8443", "*.org"}}
	allow := compile(t, c, Tunnel)
	const no = "not in access_control.allow_list"
	for s, want := range map[string]Decision{
		"github.com:443":         {Tunnel, "no rule names this host and port", true},
		"github.com:22":          {Tunnel, "no rule names this host and port", true},
		"api.github.com:443":     {Deny, no, false},
		"api.example.com:443":    {Intercept, "rule api", true},
		"bypass.example.com:443": {Tunnel, "no_proxy bypass.example.com", true},
		"example.com:443":        {Deny, no, false},
		"10.1.2.3:443":           {Tunnel, "no rule names this host and port", true},
		"11.1.2.3:443":           {Deny, no, false},
		"api7.x.com:443":         {Tunnel, "no rule names this host and port", false}, // a regular expression names nothing
		"xapi7.x.com:443":        {Deny, no, false},
		"host:8443":              {Tunnel, "no rule names this host and port", true},
		"host:443":               {Deny, no, false},
		"a.org:443":              {Tunnel, "no rule names this host and port", false},
	} {
		if got := allow.Decide(target(t, s)); got != want {
			t.Errorf("allow_list, %s: %+v, want %+v", s, got, want)
		}
	}
	if allow.DeniesAddr(netip.MustParseAddrPort("192.0.2.1:443")) {
		t.Error("an allow_list denies an address")
	}

	c.AccessControl = &AccessControlConfig{DenyList: []string{"api.example.com", "bypass.example.com", "10.0.0.0/8", "fd00::1", `~^API\d+\.x\.com$`, "host:8443"}}
	deny := compile(t, c, Tunnel)
	for s, want := range map[string]Decision{
		"api.example.com:443":    {Deny, "access_control.deny_list api.example.com", false},
		"bypass.example.com:443": {Deny, "access_control.deny_list bypass.example.com", false},
		"10.1.2.3:22":            {Deny, "access_control.deny_list 10.0.0.0/8", false},
		"api7.x.com:443":         {Deny, `access_control.deny_list ~^API\d+\.x\.com$`, false},
		"host:8443":              {Deny, "access_control.deny_list host:8443", false},
		"host:443":               {Tunnel, "no rule names this host and port", false},
		"github.com:443":         {Tunnel, "no rule names this host and port", false},
	} {
		if got := deny.Decide(target(t, s)); got != want {
			t.Errorf("deny_list, %s: %+v, want %+v", s, got, want)
		}
	}
	for s, want := range map[string]bool{"10.1.2.3:443": true, "[::ffff:10.1.2.3]:443": true, "[fd00::1]:443": true, "[fd00::1%eth0]:443": true, "[fd00::2]:443": false, "192.0.2.1:443": false} {
		if got := deny.DeniesAddr(netip.MustParseAddrPort(s)); got != want {
			t.Errorf("DeniesAddr(%s) = %v, want %v", s, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	s := compile(t, Config{Rules: []RuleConfig{
		with(rule("off", "api.example.com"), func(r *RuleConfig) { r.Enabled = off() }),
		with(rule("blue", "api.example.com"), func(r *RuleConfig) { r.MatchHeaders = []string{"X-Team: blue", "x-env:prod"} }),
		with(rule("get", "*.example.com"), func(r *RuleConfig) { r.MatchMethods = []string{"GET", "HEAD"} }),
		with(rule("v1", "api.example.com", "api.example.com:8443"), func(r *RuleConfig) { r.MatchPaths = []string{"/v1/*", "/health"} }),
		rule("late", "{api,www}.example.com"),
		with(rule("tls", "mixed.example.org"), func(r *RuleConfig) { r.MatchPaths = []string{"/a/*"} }),
		with(rule("plain", "mixed.example.org", "plain.example.org:8080"), func(r *RuleConfig) { r.AllowPlaintext = true }),
		rule("any", "any.example.org:*"),
	}}, Tunnel)
	for _, tt := range []struct {
		name, request string // "METHOD host[:port] path", "http:" before the host
		header        fields
		want          Outcome
		rule          string
	}{
		{"first in file order: a pattern before an exact host", "GET api.example.com /v1/x", nil, Matched, "get"},
		{"first in file order: an exact host before a pattern", "POST api.example.com /v1/x", nil, Matched, "v1"},
		{"falls through on path", "POST api.example.com /v2/x", nil, Matched, "late"},
		{"falls through on host", "POST www.example.com /v1/x", nil, Matched, "late"},
		{"no rule left", "POST other.example.com /", nil, NoRule, ""},
		{"no such host", "GET example.com /", nil, NoRule, ""},
		{"all headers", "POST api.example.com /v2", fields{"x-team": "blue", "X-ENV": "prod"}, Matched, "blue"},
		{"header in other case", "POST api.example.com /v2", fields{"x-team": "Blue", "x-env": "prod"}, Matched, "late"},
		{"header missing", "POST api.example.com /v2", fields{"x-team": "blue"}, Matched, "late"},
		{"method in other case", "get api.example.com /v2", nil, Matched, "late"},
		{"ambiguous path", "POST api.example.com /v1/..%2fadmin", nil, AmbiguousPath, "v1"},
		{"ambiguous for a rule that comes too late", "GET api.example.com /v1/..%2fadmin", nil, Matched, "get"},
		{"ambiguous between two patterns of a rule", "POST api.example.com /v1/../health", nil, Matched, "v1"},
		{"port named", "POST api.example.com:8443 /v1/x", nil, Matched, "v1"},
		{"port not named", "POST api.example.com:8443 /v2/x", nil, NoRule, ""},
		{"port not named by anyone", "POST api.example.com:9443 /v1/x", nil, NoRule, ""},
		{"TLS to port 80", "POST api.example.com:80 /v1/x", nil, NoRule, ""},
		{"every port", "GET any.example.org:22 /", nil, Matched, "any"},
		{"plaintext", "POST http:api.example.com:80 /v1/x", nil, PlaintextNotInjected, "v1"},
		{"plaintext to 443", "POST http:api.example.com:443 /v1/x", nil, PlaintextNotInjected, "v1"},
		{"plaintext to a port of no rule", "POST http:api.example.com:81 /v1/x", nil, NoRule, ""},
		{"plaintext, path of no rule", "POST http:other.example.com:80 /", nil, NoRule, ""},
		{"plaintext, every port", "GET http:any.example.org:81 /", nil, PlaintextNotInjected, "any"},
		{"plaintext with an ambiguous path is not refused", "POST http:api.example.com:8443 /v1/..%2f", nil, PlaintextNotInjected, "v1"},
		{"plaintext, opted in", "GET http:mixed.example.org:80 /a/x", nil, Matched, "plain"},
		{"plaintext, opted in, port", "GET http:plain.example.org:8080 /", nil, Matched, "plain"},
		{"plaintext, opted in, other port", "GET http:plain.example.org:80 /", nil, NoRule, ""},
		{"plaintext, opted in, 443", "GET http:mixed.example.org:443 /b", nil, PlaintextNotInjected, "plain"},
		{"the same over TLS", "GET mixed.example.org /a/x", nil, Matched, "tls"},
		{"TLS to port 80 of one that opted in", "GET mixed.example.org:80 /", nil, NoRule, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			part := strings.Fields(tt.request)
			host, plaintext := strings.CutPrefix(part[1], "http:")
			q := Request{Target: target(t, host), Plaintext: plaintext, Method: part[0], Path: part[2]}
			if tt.header != nil {
				q.Header = tt.header
			}
			got := s.Match(q)
			name := ""
			if got.Rule != nil {
				name = got.Rule.Name
			}
			if got.Outcome != tt.want || name != tt.rule {
				t.Errorf("outcome %d, rule %q; want %d, %q", got.Outcome, name, tt.want, tt.rule)
			}
			explained, steps := s.Explain(q)
			if explained != got {
				t.Errorf("Explain says %v, Match %v", explained, got)
			}
			var acted []string
			for _, step := range steps {
				if step.Why == "" {
					t.Errorf("no reason for %s", step.Rule)
				}
				if step.Matched {
					acted = append(acted, step.Rule)
				}
			}
			if want := []string{tt.rule}; got.Outcome == Matched && !slices.Equal(acted, want) || got.Outcome != Matched && acted != nil {
				t.Errorf("Explain says that %q act; outcome %d, rule %s", acted, got.Outcome, name)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	s := compile(t, Config{Rules: []RuleConfig{
		with(rule("off", "api.example.com"), func(r *RuleConfig) { r.Enabled = off() }),
		rule("host", "www.example.com"),
		rule("port", "api.example.com:8443"),
		with(rule("method", "api.example.com", "api.example.com:8443"), func(r *RuleConfig) { r.MatchMethods = []string{"PUT"} }),
		with(rule("header", "api.example.com"), func(r *RuleConfig) { r.MatchHeaders = []string{"x: y"} }),
		with(rule("path", "api.example.com"), func(r *RuleConfig) { r.MatchPaths = []string{"/v2/*"} }),
		with(rule("ambiguous", "api.example.com"), func(r *RuleConfig) { r.MatchPaths = []string{"/v1/*"} }),
		rule("late", "*.example.com"),
	}}, Tunnel)
	_, steps := s.Explain(Request{Target: target(t, "api.example.com"), Method: "GET", Path: "/v1/%2e%2e/x"})
	want := []Step{
		{"off", false, "not enabled"},
		{"host", false, "the host is not among www.example.com"},
		{"port", false, "the host is named, but not with this port"},
		{"method", false, "the method is not among PUT"},
		{"header", false, "the request lacks one of the headers x: y"},
		{"path", false, "the path is not among /v2/*"},
		{"ambiguous", false, "the path is ambiguous: read as /v1/../x it matches, read as /x it does not"},
		{"late", false, "not reached: rule ambiguous comes first"},
	}
	if !slices.Equal(steps, want) {
		t.Errorf("got  %v\nwant %v", steps, want)
	}
}

func TestBases(t *testing.T) {
	s := compile(t, Config{Rules: []RuleConfig{
		rule("a", "*.github.com", "s3.*.amazonaws.com", "api.openai.com", "api.openai.com:8443", "{x,*.y}.example.com", "10.0.0.1", "::1"),
		with(rule("b", "off.example.com"), func(r *RuleConfig) { r.Enabled = off() }),
	}}, Tunnel)
	dns, ips, ok := s.Bases()
	if got, want := fmt.Sprint(dns, ips, ok), "[amazonaws.com api.openai.com github.com x.example.com y.example.com] [10.0.0.1 ::1] true"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s = compile(t, Config{Rules: []RuleConfig{{Name: "a", MatchHosts: []string{"a.com", "api.*"}}}}, Tunnel)
	if _, _, ok := s.Bases(); ok {
		t.Error("a pattern without a literal suffix can not be constrained")
	}
}
