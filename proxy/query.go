package proxy

import (
	"net/url"
	"strings"
)

// The query is read as its recipients do: pieces between & (or ;, as some still do),
// each a name and a value that are percent-encoded. What is not changed stays byte for
// byte.

// parameters calls f with each piece of a target's query, and puts together what it
// returns; "" leaves a piece out.
func parameters(target string, f func(name, piece string) string) string {
	path, query, ok := strings.Cut(target, "?")
	if !ok {
		return target
	}
	var b strings.Builder
	b.WriteString(path)
	separator := byte('?')
	for {
		end := strings.IndexAny(query, "&;")
		piece := query
		if end >= 0 {
			piece = query[:end]
		}
		name, _, _ := strings.Cut(piece, "=")
		if kept := f(decoded(name), piece); kept != "" || piece == "" {
			b.WriteByte(separator)
			b.WriteString(kept)
			separator = '&'
		}
		if end < 0 {
			return b.String()
		}
		if separator != '?' {
			separator = query[end]
		}
		query = query[end+1:]
	}
}

// decoded is s without its percent-encoding; s itself if it has none that is valid.
func decoded(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

func encoded(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func hasParameter(target, name string) (found bool) {
	parameters(target, func(n, piece string) string {
		found = found || n == name
		return piece
	})
	return found
}

// setParameter returns the target with one parameter of that name.
func setParameter(target, name, value string) string {
	target = parameters(target, func(n, piece string) string {
		if n == name {
			return ""
		}
		return piece
	})
	separator := "?"
	if path, query, ok := strings.Cut(target, "?"); ok {
		if separator = "&"; query == "" {
			target = path + "?"
			separator = ""
		}
	}
	return target + separator + encoded(name) + "=" + encoded(value)
}

// isPresigned reports whether the URL is a credential by itself: those of AWS, Google
// Cloud and Azure for storage. With another one in a header they answer with an error.
func isPresigned(target string) bool {
	if !strings.Contains(target, "ignature=") && !strings.Contains(target, "sig=") {
		return false
	}
	names := make(map[string]bool)
	parameters(target, func(name, piece string) string {
		names[name] = true
		return piece
	})
	return names["X-Amz-Signature"] && names["X-Amz-Credential"] ||
		names["X-Goog-Signature"] && names["X-Goog-Credential"] ||
		names["sig"] && names["sv"] && (names["se"] || names["si"])
}
