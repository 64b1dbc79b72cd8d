package secrets

import "time"

// Modified returns when the place that holds the secret of that name was last written
// to; the zero time if there is none or it keeps no such time, as the environment.
func (st *Store) Modified(name string) time.Time {
	if f, ok := st.source(name).(interface{ modified() time.Time }); ok {
		return f.modified()
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
