package rules

import (
	"fmt"
	"testing"
)

// DESIGN 12: matching costs nothing per request, whatever the number of rules.
func TestNoAllocations(t *testing.T) {
	s := many(t, 10_000)
	for name, f := range map[string]func(){
		"ParseTarget":              func() { ParseTarget("h77.example.com:443", 0) },
		"Decide":                   func() { s.Decide(s.all[77].target()) },
		"Match, exact host":        func() { s.Match(Request{Target: s.all[77].target(), Method: "GET", Path: "/v1/chat"}) },
		"Match, header":            func() { s.Match(Request{Target: headerTarget, Method: "GET", Path: "/v1/chat", Header: blue{}}) },
		"Match, path":              func() { s.Match(Request{Target: pathTarget, Method: "GET", Path: "/v1/chat"}) },
		"Match, below a wildcard":  func() { s.Match(Request{Target: wildTarget, Method: "GET", Path: "/v1/chat"}) },
		"Decide, below a wildcard": func() { s.Decide(wildTarget) },
		"Decide, no rule":          func() { s.Decide(strangeTarget) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

var (
	headerTarget  = Target{host: "header.example.com", port: 443}
	pathTarget    = Target{host: "path.example.com", port: 443}
	wildTarget    = Target{host: "a.w77.example.com", port: 443}
	strangeTarget = Target{host: "www.example.org", port: 443}
)

type blue struct{}

func (blue) HasField(name, value string) bool { return name == "x-team" && value == "blue" }

func (r *Rule) target() Target { return Target{host: r.hosts[0].host, port: 443} }

// many is a policy with n rules, and one each with a path and a header.
func many(t testing.TB, n int) *Set {
	c := Config{NoProxy: []string{"localhost", "127.0.0.1", "*.internal.example", "10.0.0.0/8"}}
	for i := range n {
		c.Rules = append(c.Rules, rule(fmt.Sprintf("r%d", i), fmt.Sprintf("h%d.example.com", i), fmt.Sprintf("*.w%d.example.com", i)))
	}
	c.Rules = append(c.Rules,
		with(rule("path", "path.example.com"), func(r *RuleConfig) { r.MatchPaths = []string{"/v2/*", "/v1/*"} }),
		with(rule("header", "header.example.com"), func(r *RuleConfig) { r.MatchHeaders = []string{"x-team: blue"} }))
	return compile(t, c, Tunnel)
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		s := many(b, n)
		exact := Target{host: fmt.Sprintf("h%d.example.com", n-1), port: 443}
		below := Target{host: fmt.Sprintf("a.w%d.example.com", n-1), port: 443}
		for _, bb := range []struct {
			name   string
			target Target
			path   string
		}{
			{"exact", exact, "/v1/chat/completions"},
			{"wildcard", below, "/v1/chat/completions"},
			{"path", pathTarget, "/v1/chat/completions"},
			{"encoded-path", pathTarget, "/v1/group%2Fname"},
			{"none", strangeTarget, "/"},
		} {
			b.Run(fmt.Sprintf("%s/%d", bb.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.Match(Request{Target: bb.target, Method: "POST", Path: bb.path})
				}
			})
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		s := many(b, n)
		for name, target := range map[string]Target{
			"exact": {host: fmt.Sprintf("h%d.example.com", n-1), port: 443}, "none": strangeTarget,
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.Decide(target)
				}
			})
		}
	}
}

func BenchmarkParseTarget(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseTarget("api.openai.com:443", 0); err != nil {
			b.Fatal(err)
		}
	}
}
