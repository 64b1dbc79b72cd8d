package proxy

import (
	"net/http"
	"strings"

	"keybearer/rules"
)

// requestHead is one as rules may read and change it, whichever protocol it came
// by.
type requestHead interface {
	rules.HeaderMatcher
	remove(drop func(name string) bool)
	add(name, value string)
	target() string // path and query, as sent
	setTarget(string)
}

// inject sets the rule's headers. The client's own fields of those names go
// first, in every spelling that some server takes for the same name.
func (x *exchange) inject(a *action, h requestHead) error {
	if a == nil {
		return &failInternal
	}
	if a.err != nil {
		return a.failure()
	}
	h.remove(a.drops)
	if a.scrub != rules.ScrubOff && a.needles() != nil && !a.drops("Accept-Encoding") {
		// A compressed response could not be searched (I15).
		h.remove(isAcceptEncoding)
		h.add("Accept-Encoding", "identity")
	}
	for _, f := range a.fields {
		h.add(f.Name, f.Value)
	}
	x.action = a
	return nil
}

// renew is for the status of a response. If the upstream says that the credentials are
// wrong, those with a lifetime are fetched anew, once: it may have ended early. It
// reports whether to send the request again, with new headers in h, which must be
// safe. Otherwise the next request has them.
func (x *exchange) renew(status int, safe bool, h requestHead) bool {
	if status != http.StatusUnauthorized || x.action == nil || x.action.lease == nil || x.renewed {
		return false
	}
	x.renewed = true
	a := x.action.lease.renew(x.action)
	return a != nil && safe && x.inject(a, h) == nil
}

// sent notes that the request, with its injected headers, is on its way.
func (x *exchange) sent() {
	if x.action != nil {
		x.Injected = x.action.names
	}
}

func isAcceptEncoding(name string) bool { return strings.EqualFold(name, "Accept-Encoding") }
