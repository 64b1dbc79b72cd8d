package proxy

import (
	"errors"
	"sync"
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

	perTarget bool   // they are others for each target
	target    string // host:port, of a lease for one target

	perRequest bool             // they are others for each request; see ask
	request    *secrets.Request // of a lease for one request

	mu      sync.Mutex
	targets map[rules.Target]*lease // if perTarget
}

// maxLeases is for how many targets a rule keeps its actions.
const maxLeases = 1000

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
			l.perTarget = l.perTarget || store.PerTarget(name)
			l.perRequest = l.perRequest || store.PerRequest(name)
			continue
		}
		value, err := store.Lookup(name)
		l.stay[name] = finding{value, err}
	}
	return l
}

// first returns the action to begin with. One that depends on the target or the request
// is not there yet.
func (l *lease) first() *action {
	if l.perTarget || l.perRequest {
		return &action{lease: l}
	}
	return l.current()
}

// of returns the lease for a target.
func (l *lease) of(t rules.Target) *lease {
	if !l.perTarget {
		return l
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if one, ok := l.targets[t]; ok {
		return one
	}
	if l.targets == nil {
		l.targets = make(map[rules.Target]*lease)
	}
	for other := range l.targets { // any of them makes room
		if len(l.targets) < maxLeases {
			break
		}
		delete(l.targets, other)
	}
	one := l.forTarget(t)
	l.targets[t] = one
	return one
}

func (l *lease) forTarget(t rules.Target) *lease {
	return &lease{rule: l.rule, store: l.store, stay: l.stay, names: l.names, identity: l.identity, unshown: l.unshown, target: t.String()}
}

// ask returns the action for one request: whoever hands out the secrets is shown it. They
// are not asked for anew if the upstream refuses them.
func (l *lease) ask(t rules.Target, r *secrets.Request) *action {
	one := l.forTarget(t)
	one.request = r
	a := one.current()
	if a.err == nil {
		a.lease = nil
	}
	return a
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
		value, err := l.store.LookupForRequest(name, l.target, l.request)
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
		if value, err := l.store.LookupFor(name, l.target); err != nil || value != e.values[i] {
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
			l.store.ReplaceFor(name, l.target, last.values[i])
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
	switch {
	case a.lease == nil:
		return &failSecret
	case errors.Is(a.err, secrets.ErrRefused):
		return &failCallback
	case errors.As(a.err, &missing) && a.lease.request != nil:
		return failSecret.because("a secret of the rule is not available: %s, which is shown each request, has none for this one", missing.Secret)
	case errors.As(a.err, &missing):
		return failSecret.because("a secret of the rule is not available: %s has expired or cannot be fetched", missing.Secret)
	}
	return failSecret.because("a secret of the rule is not available: what was fetched is nothing that a header can hold")
}
