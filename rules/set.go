package rules

import (
	"net/netip"
	"slices"
	"strings"
)

// A Verdict is what happens to a connection. The zero value is the safe one.
type Verdict uint8

const (
	Deny      Verdict = iota // refuse it
	Tunnel                   // relay it untouched
	Intercept                // terminate TLS and look at each request
)

// String is "deny", "tunnel" or "intercept".
func (v Verdict) String() string {
	switch v {
	case Tunnel:
		return "tunnel"
	case Intercept:
		return "intercept"
	}
	return "deny"
}

// A Set is a compiled policy. It never changes and can be used by any number of
// goroutines. [Compile] makes one; the zero Set denies everything.
type Set struct {
	all       []*Rule // in file order, also those that are not enabled
	enabled   []*Rule
	hosts     *index
	noProxy   *index
	access    *index // nil: everything may be reached
	allow     bool   // access is an allow_list, not a deny_list
	unmatched Verdict

	clientAuth *Injection // nil: every client is welcome
	clients    []Client   // instead of clientAuth; nil: all clients have all rules
}

// ClientAuth returns the field that every client must send to use the proxy, and
// whether there is one.
func (s *Set) ClientAuth() (Injection, bool) {
	if s.clientAuth == nil {
		return Injection{}, false
	}
	return *s.clientAuth, true
}

// References lists the names of all secrets that the enabled rules and the
// clients' credentials need, sorted; of a [Client]'s set those of its rules.
func (s *Set) References() []string {
	var names []string
	for _, r := range s.enabled {
		names = append(names, r.References()...)
	}
	if s.clientAuth != nil {
		names = append(names, s.clientAuth.References()...)
	}
	for _, c := range s.clients {
		names = append(names, c.Credentials.References()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// A Decision is a verdict with its reason.
type Decision struct {
	Verdict Verdict
	// Reason is for people: "rule openai-api", "no_proxy *.internal.com".
	Reason string
	// Named is whether the operator named this very host and port, in a rule, in
	// no_proxy or in an allow_list, by a pattern that does not span a public
	// suffix. A regular expression does not name a host.
	Named bool
}

// Decide says what to do with a CONNECT to t: access_control comes first, then
// no_proxy, then the rules, then unmatched_hosts. A rule names port 443 unless it
// says otherwise; allow_plaintext does not make a tunnel to port 80 intercepted.
func (s *Set) Decide(t Target) Decision { return s.decide(t, false) }

// DecidePlaintext is Decide for a plain http:// request to t: Intercept means
// that a rule names the host, for port 80 if it gives none, and that Match is to
// be asked; Tunnel that the request is forwarded as it is.
func (s *Set) DecidePlaintext(t Target) Decision { return s.decide(t, true) }

func (s *Set) decide(t Target, plaintext bool) Decision {
	if t == (Target{}) || s.hosts == nil {
		return Decision{Reason: "no target or no policy"}
	}
	allowed := false
	if s.access != nil {
		entry, named := s.access.find(t, plaintext)
		switch {
		case s.allow && entry == nil:
			return Decision{Reason: "not in access_control.allow_list"}
		case !s.allow && entry != nil:
			return Decision{Reason: entry.reason}
		}
		allowed = named
	}
	bypass, bypassNamed := s.noProxy.find(t, plaintext)
	rule, ruleNamed := s.hosts.find(t, plaintext)
	d := Decision{Named: allowed || bypassNamed || ruleNamed}
	switch {
	case bypass != nil:
		d.Verdict, d.Reason = Tunnel, bypass.reason
	case rule != nil:
		d.Verdict, d.Reason = Intercept, rule.reason
	default:
		d.Verdict, d.Reason = s.unmatched, "no rule names this host and port"
		if rule, _ := s.hosts.find(t, true); rule != nil {
			// Some clients open a tunnel even for http://, and wonder.
			d.Reason = "plaintext_not_injected: " + rule.reason + " does not act in a tunnel to port 80"
		}
	}
	return d
}

// DeniesAddr reports whether the deny_list holds the address that a name
// resolved to: an operator who denies a range does not expect a name to lead
// there. It is false for an allow_list, which has approved of the name.
func (s *Set) DeniesAddr(a netip.AddrPort) bool {
	if s.access == nil || s.allow {
		return false
	}
	addr := a.Addr().Unmap().WithZone("")
	entry, _ := s.access.find(Target{host: addr.String(), port: a.Port(), addr: addr}, false)
	return entry != nil
}

// A Request is what rules look at.
type Request struct {
	Target    Target
	Plaintext bool   // it came as http://, not through TLS
	Method    string // case matters
	Path      string // as sent, without the query
	Header    HeaderMatcher
}

// A HeaderMatcher looks into the header of a request. HasField reports whether
// there is a field of that name, in whatever case, with exactly that value.
type HeaderMatcher interface{ HasField(name, value string) bool }

// An Outcome is what [Set.Match] found.
type Outcome uint8

const (
	NoRule               Outcome = iota // forward the request as it is
	Matched                             // the rule acts
	AmbiguousPath                       // refuse the request: see Match
	PlaintextNotInjected                // forward as it is; over TLS the rule would act
)

// A Match is the outcome for one request. Rule is nil only for NoRule.
type Match struct {
	Outcome Outcome
	Rule    *Rule
}

// Match returns the first enabled rule, in file order, all of whose conditions
// the request meets. It does not look at access_control and no_proxy, which
// Decide does.
//
// A condition on the path holds only if it holds for every way to read the path
// that some server might use: percent-decoded once or twice, with ;parameters cut
// off, backslashes as slashes, slashes merged, dot segments removed, in any order.
// If it holds for some of them and not for others, the outcome is AmbiguousPath.
// A %2F can be written in a pattern and then means that spelling; /projects/*
// matches /projects/group%2Fname/x, as all readings of it lie below /projects/,
// while /projects/*/x does not: read with a slash it has one segment more. Write
// /projects/**/x for both.
func (s *Set) Match(q Request) Match { return s.match(&q, nil) }

// match is Match. If stages is not nil, it has an element for each rule and is
// filled with how far the request got with it.
func (s *Set) match(q *Request, stages []stage) Match {
	if s.hosts == nil {
		return Match{}
	}
	var (
		path  = pathReader{raw: q.Path}
		best  Match
		plain *Rule // the first that would act if this were not plain HTTP
	)
	for list := range s.hosts.candidates(q.Target.host) {
		for _, p := range list {
			if best.Rule != nil && p.order >= best.Rule.order {
				break
			}
			at := p.rule.try(q, p, &path)
			if stages != nil {
				stages[p.order] = max(stages[p.order], at)
			}
			switch {
			case at == passed:
				best = Match{Matched, p.rule}
			case at == failedReadings:
				best = Match{AmbiguousPath, p.rule}
			case at == failedPlaintext && (plain == nil || p.order < plain.order):
				plain = p.rule
			}
		}
	}
	if best.Rule == nil && plain != nil {
		best = Match{PlaintextNotInjected, plain}
	}
	return best
}

// A Step says what became of one rule.
type Step struct {
	Rule    string
	Matched bool   // all conditions hold
	Why     string // in words
}

// Explain is Match with a step for each rule in file order, those that are not
// enabled and those that come too late included.
func (s *Set) Explain(q Request) (Match, []Step) {
	stages := make([]stage, len(s.all))
	m := s.match(&q, stages)
	decided := len(s.all)
	if m.Outcome == Matched || m.Outcome == AmbiguousPath {
		decided = m.Rule.order
	}
	steps := make([]Step, len(s.all))
	for i, r := range s.all {
		switch {
		case !r.enabled:
			steps[i] = Step{Rule: r.Name, Why: "not enabled"}
		case !s.has(r):
			steps[i] = Step{Rule: r.Name, Why: "not a rule of this client"}
		case i > decided:
			steps[i] = Step{Rule: r.Name, Why: "not reached: rule " + m.Rule.Name + " comes first"}
		default:
			steps[i] = Step{Rule: r.Name, Matched: stages[i] == passed, Why: r.why(&q, stages[i])}
		}
	}
	return m, steps
}

// Rules are the enabled rules in file order.
func (s *Set) Rules() []*Rule { return slices.Clone(s.enabled) }

// Naming returns the enabled rules, in file order, one of which may act on a request over
// TLS to t.
func (s *Set) Naming(t Target) (named []*Rule) {
	if s.hosts == nil {
		return nil
	}
	for list := range s.hosts.candidates(t.host) {
		for _, p := range list {
			if p.port.names(t.port, false) && p.matches(t) {
				named = append(named, p.rule)
			}
		}
	}
	slices.SortFunc(named, func(a, b *Rule) int { return a.order - b.order })
	return slices.Compact(named)
}

// Bases returns what the names of a certificate authority can be constrained to
// without keeping it from any host that the rules name: exact hosts and the
// domains below which wildcards live, and addresses, each sorted. ok is false if a
// pattern has no such domain.
func (s *Set) Bases() (dns []string, ips []netip.Addr, ok bool) {
	ok = true
	for _, r := range s.enabled {
		for _, p := range r.hosts {
			addr, err := netip.ParseAddr(p.host)
			switch {
			case err == nil:
				ips = append(ips, addr)
			case p.host != "" || p.base != "":
				dns = append(dns, p.host+p.base)
			default:
				ok = false
			}
		}
	}
	slices.Sort(dns)
	slices.SortFunc(ips, netip.Addr.Compare)
	return slices.Compact(dns), slices.Compact(ips), ok
}

// join is for messages: "a, b and c".
func join(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}
