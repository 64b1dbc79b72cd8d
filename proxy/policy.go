package proxy

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"keybearer/proxy/http1"
	"keybearer/rules"
	"keybearer/secrets"
)

// Policy is one immutable snapshot of rules and of the values they inject. Rules
// and secrets meet here and nowhere else.
type Policy struct {
	set     *rules.Set
	actions map[*rules.Rule]*action
}

// action is what a rule does to a request, with every reference expanded.
type action struct {
	fields []http1.Field // to be set, in order
	names  []string      // their names, for records
	gone   []string      // names of what is removed and not set
	err    error         // why the rule cannot act; its requests are refused

	scrub   rules.Scrub
	needles func() *needles // what must not come back; made when it is first needed
}

// SecretError says that a rule cannot act because one of its secrets is not
// available.
type SecretError struct {
	Rule, Secret string
	Err          error
}

func (e *SecretError) Error() string {
	return fmt.Sprintf("rule %q needs the secret %s: %v", e.Rule, e.Secret, e.Err)
}

func (e *SecretError) Unwrap() error { return e.Err }

// NewPolicy expands the references of every enabled rule once. The error joins a
// [*SecretError] for each reference that does not resolve; the policy is usable
// all the same: those rules refuse their requests, the others act.
func NewPolicy(set *rules.Set, lookup func(name string) (secrets.Value, error)) (*Policy, error) {
	p := &Policy{set: set, actions: make(map[*rules.Rule]*action)}
	var errs []error
	for _, rule := range set.Rules() {
		a := newAction(rule, lookup)
		p.actions[rule] = a
		errs = append(errs, a.err)
	}
	return p, errors.Join(errs...)
}

func newAction(rule *rules.Rule, lookup func(name string) (secrets.Value, error)) *action {
	a := &action{gone: rule.Remove, scrub: rule.Scrub}
	var errs []error
	var secret []string
	for _, injection := range rule.Injections {
		value, parts, err := injection.Expand(func(name string) (string, error) {
			v, err := lookup(name)
			if err != nil {
				errs = append(errs, &SecretError{Rule: rule.Name, Secret: name, Err: err})
				return "", err
			}
			return v.Reveal(), nil
		})
		if err != nil && len(errs) == 0 {
			errs = append(errs, fmt.Errorf("rule %q: header %s: %w", rule.Name, injection.Name, err))
		}
		a.fields = append(a.fields, http1.Field{Name: injection.Name, Value: value})
		a.names = append(a.names, injection.Name)
		if injection.Secret() {
			secret = append(secret, parts...)
			secret = append(secret, value)
		}
	}
	a.needles = sync.OnceValue(func() *needles { return newNeedles(secret) })
	if a.err = errors.Join(errs...); a.err != nil {
		a.fields = nil // nothing half-expanded stays around
		a.needles = func() *needles { return nil }
	}
	return a
}

// drops reports whether the client's own field of that name is taken out.
func (a *action) drops(name string) bool {
	same := func(other string) bool { return sameField(name, other) }
	return slices.ContainsFunc(a.names, same) || slices.ContainsFunc(a.gone, same)
}
