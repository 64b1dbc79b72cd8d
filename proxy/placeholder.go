package proxy

import (
	"encoding/base64"
	"net/url"
	"strings"

	"keybearer/rules"
)

// swap puts a value wherever the client has sent the text that stands for it: in
// fields, inside of Basic credentials, in values of the query.
func swap(h requestHead, placeholder, value string) {
	h.rewrite(func(field string) string { return swapIn(field, placeholder, value) })
	h.setTarget(parameters(h.target(), func(_, piece string) string {
		name, content, _ := strings.Cut(piece, "=")
		if content = decoded(content); !strings.Contains(content, placeholder) {
			return piece
		}
		return name + "=" + encoded(strings.ReplaceAll(content, placeholder, value))
	}))
}

func swapIn(field, placeholder, value string) string {
	if scheme, credentials, ok := basic(field); ok && strings.Contains(credentials, placeholder) {
		return scheme + base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(credentials, placeholder, value)))
	}
	return strings.ReplaceAll(field, placeholder, value)
}

// basic splits the value of an Authorization field with Basic credentials (RFC 7617)
// into the scheme with its space and the credentials as text.
func basic(field string) (scheme, credentials string, ok bool) {
	const length = len("Basic ")
	if len(field) < length || !strings.EqualFold(field[:length], "Basic ") {
		return "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(field[length:]))
	return field[:length], string(text), err == nil
}

// maxPlaces is in how many places of one request a secret is put: it may be a thousand
// times as long as what stands for it.
const maxPlaces = 16

// checkPlaceholders refuses a request that holds what stands for a secret of another
// rule than the one that matched: the client means the secret to go there, and the
// operator does not. It refuses one with too many places as well.
func (x *exchange) checkPlaceholders(policy view, matched *rules.Rule, h requestHead) error {
	if len(policy.placeholders) == 0 {
		return nil
	}
	var own []rules.Injection
	if matched != nil {
		own = matched.Injections
	}
	for name, text := range policy.placeholders {
		switch {
		case owns(own, name) && places(h, text) > maxPlaces:
			return failHeadSize.because("the request holds the placeholder of %s more than %d times", name, maxPlaces)
		case !owns(own, name) && holds(h, text):
			return failPlaceholder.because("the request holds the placeholder of %s, which no rule puts in here", name)
		}
	}
	return nil
}

func owns(injections []rules.Injection, name string) bool {
	for _, i := range injections {
		if i.In == rules.InPlaceholder && i.Name == name {
			return true
		}
	}
	return false
}

// holds reports whether a text is anywhere in a head, as it is, percent-encoded or in
// Basic credentials.
func holds(h requestHead, text string) bool {
	target, err := url.PathUnescape(h.target())
	return inFields(h, text) || strings.Contains(h.target(), text) || err == nil && strings.Contains(target, text)
}

// places is how often a text is where swap looks for it.
func places(h requestHead, text string) (n int) {
	h.rewrite(func(field string) string {
		_, credentials, _ := basic(field)
		n += max(strings.Count(field, text), strings.Count(credentials, text))
		return field
	})
	parameters(h.target(), func(_, piece string) string {
		_, content, _ := strings.Cut(piece, "=")
		n += strings.Count(decoded(content), text)
		return piece
	})
	return n
}

func inFields(h requestHead, text string) (found bool) {
	h.rewrite(func(field string) string {
		_, credentials, _ := basic(field)
		found = found || strings.Contains(field, text) || strings.Contains(credentials, text)
		return field
	})
	return found
}
