package proxy

import (
	"slices"

	"keybearer/proxy/http1"
	"keybearer/rules"
)

// DryRun tells what a [Proxy] with this policy would do with a request for t from a client
// that has the rules of set. It asks what the proxy asks, and sends nothing. Head is that
// of HTTP/1.1, with path and query in its first line; the body is taken to be empty.
//
// The record is that of the exchange, without numbers and times. If the request would be
// refused, Status, Error and Reason say with what and why; else Status is 0 and Injected
// names what would be put in. Gone are the names of those fields of the client's that
// would not be sent, nor others in their place.
func (p *Policy) DryRun(set *rules.Set, t rules.Target, plaintext bool, head string) (r Record, gone []string) {
	dry := new(Proxy)
	dry.SetPolicy(&Policy{set: set, actions: p.actions, placeholders: p.placeholders})
	s := &h1{p: dry, c: &clientConn{p: dry}}
	s.target, s.plaintext, s.Target, s.Protocol = t, plaintext, t.String(), protoHTTP1
	gone, err := s.rehearse(head)
	if err != nil {
		fail(err).note(&s.Record)
	}
	return s.Record, gone
}

// rehearse does with the request what is done before it is sent.
func (s *h1) rehearse(head string) (gone []string, err error) {
	length, err := http1.RequestLength([]byte(head), 0)
	if err == nil && length != len(head) {
		err = errNotOneHead
	}
	if err == nil {
		err = s.req.Parse(head)
	}
	if err != nil {
		return nil, headFailure(err)
	}
	s.Method = printable(s.req.Method)
	for _, f := range s.req.Header {
		gone = append(gone, f.Name)
	}
	if _, err := s.admit(); err != nil {
		return nil, err
	}
	h := (*h1Head)(&s.req)
	if s.signature != nil {
		if s.signature.unhashed() {
			if err := s.signature.hashed(nil, true); err != nil {
				return nil, err
			}
		}
		if err := s.exchange.sign(h); err != nil {
			return nil, err
		}
	}
	s.sent()
	return slices.DeleteFunc(gone, func(name string) bool {
		return h.has(func(sent string) bool { return sameField(sent, name) })
	}), nil
}

const errNotOneHead = http1.Error("it is not one request head")
