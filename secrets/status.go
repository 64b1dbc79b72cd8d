package secrets

import "time"

// Since returns since when the secret of that name is what it is: when its file was
// last written to, or it was fetched; the zero time if there is none, or its place
// keeps no time, as the environment.
func (st *Store) Since(name string) time.Time {
	switch src := st.source(name).(type) {
	case *fetched:
		if l := src.good.Load(); l != nil {
			return l.since
		}
	case file:
		return src.modified()
	}
	return time.Time{}
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
