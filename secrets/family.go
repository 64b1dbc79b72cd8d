package secrets

import (
	"io/fs"
	"sync"
)

// A TargetFetcher hands out another secret for each target that it is needed for.
// What it fetches is not renewed before somebody asks again: there may be many
// targets, most of them used once.
type TargetFetcher interface {
	Fetcher
	// For returns the fetcher for one target, host:port.
	For(target string) Fetcher
}

// maxTargets is for how many targets a secret is kept. One of them makes room for
// another.
const maxTargets = 1000

// family is a source that has a secret for each target.
type family struct {
	name   string
	source Source

	mu      sync.Mutex
	store   *Store
	members map[string]*fetched // by target
}

// member returns the source for one target.
func (f *family) member(target string) *fetched {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m, ok := f.members[target]; ok {
		return m
	}
	for other := range f.members {
		if len(f.members) < maxTargets {
			break
		}
		delete(f.members, other) // whoever waits for it still gets it
	}
	s := f.source
	s.Fetch = f.source.Fetch.(TargetFetcher).For(target)
	m := newFetched(f.name, s)
	m.store, m.retired = f.store, true // so that nothing is planned
	f.members[target] = m
	return m
}

// adopt has the family go on for another store. What has failed, or was got with other
// secrets, is got anew when it is needed.
func (f *family) adopt(st *Store) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store = st
	for target, m := range f.members {
		m.mu.Lock()
		m.store = st
		stale := m.used != st.digest(m.fetcher) || m.failure != nil
		m.mu.Unlock()
		if stale {
			delete(f.members, target)
		}
	}
}

func (f *family) read() (text, reason string) { return "", "not fetched yet" }
func (f *family) mode() (fs.FileMode, bool)   { return 0, false }
func (f *family) String() string              { return f.source.Fetch.String() }

// LookupFor is [Store.Lookup] for a secret that may be another one for each target,
// host:port.
func (st *Store) LookupFor(name, target string) (Value, error) {
	if f, ok := st.named[name].(*family); ok {
		return f.member(target).current()
	}
	return st.Lookup(name)
}

// ReplaceFor is [Store.Replace] for such a secret.
func (st *Store) ReplaceFor(name, target string, refused Value) bool {
	if f, ok := st.named[name].(*family); ok {
		return f.member(target).replace(refused)
	}
	return st.Replace(name, refused)
}

// PerTarget reports whether the secret of that name is another one for each target.
func (st *Store) PerTarget(name string) bool {
	_, ok := st.named[name].(*family)
	return ok
}
