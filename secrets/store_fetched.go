package secrets

import (
	"maps"
	"reflect"
	"slices"
)

// Needs returns names and what the fetchers among them refer to, sorted.
func (s Sources) Needs(names []string) []string {
	all := map[string]bool{}
	var add func(names []string)
	add = func(names []string) {
		for _, name := range names {
			if all[name] {
				continue
			}
			all[name] = true
			if f := s.Named[name].Fetch; f != nil {
				add(f.References())
			}
		}
	}
	add(names)
	return slices.Sorted(maps.Keys(all))
}

// InCircle reports whether fetching the secret of that name takes the secret itself.
func (s Sources) InCircle(name string) bool {
	f := s.Named[name].Fetch
	return f != nil && slices.Contains(s.Needs(f.References()), name)
}

// takeOver has the fetched secrets of before go on in st, where their source is the
// same.
func (st *Store) takeOver(before *Store) {
	for name, src := range st.named {
		var old source
		if before != nil {
			old = before.named[name]
		}
		switch f := src.(type) {
		case *fetched:
			f.store = st
			if old, ok := old.(*fetched); ok && old.timeout == f.timeout && reflect.DeepEqual(old.fetcher, f.fetcher) {
				st.named[name] = old
				defer old.adopt(st) // once all of st is there
			}
		case *family:
			f.store = st
			if old, ok := old.(*family); ok && reflect.DeepEqual(old.source, f.source) {
				st.named[name] = old
				defer old.adopt(st)
			}
		case *perRequest:
			f.store = st
			if old, ok := old.(*perRequest); ok && reflect.DeepEqual(old.source, f.source) {
				st.named[name] = old
				defer old.adopt(st)
			}
		}
	}
}

// Retire ends what st does by itself, apart from what next, which may be nil, has
// taken over. Look-ups still work.
func (st *Store) Retire(next *Store) {
	for name, src := range st.named {
		if f, ok := src.(*fetched); ok && (next == nil || next.named[name] != src) {
			f.retire()
		}
	}
}

// text is Lookup for a fetcher, which may take text of several lines.
func (st *Store) text(name string) (string, error) {
	src := st.source(name)
	if f, ok := src.(*fetched); ok {
		v, err := f.current()
		if err != nil {
			return "", err
		}
		return *v.text, nil
	}
	return read(name, src, usableLines)
}

// Fetches reports whether the secret of that name is fetched, so that it may change
// at any time.
func (st *Store) Fetches(name string) bool {
	_, ok := st.named[name].(*fetched)
	return ok || st.PerTarget(name) || st.PerRequest(name)
}

// Prefetch begins to fetch those of the secrets that are fetched, all at once.
func (st *Store) Prefetch(names []string) {
	for _, name := range names {
		if f, ok := st.named[name].(*fetched); ok && f.good.Load() == nil {
			f.mu.Lock()
			f.start()
			f.mu.Unlock()
		}
	}
}

// Replace says that an upstream has refused a value of the secret of that name. What
// is fetched is fetched anew, unless that was done a moment ago. Replace waits for
// it and reports whether there is another value now.
func (st *Store) Replace(name string, refused Value) bool {
	f, ok := st.named[name].(*fetched)
	return ok && f.replace(refused)
}

// Check returns why the secret of that name cannot be used, as far as can be told
// without fetching anything. Any error is an [*Error].
func (st *Store) Check(name string) error {
	var f Fetcher
	switch src := st.named[name].(type) {
	case *fetched:
		f = src.fetcher
	case *family:
		f = src.source.Fetch
	case *perRequest:
		f = src.source.Fetch
	default:
		_, err := st.Lookup(name)
		return err
	}
	for _, needed := range f.References() {
		if st.Fetches(needed) {
			if err := st.Check(needed); err != nil {
				return err
			}
		} else if _, err := st.text(needed); err != nil {
			return &Error{name, f.String(), fetchReason(err)}
		}
	}
	return nil
}

// Now returns why the secret of that name cannot be used at this moment. It waits for
// no fetch and begins none: of what is fetched for each target or request it tells what Check
// does. Text of several lines can be used, by fetchers. Any error is an [*Error].
func (st *Store) Now(name string) error {
	switch src := st.source(name).(type) {
	case *fetched:
		return src.now()
	case *family, *perRequest:
		return st.Check(name)
	}
	_, err := st.text(name)
	return err
}
