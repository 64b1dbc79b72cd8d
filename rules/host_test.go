package rules

import (
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/glob"
)

// target parses s for port 443, or with its own port.
func target(t testing.TB, s string) Target {
	t.Helper()
	got, err := ParseTarget(s, 443)
	if err != nil {
		t.Fatalf("ParseTarget(%q): %v", s, err)
	}
	return got
}

func TestHostPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		yes, no []string
	}{
		{"api.openai.com", []string{"api.openai.com", "API.openai.com."}, []string{"openai.com", "x.api.openai.com", "api.openai.com:8443", "api.openai.com:80", "apixopenai.com"}},
		{"API.OpenAI.com.", []string{"api.openai.com"}, nil},
		{"*.github.com", []string{"api.github.com", "a.b.github.com"}, []string{"github.com", "evilgithub.com", "github.com.evil.com", "api.github.com:8443"}},
		{"**.github.com", []string{"api.github.com", "a.b.github.com"}, []string{"github.com", "evilgithub.com"}},
		{"s3.*.amazonaws.com", []string{"s3.eu-west-1.amazonaws.com"}, []string{"s3.amazonaws.com", "s3.a.b.amazonaws.com", "x.s3.eu.amazonaws.com"}},
		{"s3.**.amazonaws.com", []string{"s3.eu.amazonaws.com", "s3.a.b.amazonaws.com"}, []string{"s3.amazonaws.com"}},
		{"*.s3.*.amazonaws.com", []string{"b.s3.eu.amazonaws.com", "a.b.s3.eu.amazonaws.com"}, []string{"s3.eu.amazonaws.com", "b.s3.a.b.amazonaws.com"}},
		{"api-*.example.com", []string{"api-1.example.com", "api-.example.com"}, []string{"api.example.com", "api-1.x.example.com", "x.api-1.example.com"}},
		{"api?.example.com", []string{"api1.example.com"}, []string{"api.example.com", "api12.example.com", "api.x.example.com"}},
		{"{api,www}.example.com", []string{"api.example.com", "www.example.com"}, []string{"example.com", "x.example.com"}},
		{"{api.,}example.com", []string{"api.example.com", "example.com"}, []string{"x.example.com"}},
		{"{a,b{c,d}}.{e,f}.com", []string{"a.e.com", "bc.f.com", "bd.e.com"}, []string{"b.e.com", "bcd.e.com"}},
		{"{*.example.com,example.com}", []string{"a.b.example.com", "example.com"}, []string{"xexample.com"}},
		{"*", []string{"localhost", "a.b.c", "1.2.3.4", "[::1]"}, []string{"a.b:80"}},
		{"**", []string{"localhost", "a.b.c"}, nil},
		{"*.*", []string{"a.b", "a.b.c"}, []string{"localhost"}},
		{"api.example.com:8443", []string{"api.example.com:8443"}, []string{"api.example.com", "api.example.com:80"}},
		{"api.example.com:*", []string{"api.example.com:8443", "api.example.com:80", "api.example.com"}, []string{"www.example.com"}},
		{"*.example.com:8443", []string{"a.example.com:8443"}, []string{"a.example.com"}},
		{"münchen.de", []string{"xn--mnchen-3ya.de"}, []string{"mnchen.de"}},
		{"MÜNCHEN.de", []string{"xn--mnchen-3ya.de"}, nil},
		{"*.münchen.de", []string{"www.xn--mnchen-3ya.de"}, []string{"xn--mnchen-3ya.de"}},
		{"{münchen,köln}.de", []string{"xn--mnchen-3ya.de", "xn--kln-sna.de"}, nil},
		{"xn--mnchen-3ya.de", []string{"xn--mnchen-3ya.de"}, nil},
		{"１２７.0.0.1.example.com", []string{"127.0.0.1.example.com"}, nil},
		{"10.0.0.1", []string{"10.0.0.1"}, []string{"10.0.0.2", "10.0.0.1:80"}},
		{"10.0.0.1:9200", []string{"10.0.0.1:9200"}, []string{"10.0.0.1"}},
		{"::1", []string{"[::1]"}, []string{"127.0.0.1"}},
		{"[0:0::1]:8443", []string{"[::1]:8443"}, []string{"[::1]"}},
		{"::ffff:10.0.0.1", []string{"10.0.0.1"}, nil},
		{"my_host.example.com", []string{"my_host.example.com"}, nil},
	} {
		t.Run(tt.pattern, func(t *testing.T) {
			patterns, err := parseHostPattern(tt.pattern)
			if err != nil {
				t.Fatal(err)
			}
			x := newIndex(patterns)
			for _, s := range tt.yes {
				if p, _ := x.find(target(t, s), false); p == nil {
					t.Errorf("does not match %s", s)
				}
			}
			for _, s := range tt.no {
				asked := target(t, s)
				if p, _ := x.find(asked, false); p != nil {
					t.Errorf("matches %s", s)
				}
				if slices.ContainsFunc(patterns, func(p hostPattern) bool { return p.port.names(asked.port, false) && p.matches(asked) }) {
					t.Errorf("matches %s when asked without the index", s)
				}
			}
		})
	}
}

func TestHostPatternErrors(t *testing.T) {
	for _, tt := range []struct{ pattern, want string }{
		{"", "host is empty"},
		{".", "host is empty"},
		{":443", "host is empty"},
		{"*..x", "empty label"},
		{".example.com", "empty label"},
		{"a.{b,}.com", "empty label"},
		{"api.example.com:", "port is empty"},
		{"api.example.com:0", "not in 1 to 65535"},
		{"api.example.com:https", "not a number"},
		{"api.example.com:0443", "leading zeros"},
		{"user@example.com", "user information"},
		{"api example.com", "' ' is not allowed"},
		{"*.exa mple*.com", "' ' is not allowed"},
		{"[ab].example.com", "only a port"},
		{"a[bc].example.com", "no meaning in a pattern"},
		{`a\.example.com`, "no meaning in a pattern"},
		{"{a,b.example.com", "a { without its }"},
		{"a,b}.example.com", "a } without its {"},
		{"a,b.example.com", "',' is not allowed"},
		{"mün*.de", "mixes a wildcard"},
		{"a\u2260b\u00ad\u0378.com", "internationalised"},
		{"xn--abc-.com", "not valid IDNA"},
		{"127.1", "looks like an IPv4 address"},
		{"0x7f.0.0.1", "looks like an IPv4 address"},
		{"010.0.0.1", "looks like an IPv4 address"},
		{"10.0.0.256", "looks like an IPv4 address"},
		{"*.0.0.1", "looks like an IPv4 address"},
		{"fe80::1%eth0", "zone"},
		{"[fe80::1%eth0]:443", "zone"},
		{"-a.com", "begins with a hyphen"},
		{strings.Repeat("a", 64) + ".com", "longer than 63"},
		{strings.Repeat("a.", 127) + "com", "longer than 253"},
		{strings.Repeat("a", 3000), "at most 2048"},
		{strings.Repeat("{a,b}", 9) + ".com", "more than 256"},
	} {
		t.Run(tt.pattern[:min(len(tt.pattern), 40)], func(t *testing.T) {
			_, err := parseHostPattern(tt.pattern)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestBroad(t *testing.T) {
	for pattern, want := range map[string]bool{
		"*": true, "**": true, "*.*": true, "*.com": true, "*.co.uk": true, "*.github.io": true,
		"api.*.com": true, "api*.com": true, "*.ck": true, "*.kawasaki.jp": true, "api.*": true,
		"**example.com": true, "{api,*}.com": true,
		"api.openai.com": false, "github.io": false, "com": false, "*.github.com": false,
		"s3.*.amazonaws.com": false, "*.corp": false, "*.svc.cluster.local": false,
		"10.0.0.1": false, "localhost": false, "*.example.co.uk": false,
	} {
		patterns, err := parseHostPattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		got := false
		for _, p := range patterns {
			got = got || p.broad
		}
		if got != want {
			t.Errorf("%s: broad = %v, want %v", pattern, got, want)
		}
	}
}

// no_proxy means what NO_PROXY means to clients.
func TestNoProxyEntries(t *testing.T) {
	for _, tt := range []struct {
		entry   string
		yes, no []string
	}{
		{"localhost", []string{"localhost", "localhost:8080", "x.localhost"}, []string{"localhost.evil.com"}},
		{"stripe.com", []string{"stripe.com", "api.stripe.com", "a.b.stripe.com:80"}, []string{"evilstripe.com", "stripe.com.evil.com"}},
		{".corp", []string{"a.corp", "a.b.corp:22"}, []string{"corp", "acorp"}},
		{"*.internal.com", []string{"a.internal.com", "a.b.internal.com"}, []string{"internal.com"}},
		{"stripe.com:8443", []string{"stripe.com:8443", "api.stripe.com:8443"}, []string{"stripe.com", "api.stripe.com"}},
		{"127.0.0.1", []string{"127.0.0.1", "127.0.0.1:8080"}, []string{"127.0.0.2"}},
		{"::1", []string{"[::1]"}, nil},
		{"10.0.0.0/8", []string{"10.1.2.3", "10.1.2.3:22", "[::ffff:10.1.2.3]"}, []string{"11.0.0.1", "10.example.com", "localhost"}},
		{"10.1.2.3/8", []string{"10.200.0.1"}, nil},
		{"10.0.0.0/8:443", []string{"10.1.2.3"}, []string{"10.1.2.3:22"}},
		{"fd00::/8", []string{"[fd12::1]"}, []string{"[fe80::1]"}},
		{"*", []string{"a", "a.b", "1.2.3.4", "[::1]:22"}, nil},
		{"MÜNCHEN.de", []string{"www.xn--mnchen-3ya.de"}, nil},
	} {
		t.Run(tt.entry, func(t *testing.T) {
			patterns, err := noProxyEntry(tt.entry)
			if err != nil {
				t.Fatal(err)
			}
			x := newIndex(patterns)
			for _, s := range tt.yes {
				if p, _ := x.find(target(t, s), false); p == nil {
					t.Errorf("does not cover %s", s)
				}
			}
			for _, s := range tt.no {
				if p, _ := x.find(target(t, s), false); p != nil {
					t.Errorf("covers %s", s)
				}
			}
		})
	}
}

func TestListEntryErrors(t *testing.T) {
	for _, tt := range []struct{ entry, want string }{
		{"10.0.0.0/33", "not a CIDR range"},
		{"example.com/path", "not a CIDR range"},
		{"https://example.com", "not a CIDR range; a host has no slash"},
		{"::ffff:10.0.0.0/104", "write 10.0.0.0/8"},
		{"..corp", "empty label"},
		{"", "host is empty"},
		{"~[", "missing closing ]"},
		{"~", "is empty"},
		{"~a)(b", "unexpected )"},
	} {
		if _, err := accessEntry(tt.entry); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %q in it", tt.entry, err, tt.want)
		}
	}
}

// FuzzHostPattern: what compiles is in canonical form, an exact pattern is a
// target and matches it, and the index finds what a walk over all would.
func FuzzHostPattern(f *testing.F) {
	for _, p := range []string{"api.openai.com", "*.github.com", "s3.*.amazonaws.com:8443", "{a,b{c,}}.x.com", "münchen.de:*", "[::1]:1", "10.0.0.1", "**", "a?c.d", "*..x"} {
		f.Add(p, "api.github.com")
		f.Add(p, "a.x.com")
	}
	f.Fuzz(func(t *testing.T, text, host string) {
		patterns, err := parseHostPattern(text)
		if err != nil {
			return
		}
		asked, err := ParseTarget(host, 443)
		valid := err == nil
		for _, p := range patterns {
			if p.host != "" {
				// Its port aside, an exact pattern is a target.
				own, err := ParseTarget(Target{host: p.host}.bracketed(), 443)
				if err != nil || own.host != p.host {
					t.Fatalf("%q: exact host %q is the target %v, %v", text, p.host, own, err)
				}
				if !p.matches(own) {
					t.Fatalf("%q does not match itself", p.host)
				}
			}
			one := p
			one.port = portAny
			if found, _ := newIndex([]hostPattern{one}).find(asked, false); valid && (found != nil) != p.matches(asked) {
				t.Fatalf("%q on %v: index says %v, pattern %v", text, asked, found != nil, p.matches(asked))
			}
			if valid && p.matches(asked) && p.base != "" && !strings.HasSuffix(asked.host, "."+p.base) {
				t.Fatalf("%q with base %q matches %v", text, p.base, asked)
			}
		}
	})
}

func (t Target) bracketed() string {
	if strings.Contains(t.host, ":") {
		return "[" + t.host + "]"
	}
	return t.host
}

// FuzzGlob holds our globs to those of gobwas/glob, whose syntax they are.
func FuzzGlob(f *testing.F) {
	for _, p := range []string{"a*c", "a.**.c", "?b.c", "{a,b*}.c", "**", "a{,b}c", "***x?"} {
		f.Add(p, "abc.c")
		f.Add(p, "a.b.c")
	}
	f.Add("{a.b*}*c", "a.b.c") // stars of two pieces are no **
	f.Fuzz(func(t *testing.T, pattern, text string) {
		// Classes and escapes are errors here; their matcher is exponential.
		if !isASCII(pattern+text) || strings.Count(pattern, "*") > 6 || len(text) > 60 || strings.ContainsAny(pattern, `[]\`) {
			return
		}
		theirs, err := glob.Compile(pattern, '.')
		if err != nil {
			return
		}
		written, err := expandBraces(pattern)
		if err != nil {
			return
		}
		ours := false
		for _, w := range written {
			g, err := compileGlob(w, '.')
			if err != nil {
				t.Fatal(err)
			}
			ours = ours || g.MatchString(text)
		}
		if ours != theirs.Match(text) {
			t.Fatalf("%q on %q: %v, gobwas/glob says %v", pattern, text, ours, !ours)
		}
	})
}
