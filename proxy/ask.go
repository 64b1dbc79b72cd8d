package proxy

import (
	"net/http"
	"strings"

	"keybearer/secrets"
)

// takesBody reports whether more than the head is needed before the request is sent.
func (x *exchange) takesBody() bool { return x.asking != nil || x.signature != nil }

// ask shows the request, with what there is of its body, to the callback of its rule,
// and does what that answers.
func (x *exchange) ask(h requestHead, body []byte, whole bool) error {
	shown := body[:min(len(body), shownSize)]
	// It is encoded on its way, which takes about three times as much.
	if err := x.held.hold(cap(body) + 3*len(shown)); err != nil {
		return err
	}
	r := x.show(h)
	r.Body, r.BodyTruncated = shown, !whole || len(shown) < len(body)
	a := x.asking.ask(x.target, r)
	x.asking = nil
	if err := x.held.hold(cap(body)); err != nil {
		return err
	}
	return x.act(a, h)
}

// show is the head of the request as it would be sent if nothing were injected.
func (x *exchange) show(h requestHead) *secrets.Request {
	r := &secrets.Request{Method: x.Method, Scheme: "https", Host: x.authority(), Headers: make(map[string][]string)}
	if x.plaintext {
		r.Scheme = "http"
	}
	r.URL = r.Scheme + "://" + r.Host + h.target()
	r.Path, r.Query, _ = strings.Cut(h.target(), "?")
	for name, value := range h.fields {
		if name = http.CanonicalHeaderKey(name); name != "Host" {
			r.Headers[name] = append(r.Headers[name], value)
		}
	}
	return r
}
