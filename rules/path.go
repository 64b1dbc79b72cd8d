package rules

import (
	"slices"
	"strings"
)

// maxDecodings is how often a path is percent-decoded: once is what servers do,
// twice is what a server behind a careless gateway does.
const maxDecodings = 2

// maxForms bounds the readings of one path. A path that has more is made to
// confuse; it gets one that no pattern matches.
const maxForms = 64

const tooManyForms = "(too many readings)"

// A form is one way to read a path, after so many decodings.
type form struct {
	path    string
	decoded int
}

// A pathReader compares one raw path with the patterns of rules. It finds the
// forms when they are first needed; the common path has only one and needs none.
type pathReader struct {
	raw   string
	plain bool
	forms []form
}

// match compares every form with the patterns; each form may match another
// pattern. For someForms, with and without are a form that does and one that
// does not match.
func (r *pathReader) match(patterns []pathPattern) (v pathVerdict, with, without string) {
	if r.forms == nil && !r.plain {
		if r.plain = plainPath(r.raw); !r.plain {
			r.forms = pathForms(r.raw)
		}
	}
	if r.plain {
		if matchesAny(patterns, 0, r.raw) {
			return everyForm, "", ""
		}
		return noPath, "", ""
	}
	matched, missed := false, false
	for _, f := range r.forms {
		if matchesAny(patterns, f.decoded, f.path) {
			matched, with = true, f.path
		} else {
			missed, without = true, f.path
		}
	}
	switch {
	case !matched:
		return noPath, "", ""
	case !missed:
		return everyForm, "", ""
	}
	return someForms, with, without
}

// A pathVerdict is what the patterns of a rule say to the forms of a path.
type pathVerdict uint8

const (
	noPath pathVerdict = iota
	everyForm
	someForms
)

// pathForms returns every reading of a raw path that some server might use:
// whatever can be reached from it by these steps in any order.
//
//   - percent-decoding, at most twice
//   - cutting ;parameters off each segment (Servlet containers)
//   - taking \ for / (Windows)
//   - merging slashes
//   - removing dot segments (RFC 3986 5.2.4)
//
// A rule acts only if all of them match. A form that was decoded n times is
// compared with the pattern decoded n times, so that the %2F in GitLab's
// group%2Fname and in npm's @scope%2fname can stand in a pattern, where it means
// a slash inside a name and not one between segments. For a trailing /* both are
// the same.
func pathForms(raw string) []form {
	forms := []form{{path: upperTriplets(raw)}}
	for i := 0; i < len(forms); i++ {
		f := forms[i]
		next := []form{
			{path: stripParameters(f.path), decoded: f.decoded},
			{path: strings.ReplaceAll(f.path, `\`, "/"), decoded: f.decoded},
			{path: mergeSlashes(f.path), decoded: f.decoded},
			{path: removeDots(f.path), decoded: f.decoded},
		}
		if d := percentDecode(f.path); d != f.path && f.decoded < maxDecodings {
			next = append(next, form{path: d, decoded: f.decoded + 1})
		}
		for _, n := range next {
			if slices.Contains(forms, n) {
				continue
			}
			if len(forms) == maxForms {
				return append(forms, form{path: tooManyForms})
			}
			forms = append(forms, n)
		}
	}
	return forms
}

// plainPath reports that there is only one way to read a path: the common case.
func plainPath(s string) bool {
	for i := range len(s) {
		switch s[i] {
		case '%', ';', '\\':
			return false
		case '/':
			if i+1 < len(s) && (s[i+1] == '/' || s[i+1] == '.') {
				return false
			}
		}
	}
	return true
}

// percentDecode decodes every triplet; what is none stays.
func percentDecode(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	b := []byte(s[:i])
	for ; i < len(s); i++ {
		if c, ok := triplet(s[i:]); ok {
			b = append(b, c)
			i += 2
		} else {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// upperTriplets makes %2f and %2F one (RFC 3986 6.2.2.1).
func upperTriplets(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := []byte(s)
	for i := range b {
		if _, ok := triplet(s[i:]); ok {
			copy(b[i+1:], strings.ToUpper(s[i+1:i+3]))
		}
	}
	return string(b)
}

// triplet decodes the %XX that s begins with.
func triplet(s string) (c byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, ok1 := unhex(s[1])
	low, ok2 := unhex(s[2])
	return high<<4 | low, ok1 && ok2
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// stripParameters cuts each segment at its first semicolon.
func stripParameters(s string) string {
	if !strings.Contains(s, ";") {
		return s
	}
	var b strings.Builder
	for i, segment := range strings.Split(s, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		name, _, _ := strings.Cut(segment, ";")
		b.WriteString(name)
	}
	return b.String()
}

func mergeSlashes(s string) string {
	if !strings.Contains(s, "//") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] != '/' || i == 0 || s[i-1] != '/' {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// removeDots removes . and .. segments; an empty segment is one like any other.
func removeDots(s string) string {
	if !strings.Contains(s, "/.") {
		return s
	}
	segments := strings.Split(strings.TrimPrefix(s, "/"), "/")
	kept := segments[:0]
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		case ".":
		default:
			kept = append(kept, segment)
			continue
		}
		if last { // what remains is a directory
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}
