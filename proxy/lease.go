package proxy

import (
	"errors"
	"sync/atomic"

	"keybearer/rules"
	"keybearer/secrets"
)

// lease is what a rule does to requests if it has secrets with a lifetime: an action
// that is expanded anew when one of them has been renewed, and not for each request.
// It is safe for concurrent use.
type lease struct {
	rule  *rules.Rule
	store *secrets.Store
	stay  map[string]finding // the secrets that stay as they are
	names []string           // the secrets that do not
	last  atomic.Pointer[expanded]

	identity *identity // that the rule shows to upstreams
	unshown  error     // why it cannot
}

// finding is the result of a look-up.
type finding struct {
	value secrets.Value
	err   error
}

// expanded is an action with the values that it was made of, in the order of names.
type expanded struct {
	*action
	values []secrets.Value
}

// newLease looks up the secrets of a rule.
func newLease(rule *rules.Rule, store *secrets.Store) *lease {
	l := &lease{rule: rule, store: store, stay: make(map[string]finding)}
	for _, name := range rule.References() {
		if store.Fetches(name) {
			l.names = append(l.names, name)
			continue
		}
		value, err := store.Lookup(name)
		l.stay[name] = finding{value, err}
	}
	return l
}

// current returns the action with the values that are in force now.
func (l *lease) current() *action {
	last := l.last.Load()
	if last != nil && l.holds(last) {
		return last.action
	}
	fresh := make(map[string]finding)
	values := make([]secrets.Value, len(l.names))
	for i, name := range l.names {
		value, err := l.store.Lookup(name)
		fresh[name], values[i] = finding{value, err}, value
	}
	var before []string
	if last != nil { // what was valid a moment ago often still is
		before = last.own
	}
	a := newAction(l.rule, before, func(name string) (secrets.Value, error) {
		f, ok := fresh[name]
		if !ok {
			f = l.stay[name]
		}
		return f.value, f.err
	})
	a.identify(l.identity, l.unshown)
	if len(l.names) == 0 {
		return a
	}
	a.lease = l
	if a.err == nil { // else the next request asks again
		l.last.Store(&expanded{a, values})
	}
	return a
}

// holds reports whether the values of e are still those in force.
func (l *lease) holds(e *expanded) bool {
	for i, name := range l.names {
		if value, err := l.store.Lookup(name); err != nil || value != e.values[i] {
			return false
		}
	}
	return true
}

// renew has the secrets of an action fetched anew, as the upstream has refused it. It
// returns the action with other values, nil if there are none.
func (l *lease) renew(refused *action) *action {
	if last := l.last.Load(); last != nil && last.action == refused {
		for i, name := range l.names {
			l.store.Replace(name, last.values[i])
		}
	}
	if a := l.current(); a != refused && a.err == nil {
		return a
	}
	return nil
}

// failure is what requests are refused with.
func (a *action) failure() *failure {
	var missing *SecretError
	if a.lease != nil && errors.As(a.err, &missing) {
		return failSecret.because("a secret of the rule is not available: %s has expired or cannot be fetched", missing.Secret)
	}
	return &failSecret
}
