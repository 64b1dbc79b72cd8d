package rules

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// lint reports what is doubtful about a set that compiles. It is certain of what
// it reports and does not find everything.
func (c *compiler) lint(s *Set) {
	for _, r := range s.enabled {
		c.lintReach(r.at, s, r)
	}
	c.lintDomains(s)
}

// lintReach finds rules that no request can reach.
func (c *compiler) lintReach(at string, s *Set, r *Rule) {
	views := s.views(r)
	if len(views) == 0 {
		c.warnf(at, "no client has the rule %s, so no request can reach it; add it to the rules of a client, or take it out", r.Name)
	}
	var bypassed, denied int
	earlier := map[string]bool{}
	shadowed := len(views) > 0
	for i := range r.hosts {
		p := &r.hosts[i]
		switch {
		case s.denies(p):
			denied++
		case s.noProxy.covering(p, nil) != nil:
			bypassed++
		default:
			for _, view := range views {
				first := view.hosts.covering(p, func(q *hostPattern) bool { return q.order < r.order && q.rule.contains(r) })
				if first == nil {
					shadowed = false
					break
				}
				earlier[first.rule.Name] = true
			}
		}
	}
	switch {
	case bypassed == len(r.hosts):
		c.errorf(at, "all hosts of rule %s are in no_proxy, so it can never act; take them out of one of the two", r.Name)
	case denied == len(r.hosts):
		c.warnf(at, "access_control denies all hosts of rule %s, so it can never act; allow them or take the rule out", r.Name)
	case shadowed:
		causes := slices.Sorted(maps.Keys(earlier))
		for i := range causes {
			causes[i] = "rule " + causes[i]
		}
		if bypassed > 0 {
			causes = append(causes, "no_proxy")
		}
		if denied > 0 {
			causes = append(causes, "access_control")
		}
		c.warnf(at, "no request can reach rule %s: everything it matches is taken by %s before", r.Name, join(causes))
	}
}

// denies reports whether access_control certainly denies every host of p.
func (s *Set) denies(p *hostPattern) bool {
	switch {
	case s.access == nil:
		return false
	case !s.allow:
		return s.access.covering(p, nil) != nil
	case p.host != "":
		return s.access.covering(p, nil) == nil && !s.access.somePort(p)
	}
	return !s.access.overlaps(p)
}

// covering returns a pattern that matches everything p does and, if ok is not
// nil, is ok.
func (x *index) covering(p *hostPattern, ok func(*hostPattern) bool) *hostPattern {
	key := p.host
	if key == "" {
		key = "*." + p.base
	}
	for list := range x.candidates(key) {
		for _, q := range list {
			if q.covers(p) && q.port.covers(p) && (ok == nil || ok(q)) {
				return q
			}
		}
	}
	return nil
}

// somePort reports whether a pattern matches the exact host p for a port that p
// names too.
func (x *index) somePort(p *hostPattern) bool {
	for list := range x.candidates(p.host) {
		if slices.ContainsFunc(list, func(q *hostPattern) bool { return q.covers(p) && q.port.overlaps(p.port) }) {
			return true
		}
	}
	return false
}

// overlaps reports whether a pattern may match a host that p matches.
func (x *index) overlaps(p *hostPattern) bool {
	for _, lists := range []map[string][]*hostPattern{x.exact, x.below} {
		for _, list := range lists {
			for _, q := range list {
				below := q.host == "" && (p.base == "" || q.base == "" || within(p.base, q.base) || within(q.base, p.base))
				if q.port.overlaps(p.port) && (below || q.host != "" && p.covers(q)) {
					return true
				}
			}
		}
	}
	return false
}

// everything is what * and ** compile to.
const everything = `(?s)\A.*\z`

// covers reports whether every host that q matches is one that p matches.
func (p *hostPattern) covers(q *hostPattern) bool {
	switch {
	case p.glob != nil && p.glob.String() == everything:
		return true
	case q.host != "":
		addr, _ := netip.ParseAddr(q.host)
		return p.matches(Target{host: q.host, addr: addr})
	case q.cidr.IsValid() || p.cidr.IsValid():
		return p.cidr.IsValid() && q.cidr.IsValid() && p.cidr.Bits() <= q.cidr.Bits() && p.cidr.Contains(q.cidr.Addr())
	case p.glob != nil:
		return q.glob != nil && p.glob.String() == q.glob.String()
	}
	return p.host == "" && within(q.base, p.base)
}

// within reports whether domain is base or below it.
func within(domain, base string) bool {
	rest, ok := strings.CutSuffix(domain, base)
	return ok && (rest == "" || strings.HasSuffix(rest, "."))
}

// covers reports whether p names every port that q names.
func (p portSpec) covers(q *hostPattern) bool {
	plaintext := q.rule != nil && q.rule.plaintext
	return p == portAny || p == q.port || p == portDefault && q.port == 443 || p == 443 && q.port == portDefault && !plaintext
}

func (p portSpec) overlaps(q portSpec) bool {
	if p == portAny || q == portAny || p == q {
		return true
	}
	return p == portDefault && (q == 443 || q == 80) || q == portDefault && (p == 443 || p == 80)
}

// contains reports whether every request to the same host that r acts on is one
// that e acts on: its conditions are the same or fewer.
func (e *Rule) contains(r *Rule) bool {
	if r.plaintext && !e.plaintext {
		return false
	}
	subset := func(some, of []string) bool {
		return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(of, s) })
	}
	em, rm := e.written.MatchMethods, r.written.MatchMethods
	if len(em) > 0 && (len(rm) == 0 || !subset(rm, em)) {
		return false
	}
	for _, h := range e.headers {
		if !slices.ContainsFunc(r.headers, func(o headerField) bool { return lower(o.name) == lower(h.name) && o.value == h.value }) {
			return false
		}
	}
	if len(e.paths) == 0 {
		return true
	}
	return len(r.paths) > 0 && !slices.ContainsFunc(r.paths, func(p pathPattern) bool {
		return !slices.ContainsFunc(e.paths, func(o pathPattern) bool { return o[0].covers(&p[0]) })
	})
}

// covers reports whether certainly every path that h matches is one that g
// matches.
func (g *pathGlob) covers(h *pathGlob) bool {
	switch {
	case g.text == h.text && g.prefix == h.prefix:
		return true
	case g.prefix:
		literal, _, _ := strings.Cut(h.text, "*")
		literal, _, _ = strings.Cut(literal, "?")
		return strings.HasPrefix(literal, g.text)
	}
	return h.glob == nil && !h.prefix && g.matches(h.text)
}

// lintDomains finds secrets that go to several registrable domains.
func (c *compiler) lintDomains(s *Set) {
	domains := map[string][]string{} // by secret
	where := map[string]string{}     // the rule that added the second
	for _, r := range s.enabled {
		if r.callback {
			continue // its secret is another one for each host
		}
		for _, name := range r.References() {
			for i := range r.hosts {
				d := r.hosts[i].domain()
				if slices.Contains(domains[name], d) {
					continue
				}
				domains[name] = append(domains[name], d)
				if _, ok := where[name]; !ok && len(domains[name]) > 1 {
					where[name] = r.at
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(where)) {
		c.warnf(where[name], "the secret %s is sent to several domains: %s", name, join(domains[name]))
	}
}

// domain is the registrable domain that the pattern lies in, as far as there is
// one.
func (p *hostPattern) domain() string {
	host := p.host + p.base
	if host == "" {
		return p.text
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	if d, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return d
	}
	return host
}

// lintLiteral finds what should have been a reference.
func (c *compiler) lintLiteral(at string, t template) {
	text := t.literals()
	switch {
	case looksLikeKey(text):
		c.warnf(at, "looks like a real key; put it into the environment and write ${NAME}")
	case bracedName.MatchString(text):
		c.warnf(at, "%s is sent as it stands; in inject_headers and basic_auth a reference is ${NAME}, in headers it is {NAME} with type workspace_secret", bracedName.FindString(text))
	}
}

var bracedName = regexp.MustCompile(`\$?\{[A-Za-z_][A-Za-z0-9_.-]*\}`)

// keyPrefixes are how well-known services begin their keys.
var keyPrefixes = regexp.MustCompile(`\b(sk-|sk_live_|rk_live_|ghp_|gho_|ghs_|ghu_|github_pat_|glpat-|xox[abprs]-|AKIA|ASIA|AIza|ya29\.|npm_|pypi-|hf_|lsv2_|SG\.|dop_v1_|eyJ)[A-Za-z0-9_.-]{12,}`)

var longWord = regexp.MustCompile(`[A-Za-z0-9_+/=-]{24,}`)

// looksLikeKey recognises keys of well-known services, and long words that mix
// upper case, lower case and digits as only random text does.
func looksLikeKey(s string) bool {
	if keyPrefixes.MatchString(s) {
		return true
	}
	for _, w := range longWord.FindAllString(s, -1) {
		digits := 0
		for i := range len(w) {
			if '0' <= w[i] && w[i] <= '9' {
				digits++
			}
		}
		if digits >= 4 && strings.ToLower(w) != w && strings.ToUpper(w) != w {
			return true
		}
	}
	return false
}

// lintPath finds patterns that look as if they should match a query.
func (c *compiler) lintPath(at, text string) {
	if _, query, ok := strings.Cut(text, "?"); ok && strings.Contains(query, "=") {
		c.warnf(at, "%q looks like a path with a query; the query is never compared, and ? stands for one character", text)
	}
}

// lintEntry finds regular expressions that match more than was meant.
func (c *compiler) lintEntry(at, text string) {
	expr, ok := strings.CutPrefix(text, "~")
	if ok && !(strings.HasPrefix(expr, "^") && strings.HasSuffix(expr, "$")) {
		c.warnf(at, "%q also matches inside longer names; begin it with ^ and end it with $", text)
	}
}
