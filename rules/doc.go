// Package rules decides what a forward proxy does with a connection and with
// each request in it. It does no input or output and knows no secret: it turns
// a policy as written ([Config]) into a [Set], and answers three questions.
//
//	target, err := rules.ParseTarget("api.openai.com:443", 0) // who is asked for?
//	decision := set.Decide(target)                            // deny, tunnel or intercept?
//	match := set.Match(rules.Request{Target: target, …})      // which rule acts on this request?
//
// What a matching rule sets is in [Rule.Injections]; [Injection.Expand] fills in
// the secrets, which the caller looks up.
//
// # Targets
//
// A [Target] is the one canonical form of a host and a port: lower case, one
// trailing dot removed, IP addresses as [net/netip] writes them, names in their
// IDNA ASCII form. Text that has no canonical form, such as an octal IPv4
// address, is an error and never "a host that no rule names": whoever resolves
// it later might read it differently than the rules did.
//
// # Host patterns
//
// match_hosts, no_proxy and access_control share one pattern language.
//
//	api.openai.com      that host
//	*.github.com        every subdomain at any depth, never github.com itself
//	s3.*.amazonaws.com  elsewhere * stays inside one label
//	**                  any text, dots included
//	?                   one character, never a dot
//	{a,b}.example.com   a.example.com and b.example.com
//	*                   alone: every host
//	host:8443, host:*   that port, every port
//
// Without a port a rule names 443, and 80 for plain HTTP; an entry of no_proxy or
// access_control names every port. no_proxy reads a plain name as clients read
// NO_PROXY: with its subdomains. no_proxy and access_control take CIDR ranges
// too, access_control also ~regular expressions, searched for in the host.
//
// # Path patterns
//
// Globs on the path without the query: * stays inside one segment, ** spans
// segments, and so does a * that ends the pattern after a slash. What a server
// makes of /v1/..%2fadmin is not known here, so a path matches only if every way
// to read it matches; see [Set.Match].
//
// # Clients
//
// If the policy tells clients apart, [Set.Client] has a [Client] for each: its Set is the
// policy with that client's rules alone, and is asked like any other. What is not a rule,
// no_proxy and access_control, is the same in all of them.
//
// # Non-goals
//
// There is no way to match on a query string or on a body, and no way for one
// request to be acted on by two rules.
package rules
