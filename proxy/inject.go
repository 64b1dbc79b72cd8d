package proxy

import (
	"slices"
	"strings"

	"keybearer/proxy/sigv4"
	"keybearer/rules"
)

// requestHead is one as rules may read and change it, whichever protocol it came by.
type requestHead interface {
	rules.HeaderMatcher
	has(match func(name string) bool) bool
	fields(yield func(name, value string) bool)
	remove(drop func(name string) bool)
	add(name, value string)
	rewrite(change func(value string) string) // of every field
	target() string                           // path and query, as sent
	setTarget(string)
}

// setting is an injection with its value.
type setting struct {
	in          rules.Place
	when        rules.When
	name, value string
	placeholder string
	same        func(name string) bool // reports whether a field has that name
}

func newSetting(i rules.Injection, f rules.Field) setting {
	return setting{
		in: i.In, when: i.When, name: f.Name, value: f.Value, placeholder: i.Placeholder,
		same: func(name string) bool { return sameField(f.Name, name) },
	}
}

// inject puts in what the rule has for the request. The client's own fields of those
// names go first, in every spelling that some server takes for the same name.
func (x *exchange) inject(a *action, h requestHead) error {
	switch {
	case a == nil:
		return &failInternal
	case a.err != nil:
		return a.failure()
	case a.signer == nil && len(a.secret) > 0 && isPresigned(h.target()) && !a.replacesParameter(h), a.signer != nil && a.signer.foreign(h):
		x.Reason = "presigned_url: the URL has a signature of its own; nothing was injected"
		x.withhold(h, a.replaces) // anybody can write a URL that looks so
		return nil
	}
	if x.applied = a.wanted(h); len(x.applied) == 0 && len(a.settings) > 0 {
		x.Reason = "the request has nothing that the rule would replace, or all that it would set; nothing was injected"
		x.withhold(h, a.drops)
		return nil
	}
	h.remove(a.drops)
	x.searchable(a, h)
	x.action = a
	for i := range a.settings {
		if x.applies(a, i) {
			a.settings[i].put(h)
		}
	}
	if a.signer != nil {
		return x.claim(a.signer, h)
	}
	return nil
}

// withhold takes fields of the client's out of a request into which nothing is put.
func (x *exchange) withhold(h requestHead, drops func(name string) bool) {
	h.remove(drops)
	x.withheld = drops
}

// replacesParameter reports whether the client has sent a query parameter that the rule
// sets in its place.
func (a *action) replacesParameter(h requestHead) bool {
	return slices.ContainsFunc(a.settings, func(s setting) bool {
		return s.in == rules.InQuery && s.when != rules.IfAbsent && s.present(h)
	})
}

// wanted returns the names of those settings whose condition holds.
func (a *action) wanted(h requestHead) []string {
	names := a.names
	for i := range a.settings {
		if !a.settings[i].wanted(h) {
			names = without(names, a.names[i])
		}
	}
	return names
}

// applies reports whether the setting number i of an action is among those in x.applied.
func (x *exchange) applies(a *action, i int) bool {
	return len(x.applied) == len(a.names) || slices.Contains(x.applied, a.names[i])
}

func without(list []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(other string) bool { return other == name })
}

// searchable asks for a response that can be searched for what was injected: in a
// compressed one it would not be found (I15).
func (x *exchange) searchable(a *action, h requestHead) {
	if a.scrub != rules.ScrubOff && a.needles() != nil && !a.owns("Accept-Encoding") {
		h.remove(isAcceptEncoding)
		h.add("Accept-Encoding", "identity")
	}
}

func isAcceptEncoding(name string) bool { return strings.EqualFold(name, "Accept-Encoding") }

// wanted reports whether the condition of the setting holds.
func (s *setting) wanted(h requestHead) bool {
	switch {
	case s.in == rules.InPlaceholder:
		return places(h, s.placeholder) > 0
	case s.when == rules.Always:
		return true
	}
	return s.present(h) == (s.when == rules.IfPresent)
}

func (s *setting) present(h requestHead) bool {
	if s.in == rules.InQuery {
		return hasParameter(h.target(), s.name)
	}
	return h.has(s.same)
}

// put puts the value into the request.
func (s *setting) put(h requestHead) {
	switch s.in {
	case rules.InPlaceholder:
		swap(h, s.placeholder, s.value)
	case rules.InQuery:
		h.setTarget(setParameter(h.target(), s.name, s.value))
	default:
		if s.when != rules.Always { // or they are gone already
			h.remove(s.same)
		}
		h.add(s.name, s.value)
	}
}

// renew is for the status of a response. If the upstream says that the credentials are
// wrong, those with a lifetime are fetched anew, once: it may have ended early. It
// reports whether to send the request again, with new ones in h, which must be safe.
// Otherwise the next request has them.
func (x *exchange) renew(status int, safe bool, h requestHead) bool {
	if x.action == nil || x.action.lease == nil || x.renewed || !x.action.refuses(status) {
		return false
	}
	x.renewed = true
	a := x.action.lease.renew(x.action)
	if a == nil || !safe {
		return false
	}
	return x.replace(a, h) == nil
}

// replace puts the values of another expansion of the same rule in the places of those
// that were put in before, and signs the request anew if it was signed.
func (x *exchange) replace(a *action, h requestHead) error {
	h.remove(x.action.drops)
	h.remove(a.drops) // a callback may have answered with others
	if len(x.applied) == len(x.action.names) {
		x.applied = a.names
	}
	for i := range a.settings {
		s := &a.settings[i]
		switch {
		case !x.applies(a, i):
		case s.in == rules.InPlaceholder:
			swap(h, x.action.settings[i].value, s.value)
		default:
			s.put(h)
		}
	}
	x.action = a
	if a.signer != nil {
		h.remove(sigv4.Signs)
		return x.sign(h)
	}
	return nil
}

// sent notes that the request, with what was injected, is on its way.
func (x *exchange) sent() { x.Injected = x.applied }
