package proxy

import (
	"net/http"
	"net/textproto"
	"net/url"
)

// h2Head is a request as admit sees it.
type h2Head struct {
	fieldMap
	uri string // path and query
}

func (h *h2Head) target() string          { return h.uri }
func (h *h2Head) setTarget(target string) { h.uri = target }

// url is the request's, with the path and the query byte for byte: Opaque is sent
// behind the authority that it begins with, where Path would be encoded anew.
func (h *h2Head) url(authority string) *url.URL {
	return &url.URL{Scheme: "https", Host: authority, Opaque: "//" + authority + h.uri}
}

// fieldMap are fields as net/http has them.
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

func (m fieldMap) fields(yield func(name, value string) bool) {
	for name, values := range m {
		for _, value := range values {
			if !yield(name, value) {
				return
			}
		}
	}
}

func (m fieldMap) remove(drop func(name string) bool) {
	for name := range m {
		if drop(name) {
			delete(m, name)
		}
	}
}

func (m fieldMap) has(match func(name string) bool) bool {
	for name := range m {
		if match(name) {
			return true
		}
	}
	return false
}

func (m fieldMap) rewrite(change func(value string) string) {
	for _, values := range m {
		for i := range values {
			values[i] = change(values[i])
		}
	}
}

func (m fieldMap) add(name, value string) {
	name = textproto.CanonicalMIMEHeaderKey(name)
	m[name] = append(m[name], value)
}
