package secrets

import "time"

// Status tells of the secret of that name, for people: since when it is what it is,
// and why it cannot be used, nil if it can. It waits for no fetch. Since is when its
// file was last written to, or when it was fetched; the zero time if its place keeps
// no time, as the environment. Any error is an [*Error].
func (st *Store) Status(name string) (since time.Time, err error) {
	switch src := st.source(name).(type) {
	case *fetched:
		return src.status()
	case *family: // one for each target
		return time.Time{}, st.Check(name)
	case file:
		since = src.modified()
	}
	_, err = st.Lookup(name)
	return since, err
}

func (f *fetched) status() (since time.Time, err error) {
	if l := f.good.Load(); l.usable() {
		return l.since, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil {
		return time.Time{}, f.failure
	}
	return time.Time{}, f.problem("not fetched yet; see the log if it stays so")
}

func (f file) modified() time.Time {
	h, err := f.open()
	if err != nil {
		return time.Time{}
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
