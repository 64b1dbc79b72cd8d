package proxy

import (
	"slices"
	"strings"

	"keybearer/proxy/http1"
)

// cutAbsolute splits the absolute form of a request target (RFC 9112 section
// 3.2.2), scheme http, into authority and path with query.
func cutAbsolute(target string) (authority, path string, ok bool) {
	if !hasScheme(target, "http") {
		return "", "", false
	}
	rest := target[len("http://"):]
	end := strings.IndexAny(rest, "/?")
	switch {
	case end < 0:
		return rest, "/", true
	case rest[end] == '?':
		return rest[:end], "/" + rest[end:], true
	}
	return rest[:end], rest[end:], true
}

func hasScheme(target, scheme string) bool {
	found, _, ok := strings.Cut(target, "://")
	return ok && strings.EqualFold(found, scheme)
}

// wantsWebSocket reports whether the client asks for one, with no body: Java's
// HttpClient says so with a Content-Length of 0.
func (s *h1) wantsWebSocket(f http1.Framing) bool {
	upgrade, ok := s.req.Header.Get("Upgrade")
	empty := f.Kind == http1.NoBody || f.Kind == http1.Length && f.Length == 0
	return ok && s.req.Minor == 1 && s.req.Method == "GET" && empty &&
		strings.EqualFold(upgrade, "websocket") && s.req.Header.Count("Upgrade") == 1 &&
		s.req.Header.HasToken("Connection", "Upgrade")
}

// stripConnection removes the fields that are about the client's connection,
// those that its Connection field names among them (RFC 9110 section 7.6.1). One
// that names what frames or routes the request is an attempt to have it read in
// two ways. For a WebSocket the two fields that ask for one are written anew.
func (s *h1) stripConnection() error {
	for _, name := range []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer"} {
		if s.req.Header.HasToken("Connection", name) {
			return failMalformed.because("the Connection field names a field that frames or routes the message")
		}
	}
	if err := stripFields(&s.req.Header, isHopByHop); err != nil {
		return err
	}
	if s.upgrade {
		s.req.Header = append(s.req.Header, upgradeFields[:]...)
	}
	return nil
}

var upgradeFields = [...]http1.Field{{Name: "Connection", Value: "Upgrade"}, {Name: "Upgrade", Value: "websocket"}}

// stripFields removes hop-by-hop fields and those that a Connection field names.
func stripFields(h *http1.Header, drops func(name string) bool) error {
	var named []string
	for _, f := range *h {
		if !strings.EqualFold(f.Name, "Connection") {
			continue
		}
		for option := range strings.SplitSeq(f.Value, ",") {
			option = strings.Trim(option, " \t")
			if option != "" && !isFraming(option) {
				named = append(named, option)
			}
		}
	}
	if len(named) > http1.MaxFields {
		return failMalformed.because("the Connection field names more fields than a message may have")
	}
	h.Remove(func(name string) bool {
		return drops(name) || slices.ContainsFunc(named, func(n string) bool { return strings.EqualFold(n, name) })
	})
	return nil
}

// isFraming reports whether a field frames or routes a message: without it, it
// would be another message, so a Connection field that names it has no effect.
func isFraming(name string) bool {
	switch strings.ToLower(name) {
	case "host", "content-length", "transfer-encoding", "trailer":
		return true
	}
	return false
}

// setHost makes the Host field the target's, whatever spelling of it was sent.
func (s *h1) setHost(authority string) {
	for i := range s.req.Header {
		if strings.EqualFold(s.req.Header[i].Name, "Host") {
			s.req.Header[i].Value = authority
			return
		}
	}
	s.req.Header = append(http1.Header{{Name: "Host", Value: authority}}, s.req.Header...)
}

// h1Head is a request as admit sees it.
type h1Head http1.Request

func (h *h1Head) HasField(name, value string) bool {
	for _, f := range h.Header {
		if strings.EqualFold(f.Name, name) && f.Value == value {
			return true
		}
	}
	return false
}

func (h *h1Head) fields(yield func(name, value string) bool) {
	for _, f := range h.Header {
		if !yield(f.Name, f.Value) {
			return
		}
	}
}

func (h *h1Head) remove(drop func(name string) bool) { h.Header.Remove(drop) }

func (h *h1Head) add(name, value string) {
	h.Header = append(h.Header, http1.Field{Name: name, Value: value})
}

func (h *h1Head) has(match func(name string) bool) bool {
	return slices.ContainsFunc(h.Header, func(f http1.Field) bool { return match(f.Name) })
}

func (h *h1Head) rewrite(change func(value string) string) {
	for i := range h.Header {
		h.Header[i].Value = change(h.Header[i].Value)
	}
}

func (h *h1Head) target() string          { return h.Target }
func (h *h1Head) setTarget(target string) { h.Target = target }

// cleanHead takes from a response head what is not for the client.
func (s *h1) cleanHead() error {
	if err := stripFields(&s.resp.Header, dropsFromResponse); err != nil {
		return &failProtocol
	}
	s.resp.Reason = s.mask(s.resp.Reason)
	s.maskFields(s.resp.Header)
	return nil
}

func (s *h1) maskFields(h http1.Header) {
	if s.needles() == nil {
		return
	}
	for i := range h {
		h[i].Name, h[i].Value = s.mask(h[i].Name), s.mask(h[i].Value)
	}
}
