package rules

import (
	"slices"
	"strings"
)

// A Rule is one enabled entry of rules. It must not be changed.
type Rule struct {
	Name        string
	Description string
	Injections  []Injection       // in the order in which they are to be set
	Signing     *Signing          // after all else; nil if the rule does not sign
	Remove      []string          // names of fields to take out; none of them is injected
	EnvVars     map[string]string // placeholders for the environment of clients
	Scrub       Scrub

	at        string // where it is written: "rules[1]"
	order     int    // among all rules; those of callbacks come last
	callback  bool
	enabled   bool
	plaintext bool // may inject into plain HTTP
	hosts     []hostPattern
	written   RuleConfig // for people
	paths     []pathPattern
	headers   []headerField
}

// A headerField is one entry of match_headers.
type headerField struct{ name, value string }

// Scrub says in which response bodies injected values are masked.
type Scrub uint8

const (
	ScrubText Scrub = iota // in text, the default
	ScrubAll               // in every body
	ScrubOff               // in none
)

// String is the word used in the configuration.
func (s Scrub) String() string {
	return [...]string{"text", "all", "off"}[s]
}

// References lists the names of all secrets the rule needs, sorted.
func (r *Rule) References() []string {
	var names []string
	for _, i := range r.Injections {
		names = append(names, i.References()...)
	}
	for _, i := range r.Signing.Keys() {
		names = append(names, i.References()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Hosts are the host patterns, as written.
func (r *Rule) Hosts() []string { return slices.Clone(r.written.MatchHosts) }

// Paths are the path patterns, as written; none means every path.
func (r *Rule) Paths() []string { return slices.Clone(r.written.MatchPaths) }

// Methods are the request methods; none means every method.
func (r *Rule) Methods() []string { return slices.Clone(r.written.MatchMethods) }

// Headers are the "name: value" conditions, as written; all must hold.
func (r *Rule) Headers() []string { return slices.Clone(r.written.MatchHeaders) }

// ClientCertificate names the files of the certificate that is shown to upstreams; nil
// if the rule has none.
func (r *Rule) ClientCertificate() *CertificateConfig { return r.written.ClientCertificate }

// Plaintext reports whether the rule injects into plain HTTP too.
func (r *Rule) Plaintext() bool { return r.plaintext }

// carriesSecret reports whether a request that the rule acts on holds a secret, or comes
// with one.
func (r *Rule) carriesSecret() bool {
	return r.Signing != nil || r.written.ClientCertificate != nil || slices.ContainsFunc(r.Injections, Injection.Secret)
}

// A stage is how far a request got with a rule: at which condition it failed, or
// that it passed them all. Later stages are greater.
type stage uint8

const (
	failedHost stage = iota
	failedPort
	failedMethod
	failedHeader
	failedPath
	failedPlaintext
	failedReadings // some readings of the path match, some do not
	passed
)

// try compares a request with a rule, one of whose hosts p is. The path comes
// last: an ambiguous one is only refused if all else matches.
func (r *Rule) try(q *Request, p *hostPattern, path *pathReader) stage {
	if !p.matches(q.Target) {
		return failedHost
	}
	if !p.port.names(q.Target.port, q.Plaintext) {
		return failedPort
	}
	if m := r.written.MatchMethods; len(m) > 0 && !slices.Contains(m, q.Method) {
		return failedMethod
	}
	for _, h := range r.headers {
		if q.Header == nil || !q.Header.HasField(h.name, h.value) {
			return failedHeader
		}
	}
	readings := everyForm
	if len(r.paths) > 0 {
		readings, _, _ = path.match(r.paths)
	}
	switch {
	case readings == noPath:
		return failedPath
	case q.Plaintext && !(r.plaintext && (p.port != portDefault || q.Target.port == 80)):
		return failedPlaintext
	case readings == someForms:
		return failedReadings
	}
	return passed
}

// why puts the outcome of try into words.
func (r *Rule) why(q *Request, at stage) string {
	switch at {
	case failedHost:
		return "the host is not among " + strings.Join(r.written.MatchHosts, ", ")
	case failedPort:
		return "the host is named, but not with this port"
	case failedMethod:
		return "the method is not among " + strings.Join(r.written.MatchMethods, ", ")
	case failedHeader:
		return "the request lacks one of the headers " + strings.Join(r.written.MatchHeaders, ", ")
	case failedPath:
		return "the path is not among " + strings.Join(r.written.MatchPaths, ", ")
	case failedPlaintext:
		return "all matches, but nothing is injected into plain HTTP without allow_plaintext"
	case failedReadings:
		_, with, without := (&pathReader{raw: q.Path}).match(r.paths)
		return "the path is ambiguous: read as " + with + " it matches, read as " + without + " it does not"
	}
	return "all conditions hold"
}
