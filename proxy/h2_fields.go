package proxy

import (
	"net/http"
	"net/textproto"
)

// fieldMap is a request's fields as admit sees them.
type fieldMap http.Header

func (m fieldMap) HasField(name, value string) bool {
	for _, v := range m[textproto.CanonicalMIMEHeaderKey(name)] {
		if v == value {
			return true
		}
	}
	return false
}

func (m fieldMap) count() (n int) {
	for _, values := range m {
		n += len(values)
	}
	return n
}

func (m fieldMap) remove(drop func(name string) bool) {
	for name := range m {
		if drop(name) {
			delete(m, name)
		}
	}
}

func (m fieldMap) add(name, value string) {
	name = textproto.CanonicalMIMEHeaderKey(name)
	m[name] = append(m[name], value)
}
