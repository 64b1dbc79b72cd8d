package proxy

import (
	"slices"
	"strings"

	"keybearer/rules"
)

// exchange is one request on its way, in what HTTP/1.1 and HTTP/2 share.
type exchange struct {
	Record
	target    rules.Target
	named     bool
	plaintext bool
	identity  *identity  // that the upstream is shown; nil: none
	action    *action    // what the rule that matched does; nil if none did
	asking    *lease     // whose action there is once its callback has seen the request; see ask
	hidden    *needles   // see hide
	applied   []string   // names of what inject has put in; not to be changed
	renewed   bool       // see renew
	signature *signature // that the request is to have; nil if its rule does not sign
	held      *holding   // what is held back of it; nil: nothing

	withheld func(name string) bool // what was taken out where nothing was put in; nil: nothing
}

// admit decides whether a request may be sent, and prepares its fields: the
// first enabled rule that matches puts its headers in, or the request is
// refused. Nothing reaches the upstream before admit has returned nil.
func (x *exchange) admit(policy view, method, authority string, h requestHead) error {
	path, _, _ := strings.Cut(h.target(), "?")
	x.Path = printable(path)
	switch strings.ToUpper(method) {
	case "CONNECT", "TRACE", "TRACK", "PRI":
		return failMethod.because("%s is not forwarded", x.Method)
	}
	if len(method) > printableSize { // x.Method is what is signed, and shown
		return failMalformed.because("the method is longer than any")
	}
	if !strings.HasPrefix(path, "/") {
		return failMalformed.because("the request target is not a path")
	}
	if err := x.checkAuthority(authority); err != nil {
		return err
	}
	if err := x.decide(policy); err != nil {
		return err
	}
	if x.Verdict != rules.Intercept {
		return x.checkPlaceholders(policy, nil, h)
	}
	match := policy.set.Match(rules.Request{
		Target: x.target, Plaintext: x.plaintext, Method: method, Path: path, Header: h,
	})
	if match.Rule != nil {
		x.Rule = match.Rule.Name
	}
	if err := x.checkPlaceholders(policy, match.Rule, h); err != nil {
		return err
	}
	switch match.Outcome {
	case rules.Matched:
		x.Reason = "" // the rule is told; that of the connection may be another
		return x.act(policy.action(match.Rule, x.target), h)
	case rules.AmbiguousPath:
		return &failAmbiguous
	case rules.PlaintextNotInjected:
		x.Reason = "plaintext_not_injected"
	case rules.NoRule:
		x.Reason = "no rule matches this request; nothing was injected"
	}
	return nil
}

// act does to the request what the rule that matched does. If that depends on the
// request, it is ask that does it: nothing is sent before.
func (x *exchange) act(a *action, h requestHead) error {
	if a != nil && a.lease != nil && a.lease.perRequest {
		x.asking = a.lease
		return nil
	}
	if err := x.inject(a, h); err != nil {
		return err
	}
	if x.identity = a.identity; x.identity != nil && x.applied == nil { // nothing is put in, and yet it is shown
		x.applied = certificateAlone
	}
	return x.identity.usable()
}

// key is what the connection to the upstream has to be for. There is none for a request
// whose rule has not acted yet (I14).
func (x *exchange) key(c *clientConn) (upstreamKey, error) {
	if x.asking != nil {
		return upstreamKey{}, &failInternal
	}
	return upstreamKey{client: c.client, account: c.account, identity: x.identity, target: x.target, plaintext: x.plaintext}, nil
}

// decide asks the policy in force about the target, for every request: the policy
// may have changed since the connection was opened.
func (x *exchange) decide(policy view) error {
	decide := policy.set.Decide
	if x.plaintext {
		decide = policy.set.DecidePlaintext
	}
	d := decide(x.target)
	x.Verdict, x.Reason, x.named = d.Verdict, d.Reason, d.Named
	if d.Verdict == rules.Deny {
		return denied(x.target, d)
	}
	return nil
}

func denied(t rules.Target, d rules.Decision) error {
	return failDenied.because("%s may not be reached through this proxy: %s", t.Host(), d.Reason)
}

// checkAuthority holds the request to the one target of its connection (I2).
func (x *exchange) checkAuthority(authority string) error {
	if authority == "" || authority == x.authority() {
		return nil
	}
	t, err := rules.ParseTarget(authority, x.defaultPort())
	if err != nil || t != x.target {
		return failMisdirected.because("the request is for %s, the connection for %s", printable(authority), x.target)
	}
	return nil
}

func (x *exchange) defaultPort() uint16 {
	if x.plaintext {
		return 80
	}
	return 443
}

// authority is the Host field or :authority to send: always the target's.
func (x *exchange) authority() string {
	if x.target.Port() != x.defaultPort() {
		return x.target.String()
	}
	if x.target.Addr().Is6() {
		return "[" + x.target.Host() + "]"
	}
	return x.target.Host()
}

// needles returns what must not come back in the response's head, nil if
// anything may.
func (x *exchange) needles() *needles {
	switch {
	case x.hidden != nil:
		return x.hidden
	case x.action == nil || x.action.scrub == rules.ScrubOff:
		return nil
	}
	return x.action.needles()
}

// hide has the credentials of the upstream proxy not come back either, whatever the
// rule says of its own: such proxies quote requests on their pages of errors.
func (x *exchange) hide(credentials []string) {
	if len(credentials) == 0 {
		return
	}
	if x.action != nil && x.action.scrub != rules.ScrubOff {
		credentials = slices.Concat(credentials, x.action.secret)
	}
	x.hidden = newNeedles(credentials)
}

// mask masks in a field or a reason phrase of the response what must not come back.
func (x *exchange) mask(s string) string {
	masked := x.needles().maskString(s)
	if masked != s {
		x.Masked++
	}
	return masked
}

// bodyNeedles returns what must not come back in a body with these fields, nil
// if anything may. A body in which it cannot be searched for is a failure. Both
// fields may have been sent several times: recipients differ in which they read.
func (x *exchange) bodyNeedles(mediaTypes, codings []string) (*needles, error) {
	n := x.needles()
	text := len(mediaTypes) == 0 || slices.ContainsFunc(mediaTypes, isText)
	if whole := x.action != nil && x.action.scrub == rules.ScrubAll; n == nil || !whole && !text {
		return nil, nil
	}
	coded := slices.ContainsFunc(codings, isCoded)
	if coded && x.signature != nil && x.hidden == nil && len(x.action.settings) == 0 {
		return nil, nil // a stored object is as it is, and of what was sent nothing is worth anything
	}
	if coded {
		return nil, failProtocol.because("the upstream encoded the response although it was asked not to, " +
			"so it cannot be searched for the secret (a rule may say scrub_responses: off for its own)")
	}
	return n, nil
}

func isCoded(coding string) bool { return coding != "" && !strings.EqualFold(coding, "identity") }

// isText reports whether a Content-Type is of text. None at all may be.
func isText(mediaType string) bool {
	mediaType, _, _ = strings.Cut(strings.ToLower(mediaType), ";")
	mediaType = strings.TrimSpace(mediaType)
	kind, subtype, _ := strings.Cut(mediaType, "/")
	if kind == "" || kind == "text" || kind == "multipart" || kind == "message" {
		return true
	}
	for _, word := range []string{"json", "xml", "javascript", "ecmascript", "yaml", "graphql", "urlencoded", "toml", "csv"} {
		if strings.Contains(subtype, word) {
			return true
		}
	}
	return false
}

// dropsTrailer reports whether a request's trailer field must not pass: it would
// come back as a second value of an injected header (I13), or as one that was taken out.
func (x *exchange) dropsTrailer(name string) bool {
	return isHopByHop(name) || x.action != nil && x.action.owns(name) || x.withheld != nil && x.withheld(name)
}

// isHopByHop reports whether a field is about one connection and never forwarded
// (RFC 9110 section 7.6.1). Transfer-Encoding and Trailer are not among them:
// the codec writes the framing anew.
func isHopByHop(name string) bool {
	switch len(name) {
	case 2:
		return strings.EqualFold(name, "TE")
	case 7:
		return strings.EqualFold(name, "Upgrade")
	case 10:
		return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive")
	case 14:
		return strings.EqualFold(name, "HTTP2-Settings")
	}
	return len(name) > 6 && strings.EqualFold(name[:6], "Proxy-")
}

// dropsFromResponse reports whether a response's field concerns this connection
// alone. Alt-Svc would move clients to QUIC, past the proxy. Proxy-Status is end
// to end (RFC 9209 section 2).
func dropsFromResponse(name string) bool {
	if strings.EqualFold(name, "Proxy-Status") {
		return false
	}
	return isHopByHop(name) || strings.EqualFold(name, "Alt-Svc")
}

// sameField reports whether some server takes the two names for one: case is
// never told apart, and CGI folds - and _ together.
func sameField(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if fold(a[i]) != fold(b[i]) {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case c == '_':
		return '-'
	}
	return c
}
