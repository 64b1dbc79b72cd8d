package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// rule is a rule with a secret for some hosts.
func rule(name string, hosts ...string) RuleConfig {
	return RuleConfig{Name: name, MatchHosts: hosts, InjectHeaders: map[string]string{"Authorization": "Bearer ${KEY}"}}
}

func with(r RuleConfig, change func(*RuleConfig)) RuleConfig {
	change(&r)
	return r
}

func one(r RuleConfig) Config { return Config{Rules: []RuleConfig{r}} }

func off() *bool { return new(bool) }

func TestCompileErrors(t *testing.T) {
	good := rule("r", "api.example.com")
	header := func(name string) Config {
		return one(with(good, func(r *RuleConfig) { r.InjectHeaders = map[string]string{name: "v"} }))
	}
	value := func(v string) Config {
		return one(with(good, func(r *RuleConfig) { r.InjectHeaders = map[string]string{"X": v} }))
	}
	typed := func(h ...HeaderConfig) Config {
		return one(with(good, func(r *RuleConfig) { r.Headers = h }))
	}
	for _, tt := range []struct {
		name   string
		config Config
		want   string // path: part of the message
	}{
		{"no name", one(rule("", "a.com")), "rules[0].name: is missing"},
		{"blank name", one(rule(" ", "a.com")), "rules[0].name: is missing"},
		{"name with line break", one(rule("a\nb", "a.com")), "rules[0].name: \"a\\nb\" holds a character"},
		{"same name", Config{Rules: []RuleConfig{rule("r", "a.com"), rule("r", "b.com")}}, `rules[1].name: "r" is the name of rules[0] already`},
		{"same name, one not enabled", Config{Rules: []RuleConfig{with(rule("r", "a.com"), func(r *RuleConfig) { r.Enabled = off() }), rule("r", "b.com")}}, `rules[1].name: "r" is the name`},
		{"no hosts", one(rule("r")), "rules[0].match_hosts: is missing"},
		{"bad host", one(rule("r", "a.com", "*..x")), `rules[0].match_hosts[1]: "*..x": empty label`},
		{"bad host in a rule that is not enabled", one(with(rule("r", "a..b"), func(r *RuleConfig) { r.Enabled = off() })), `rules[0].match_hosts[0]: "a..b": empty label`},
		{"URL as host", one(rule("r", "https://a.com/")), "a host has no scheme, no path"},
		{"CIDR as host", one(rule("r", "10.0.0.0/8")), "no CIDR range"},
		{"broad: everything", one(rule("r", "*")), "rules[0].match_hosts[0]: \"*\" matches hosts of strangers"},
		{"broad: a TLD", one(rule("r", "*.com")), "allow_broad_hosts"},
		{"broad: a private suffix", one(rule("r", "*.github.io")), "allow_broad_hosts"},
		{"broad: in the middle", one(rule("r", "api.*.com")), "allow_broad_hosts"},
		{"broad: one of the alternatives", one(rule("r", "{api.example,*}.com")), "allow_broad_hosts"},
		{"broad: an opaque value is a secret", one(RuleConfig{Name: "r", MatchHosts: []string{"*"}, Headers: []HeaderConfig{{"X", "opaque", "v"}}}), "allow_broad_hosts"},
		{"broad: basic_auth is a secret", one(RuleConfig{Name: "r", MatchHosts: []string{"*"}, BasicAuth: &BasicAuthConfig{"u", "p"}}), "allow_broad_hosts"},
		{"plaintext with a wildcard", one(with(rule("r", "*.example.com"), func(r *RuleConfig) { r.AllowPlaintext = true })), "rules[0].match_hosts[0]: \"*.example.com\": allow_plaintext needs exact hosts"},
		{"bad path", one(with(good, func(r *RuleConfig) { r.MatchPaths = []string{"/ok", "v1"} })), `rules[0].match_paths[1]: "v1": must begin with a slash`},
		{"bad method", one(with(good, func(r *RuleConfig) { r.MatchMethods = []string{"GET", "G T"} })), `rules[0].match_methods[1]: "G T": not a method`},
		{"method in lower case", one(with(good, func(r *RuleConfig) { r.MatchMethods = []string{"get"} })), "write GET"},
		{"method that never comes", one(with(good, func(r *RuleConfig) { r.MatchMethods = []string{"CONNECT"} })), "never forwarded"},
		{"match_headers without colon", one(with(good, func(r *RuleConfig) { r.MatchHeaders = []string{"x-team blue"} })), `rules[0].match_headers[0]: "x-team blue": write "name: value"`},
		{"match_headers with a bad name", one(with(good, func(r *RuleConfig) { r.MatchHeaders = []string{"x team: blue"} })), "not a header name"},
		{"match_headers with a bad value", one(with(good, func(r *RuleConfig) { r.MatchHeaders = []string{"x: a\nb"} })), "control character"},
		{"Host", header("Host"), "rules[0].inject_headers.Host: Host belongs to the connection"},
		{"content-length", header("content-length"), "belongs to the connection"},
		{"Content_Length", header("Content_Length"), "belongs to the connection"},
		{"Transfer-Encoding", header("Transfer-Encoding"), "belongs to the connection"},
		{"Connection", header("Connection"), "belongs to the connection"},
		{"Keep-Alive", header("Keep-Alive"), "belongs to the connection"},
		{"TE", header("TE"), "belongs to the connection"},
		{"Trailer", header("Trailer"), "belongs to the connection"},
		{"Upgrade", header("Upgrade"), "belongs to the connection"},
		{"Expect", header("Expect"), "belongs to the connection"},
		{"Proxy-Authorization", header("PROXY-Authorization"), "belongs to the connection"},
		{"pseudo-header", header(":authority"), "pseudo-header"},
		{"space in name", header("X Y"), "not a header name"},
		{"colon in name", header("X:"), "not a header name"},
		{"empty name", header(""), "not a header name"},
		{"name not in ASCII", header("X-É"), "not a header name"},
		{"twins by case", one(with(good, func(r *RuleConfig) { r.InjectHeaders = map[string]string{"X-Key": "a", "x-key": "b"} })), "injected twice"},
		{"twins by underscore", one(with(good, func(r *RuleConfig) { r.InjectHeaders = map[string]string{"X-Key": "a", "X_Key": "b"} })), "injected twice"},
		{"twins across forms", typed(HeaderConfig{"authorization", "plaintext", "v"}), "rules[0].headers[0].name: authorization is injected twice by this rule (Authorization)"},
		{"twins with basic_auth", one(with(good, func(r *RuleConfig) { r.BasicAuth = &BasicAuthConfig{"u", "p"} })), "rules[0].basic_auth: Authorization is injected twice"},
		{"removed and injected", one(with(good, func(r *RuleConfig) { r.RemoveHeaders = []string{"Cookie", "authorization"} })), "rules[0].remove_headers[1]: authorization is injected by this rule"},
		{"removed Host", one(with(good, func(r *RuleConfig) { r.RemoveHeaders = []string{"Host"} })), "rules[0].remove_headers[0]: Host belongs"},
		{"bad reference", value("a${"), "rules[0].inject_headers.X: byte 1: the reference is not closed"},
		{"empty value", value(""), "the value is empty"},
		{"value with line break", value("a\nb"), "control character"},
		{"value with NUL", value("a\x00b"), "control character"},
		{"value with space in front", value(" ${KEY}"), "begins or ends with a space"},
		{"value with tab at the end", value("${KEY}\t"), "begins or ends with a space"},
		{"type missing", typed(HeaderConfig{"X", "", "v"}), "rules[0].headers[0].type: is missing"},
		{"type unknown", typed(HeaderConfig{"X", "secret", "v"}), `rules[0].headers[0].type: "secret" is not a type`},
		{"workspace_secret without reference", typed(HeaderConfig{"X", "workspace_secret", "v"}), "rules[0].headers[0].value: type workspace_secret without a {NAME}"},
		{"workspace_secret with dollar", typed(HeaderConfig{"X", "workspace_secret", "${KEY}"}), "without the $"},
		{"empty opaque", typed(HeaderConfig{"X", "opaque", ""}), "the value is empty"},
		{"username with colon", one(RuleConfig{Name: "r", MatchHosts: []string{"a.com"}, BasicAuth: &BasicAuthConfig{"a:b", "p"}}), "rules[0].basic_auth.username: a username holds no colon"},
		{"bad password", one(RuleConfig{Name: "r", MatchHosts: []string{"a.com"}, BasicAuth: &BasicAuthConfig{"a", "${"}}), "rules[0].basic_auth.password: byte 0"},
		{"empty basic_auth", one(RuleConfig{Name: "r", MatchHosts: []string{"a.com"}, BasicAuth: &BasicAuthConfig{}}), "username and password are empty"},
		{"scrub", one(with(good, func(r *RuleConfig) { r.ScrubResponses = "yes" })), `rules[0].scrub_responses: "yes" is not one of text, all, off`},
		{"env_vars name", one(with(good, func(r *RuleConfig) { r.EnvVars = map[string]string{"A=B": "x"} })), "rules[0].env_vars.A=B"},
		{"no_proxy", Config{NoProxy: []string{"ok", "a..b"}}, `no_proxy[1]: "a..b": empty label`},
		{"all hosts in no_proxy", Config{Rules: []RuleConfig{rule("r", "api.example.com", "*.x.example.com")}, NoProxy: []string{"example.com"}}, "rules[0]: all hosts of rule r are in no_proxy"},
		{"both access lists", Config{AccessControl: &AccessControlConfig{[]string{"a"}, []string{"b"}}}, "access_control: needs exactly one"},
		{"no access list", Config{AccessControl: &AccessControlConfig{}}, "access_control: needs exactly one"},
		{"bad allow_list", Config{AccessControl: &AccessControlConfig{AllowList: []string{"a", "~("}}}, "access_control.allow_list[1]: \"~(\": error parsing regexp"},
		{"bad deny_list", Config{AccessControl: &AccessControlConfig{DenyList: []string{"10.0.0.0/33"}}}, "access_control.deny_list[0]: \"10.0.0.0/33\": not a CIDR range"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, problems := Compile(tt.config, Tunnel)
			if s != nil {
				t.Error("compiles")
			}
			if !slices.ContainsFunc(problems, func(p Problem) bool { return !p.Warning && strings.Contains(p.String(), tt.want) }) {
				t.Errorf("problems %v, want an error with %q", problems, tt.want)
			}
		})
	}
	if s, problems := Compile(Config{}, Intercept); s != nil || len(problems) != 1 {
		t.Errorf("unmatched = Intercept: %v, %v", s, problems)
	}
}

// All problems come at once, the good parts of a rule do not hide the bad ones.
func TestCompileReportsEverything(t *testing.T) {
	_, problems := Compile(Config{
		Rules: []RuleConfig{
			{MatchHosts: []string{"*..x", "b..c"}, MatchPaths: []string{"x"}, InjectHeaders: map[string]string{"Host": "${"}},
			{Name: "r"},
		},
		NoProxy:       []string{"a..b"},
		AccessControl: &AccessControlConfig{DenyList: []string{"~("}},
	}, Deny)
	want := []string{
		"rules[0].name", "rules[0].inject_headers.Host", "rules[0].inject_headers.Host", "rules[0].match_hosts[0]", "rules[0].match_hosts[1]",
		"rules[0].match_paths[0]", "rules[1].match_hosts", "no_proxy[0]", "access_control.deny_list[0]",
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Path)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLint(t *testing.T) {
	two := func(a, b RuleConfig) Config { return Config{Rules: []RuleConfig{a, b}} }
	paths := func(r RuleConfig, p ...string) RuleConfig {
		return with(r, func(r *RuleConfig) { r.MatchPaths = p })
	}
	methods := func(r RuleConfig, m ...string) RuleConfig {
		return with(r, func(r *RuleConfig) { r.MatchMethods = m })
	}
	headers := func(r RuleConfig, h ...string) RuleConfig {
		return with(r, func(r *RuleConfig) { r.MatchHeaders = h })
	}
	disabled := func(r RuleConfig) RuleConfig { return with(r, func(r *RuleConfig) { r.Enabled = off() }) }
	plain := func(r RuleConfig) RuleConfig { return with(r, func(r *RuleConfig) { r.AllowPlaintext = true }) }
	access := func(r RuleConfig, allow ...string) Config {
		return Config{Rules: []RuleConfig{r}, AccessControl: &AccessControlConfig{AllowList: allow}}
	}
	deny := func(r RuleConfig, deny ...string) Config {
		return Config{Rules: []RuleConfig{r}, AccessControl: &AccessControlConfig{DenyList: deny}}
	}
	a, b := rule("a", "api.example.com"), rule("b", "api.example.com")
	const shadowed, denied, domains, key = "no request can reach rule", "access_control denies all hosts", "is sent to several domains", "looks like a real key"
	for _, tt := range []struct {
		name   string
		config Config
		want   string // "" = no warnings
	}{
		{"nothing", one(a), ""},
		{"same host", two(a, b), "rules[1]: " + shadowed + " b: everything it matches is taken by rule a before"},
		{"same host, first not enabled", two(disabled(a), b), ""},
		{"same host, second not enabled", two(a, disabled(b)), ""},
		{"below a wildcard", two(rule("a", "*.example.com"), b), shadowed},
		{"wildcard below a wildcard", two(rule("a", "*.example.com"), rule("b", "*.api.example.com", "s3.*.x.example.com")), shadowed},
		{"wildcard after its exact host", two(a, rule("b", "*.example.com")), ""},
		{"apex is not below", two(rule("a", "*.api.example.com"), b), ""},
		{"below everything", two(RuleConfig{Name: "a", MatchHosts: []string{"*"}}, rule("b", "api.example.com", "*.example.com", "s3.*.example.com")), shadowed},
		{"same glob", two(rule("a", "api-*.example.com"), rule("b", "api-*.example.com")), shadowed},
		{"host of a glob", two(rule("a", "api-*.example.com"), rule("b", "api-1.example.com")), shadowed},
		{"other port", two(a, rule("b", "api.example.com:8443")), ""},
		{"port 443 is the default", two(a, rule("b", "api.example.com:443")), shadowed},
		{"every port", two(rule("a", "api.example.com:*"), rule("b", "api.example.com:8443")), shadowed},
		{"one of two hosts", two(a, rule("b", "api.example.com", "www.example.com")), ""},
		{"fewer paths first", two(paths(a, "/v1/*"), b), ""},
		{"more paths first", two(a, paths(b, "/v1/*")), shadowed},
		{"prefix", two(paths(a, "/v1/*"), paths(b, "/v1/chat", "/v1/x/*", "/v1/*/y")), shadowed},
		{"no prefix", two(paths(a, "/v1/*"), paths(b, "/v1")), ""},
		{"literal in glob", two(paths(a, "/*/x"), paths(b, "/v1/x")), shadowed},
		{"other methods", two(methods(a, "GET"), methods(b, "GET", "POST")), ""},
		{"fewer methods", two(methods(a, "GET", "POST"), methods(b, "GET")), shadowed},
		{"other headers", two(headers(a, "x: 1"), b), ""},
		{"more headers", two(headers(a, "x: 1"), headers(b, "X: 1", "y: 2")), shadowed},
		{"plaintext only by the second", two(a, plain(b)), "rules[1].allow_plaintext: injects into plain HTTP"},
		{"by two rules and no_proxy", Config{Rules: []RuleConfig{a, rule("b", "www.example.com"), rule("c", "api.example.com", "www.example.com", "x.example.com")}, NoProxy: []string{"x.example.com"}}, "taken by rule a, rule b and no_proxy before"},
		{"not in the allow_list", access(a, "www.example.com", "10.0.0.0/8"), denied},
		{"in the allow_list", access(a, "*.example.com"), ""},
		{"in the allow_list for its port", access(a, "api.example.com:443"), ""},
		{"in the allow_list for another port", access(a, "api.example.com:8443"), denied},
		{"partly in the allow_list", access(rule("a", "*.example.com"), "api.example.com"), ""},
		{"wildcard not in the allow_list", access(rule("a", "*.example.com"), "*.example.org", "example.com"), denied},
		{"in a regular expression", access(a, `~^api\.example\.com$`), ""},
		{"not in a regular expression", access(a, `~^api\d\.example\.com$`), denied},
		{"in the deny_list", deny(a, "*.example.com"), denied},
		{"partly in the deny_list", deny(rule("a", "*.example.com"), "api.example.com"), ""},
		{"not in the deny_list", deny(a, "*.example.org"), ""},
		{"loose regular expression", deny(a, "~example.org"), "access_control.deny_list[0]: \"~example.org\" also matches inside"},
		{"several domains", two(a, rule("b", "api.example.org")), "rules[1]: the secret KEY " + domains + ": example.com and example.org"},
		{"several domains in one rule", one(rule("a", "a.example.co.uk", "a.other.co.uk")), domains},
		{"one domain", two(a, rule("b", "*.x.example.com", "example.com")), ""},
		{"several customers of one suffix", two(rule("a", "a.github.io"), rule("b", "b.github.io")), domains},
		{"several domains, but one is not enabled", two(a, disabled(rule("b", "api.example.org"))), ""},
		{"literal key", one(with(a, func(r *RuleConfig) {
			r.InjectHeaders = map[string]string{"Authorization": "Bearer sk-abcdefghijklmnop"}
		})), "rules[0].inject_headers.Authorization: " + key},
		{"literal password", one(RuleConfig{Name: "r", MatchHosts: []string{"a.com"}, BasicAuth: &BasicAuthConfig{"u", "ghp_abcdefghijklmnop123"}}), "rules[0].basic_auth.password: " + key},
		{"literal plaintext", one(with(a, func(r *RuleConfig) {
			r.Headers = []HeaderConfig{{"X", "plaintext", "aB3dE5fG7hI9jK1lM3nO5pQ7"}}
		})), "rules[0].headers[0].value: " + key},
		{"opaque", one(with(a, func(r *RuleConfig) { r.Headers = []HeaderConfig{{"X", "opaque", "aB3dE5fG7hI9jK1lM3nO5pQ7"}} })), ""},
		{"key among env_vars", one(with(a, func(r *RuleConfig) { r.EnvVars = map[string]string{"GH_TOKEN": "ghp_abcdefghijklmnop123"} })), "rules[0].env_vars.GH_TOKEN: " + key},
		{"placeholder", one(with(a, func(r *RuleConfig) { r.EnvVars = map[string]string{"GH_TOKEN": "placeholder"} })), ""},
		{"braces without dollar", one(with(a, func(r *RuleConfig) { r.InjectHeaders = map[string]string{"X": "Bearer {KEY}"} })), "rules[0].inject_headers.X: {KEY} is sent as it stands"},
		{"query in a path", one(paths(a, "/search?q=*")), "rules[0].match_paths[0]: \"/search?q=*\" looks like a path with a query"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, problems := Compile(tt.config, Tunnel)
			if s == nil {
				t.Fatalf("does not compile: %v", problems)
			}
			if tt.want == "" && len(problems) > 0 || tt.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].String(), tt.want)) {
				t.Errorf("problems %v, want one with %q", problems, tt.want)
			}
			for _, p := range problems {
				if strings.Contains(p.Message, "abcdefghijklmnop") {
					t.Errorf("the message repeats the key: %v", p)
				}
			}
		})
	}
}

func TestBroadHostsCanBeAllowed(t *testing.T) {
	s, problems := Compile(one(with(rule("r", "*"), func(r *RuleConfig) { r.AllowBroadHosts = true })), Tunnel)
	if s == nil {
		t.Fatal(problems)
	}
	if s, problems = Compile(one(RuleConfig{Name: "r", MatchHosts: []string{"*"}, RemoveHeaders: []string{"Cookie"}}), Tunnel); s == nil {
		t.Errorf("a rule without a secret may be broad: %v", problems)
	}
}

// Lint must not take quadratic time.
func TestCompileManyRules(t *testing.T) {
	var c Config
	for i := range 10_000 {
		c.Rules = append(c.Rules, rule(fmt.Sprintf("r%d", i), fmt.Sprintf("h%d.example.com", i), fmt.Sprintf("*.w%d.example.com", i)))
	}
	c.NoProxy = []string{"example.org"}
	c.AccessControl = &AccessControlConfig{AllowList: []string{"*.example.com"}}
	if s, problems := Compile(c, Deny); s == nil || len(problems) > 0 {
		t.Fatalf("%d problems, first %v", len(problems), problems[0])
	}
}

func TestRuleForPeople(t *testing.T) {
	s, problems := Compile(one(RuleConfig{
		Name: "r", Description: "d", MatchHosts: []string{"B.com", "a.com"}, MatchPaths: []string{"/x/*"}, MatchMethods: []string{"GET"}, MatchHeaders: []string{"x: y"},
		InjectHeaders: map[string]string{"X-B": "${B}", "x-a": "${C}${A}"}, BasicAuth: &BasicAuthConfig{"${A}", "${D}"},
		RemoveHeaders: []string{"Cookie"}, EnvVars: map[string]string{"T": "x"}, ScrubResponses: "all",
	}), Tunnel)
	if s == nil {
		t.Fatal(problems)
	}
	r := s.Rules()[0]
	got := fmt.Sprintln(r.Name, r.Description, r.Hosts(), r.Paths(), r.Methods(), r.Headers(), r.References(), r.Remove, r.EnvVars, r.Scrub, r.Plaintext())
	if want := "r d [B.com a.com] [/x/*] [GET] [x: y] [A B C D] [Cookie] map[T:x] all false\n"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var names []string
	for _, i := range r.Injections {
		names = append(names, i.Name)
	}
	if !slices.Equal(names, []string{"X-B", "x-a", "Authorization"}) {
		t.Errorf("injections %q", names)
	}
}
