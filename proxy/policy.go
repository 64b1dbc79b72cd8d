package proxy

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"keybearer/proxy/sigv4"
	"keybearer/rules"
	"keybearer/secrets"
)

// Policy is one immutable snapshot of rules and of the values they inject, apart from
// values that have a lifetime (see lease). Rules and secrets meet here and nowhere
// else.
type Policy struct {
	set          *rules.Set
	actions      map[*rules.Rule]*action
	placeholders map[string]string // texts that stand for secrets, by the names of those
	clients      accounts          // who may use the proxy; nil: everybody
}

// action returns what a rule does to a request for a target now. If that depends on the
// request, only its lease is there.
func (p *Policy) action(rule *rules.Rule, t rules.Target) *action {
	a := p.actions[rule]
	if a == nil || a.lease == nil || a.lease.perRequest {
		return a
	}
	return a.lease.of(t).current()
}

// action is what a rule does to a request, with every reference expanded.
type action struct {
	settings []setting              // in order
	names    []string               // of the settings, for records
	gone     []string               // names of fields that are removed and not set
	signer   *signer                // after all settings; nil if the rule does not sign
	drops    func(name string) bool // reports whether the client's own field of that name is taken out, whatever else it sent
	owns     func(name string) bool // reports whether a field of that name is the rule's, not the client's
	replaces func(name string) bool // reports whether the rule lets no field of that name pass as the client sent it
	err      error                  // why the rule cannot act; its requests are refused

	scrub   rules.Scrub
	own     []string        // the secret texts in fields
	secret  []string        // what must not come back: those, and what they were before
	needles func() *needles // the same, made ready to search for when it is first needed

	identity *identity // that upstreams are shown; nil: none
	lease    *lease    // of which it is a part; nil if its values stay as they are
}

// SecretError says that a rule cannot act, or clients cannot be told apart,
// because a secret is not available.
type SecretError struct {
	Owner  string // who needs it: rule "openai", client_auth, client "team-a"
	Secret string // its name
	Err    error
}

func (e *SecretError) Error() string {
	return fmt.Sprintf("%s needs %v", e.Owner, e.Err) // which names the secret
}

func (e *SecretError) Unwrap() error { return e.Err }

// NewPolicy expands the references of every enabled rule, those to secrets that stay
// as they are for good. The error joins a [*SecretError] for each reference that does
// not resolve; the policy is usable all the same: those rules refuse their requests,
// the others act.
func NewPolicy(set *rules.Set, store *secrets.Store) (*Policy, error) {
	p := &Policy{set: set, actions: make(map[*rules.Rule]*action), placeholders: set.Placeholders()}
	var errs []error
	shown := make(identities)
	for _, rule := range set.Rules() {
		l := newLease(rule, store)
		l.identity, l.unshown = shown.of(rule)
		a := l.first()
		p.actions[rule] = a
		errs = append(errs, a.err)
	}
	var err error
	p.clients, err = newAccounts(set, store)
	errs = append(errs, err)
	return p, errors.Join(errs...)
}

// newAction expands the references of a rule. Of what the secrets were before, nothing
// must come back either.
func newAction(rule *rules.Rule, before []string, lookup func(name string) (secrets.Value, error)) *action {
	a := &action{gone: rule.Remove, scrub: rule.Scrub}
	// Once, not in every exchange.
	a.drops, a.replaces = a.takesOut(rules.Always), a.takesOut(rules.Always, rules.IfPresent)
	a.owns = a.takesOut(rules.Always, rules.IfPresent, rules.IfAbsent)
	x := expansion{owner: fmt.Sprintf("rule %q", rule.Name), lookup: lookup}
	var secret []string
	for _, injection := range rule.Injections {
		fields, parts := x.fields(injection)
		for _, f := range fields {
			a.settings = append(a.settings, newSetting(injection, f))
			a.names = append(a.names, f.Name)
			if injection.Name != "" {
				a.names[len(a.names)-1] = injection.String()
			}
			if injection.Secret() {
				parts = append(parts, f.Value)
			}
		}
		if injection.Secret() {
			secret = append(secret, parts...)
		}
	}
	if rule.Signing != nil {
		a.names = append(a.names, rule.Signing.String())
		a.signer = newSigner(rule.Signing, func(key rules.Injection) string {
			value, _ := x.expand(key)
			secret = append(secret, value)
			return value
		})
	}
	if a.err = x.err(); a.err != nil {
		a.settings, a.signer, secret = nil, nil, nil // nothing half-expanded stays around
	}
	a.own, a.secret = secret, slices.Concat(secret, before)
	a.needles = sync.OnceValue(func() *needles { return newNeedles(a.secret) })
	return a
}

// expansion expands the fields of one owner and collects what goes wrong.
type expansion struct {
	owner  string // "rule \"openai\""
	lookup func(name string) (secrets.Value, error)
	errs   []error
}

func (x *expansion) err() error { return errors.Join(x.errs...) }

// expand returns the value of a field and the secret texts that went into it.
func (x *expansion) expand(field rules.Injection) (value string, parts []string) {
	before := len(x.errs)
	value, parts, err := field.Expand(x.reveal)
	x.note(before, field, err)
	return value, parts
}

// fields is expand for an injection that may be several fields.
func (x *expansion) fields(injection rules.Injection) (fields []rules.Field, parts []string) {
	before := len(x.errs)
	fields, parts, err := injection.Fields(x.reveal)
	x.note(before, injection, err)
	return fields, parts
}

// note keeps an error that is not one of a look-up, which reveal has kept.
func (x *expansion) note(before int, injection rules.Injection, err error) {
	if err != nil && len(x.errs) == before {
		x.errs = append(x.errs, fmt.Errorf("%s: header %s: %w", x.owner, injection.Name, err))
	}
}

// reveal returns the text of a secret. It is the only place where one is revealed.
func (x *expansion) reveal(name string) (string, error) {
	v, err := x.lookup(name)
	if err != nil {
		x.errs = append(x.errs, &SecretError{Owner: x.owner, Secret: name, Err: err})
		return "", err
	}
	return v.Reveal(), nil
}

// takesOut returns what reports whether the client's field of a name is removed: one
// of those that are gone, or set on one of these conditions. Those of a signature stay
// for as long as Always is asked for alone: they tell what the client has signed.
func (a *action) takesOut(conditions ...rules.When) func(name string) bool {
	return func(name string) bool {
		return a.signer != nil && slices.Contains(conditions, rules.IfPresent) && sigv4.Signs(name) ||
			slices.ContainsFunc(a.gone, func(gone string) bool { return sameField(gone, name) }) ||
			slices.ContainsFunc(a.settings, func(s setting) bool {
				return s.in == rules.InHeader && slices.Contains(conditions, s.when) && sameField(s.name, name)
			})
	}
}
