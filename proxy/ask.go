package proxy

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"keybearer/secrets"
)

// takesBody reports whether more than the head is needed before the request is sent.
func (x *exchange) takesBody() bool { return x.asking != nil || x.signature != nil }

// ask shows the request, with what there is of its body, to the callback of its rule,
// and does what that answers.
func (x *exchange) ask(c *clientConn, h requestHead, body []byte, whole bool) error {
	r, size, err := x.show(h)
	if err != nil {
		return err
	}
	shown := body[:min(len(body), shownSize)]
	r.BodyTruncated = !whole || len(shown) < len(body)
	if len(shown) > 0 {
		r.Body = shown
	}
	// It is encoded on its way, which takes about three times as much of a body, and eight
	// times as much of a head that JSON has to escape.
	if err := x.held.hold(cap(body) + 3*len(shown) + 8*size + askSize); err != nil {
		return err
	}
	a, err := x.answer(c, r)
	if err != nil {
		return err
	}
	x.asking = nil
	if err := x.held.hold(cap(body)); err != nil {
		return err
	}
	return x.act(a, h)
}

// answer waits for the client's turn, and then for the callback.
func (x *exchange) answer(c *clientConn, r *secrets.Request) (*action, error) {
	leave, err := c.p.questions.enter(c.holder())
	if err != nil {
		return nil, err
	}
	defer leave()
	return x.asking.ask(x.target, r), nil
}

// show is the head of the request as it would be sent if nothing were injected. One that
// JSON would show as another, of bytes that are not UTF-8, cannot be decided about. The
// size is that of target and fields, in bytes.
func (x *exchange) show(h requestHead) (r *secrets.Request, size int, err error) {
	r = &secrets.Request{Method: x.Method, Scheme: "https", Host: x.authority(), Headers: make(map[string][]string), Body: []byte{}}
	if x.plaintext {
		r.Scheme = "http"
	}
	r.URL = r.Scheme + "://" + r.Host + h.target()
	r.Path, r.Query, _ = strings.Cut(h.target(), "?")
	shown := utf8.ValidString(h.target())
	size = len(h.target())
	for name, value := range h.fields {
		if name = http.CanonicalHeaderKey(name); name != "Host" {
			r.Headers[name] = append(r.Headers[name], value)
		}
		shown = shown && utf8.ValidString(value)
		size += len(name) + len(value)
	}
	if !shown {
		return nil, 0, failMalformed.because("the request target or a header has bytes that are not UTF-8, so that it cannot be shown to the callback that decides about it")
	}
	return r, size, nil
}
