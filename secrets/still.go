package secrets

import (
	"errors"
	"io/fs"
)

// Still returns a store for a dry run, which fetches nothing: in place of a secret that
// is fetched it has a text that is none, unless [Store.Check] says why the secret cannot
// be used. All others are those of st.
func (st *Store) Still() *Store {
	still := *st
	still.named = make(map[string]source, len(st.named))
	for name, src := range st.named {
		if st.Fetches(name) {
			src = unfetched{st, name}
		}
		still.named[name] = src
	}
	return &still
}

// unfetched is in the place of a source that is fetched.
type unfetched struct {
	store *Store
	name  string
}

const (
	dummy       = "not-fetched"
	dummyAnswer = `{"X-Not-Fetched":"not-fetched"}` // of a callback: what it sets is not known
)

func (u unfetched) read() (text, reason string) {
	var problem *Error
	switch err := u.store.Check(u.name); {
	case errors.As(err, &problem):
		return "", problem.Reason
	case u.store.PerTarget(u.name), u.store.PerRequest(u.name):
		return dummyAnswer, ""
	}
	return dummy, ""
}

func (u unfetched) mode() (fs.FileMode, bool) { return 0, false }
func (u unfetched) String() string            { return u.store.Describe(u.name) }
