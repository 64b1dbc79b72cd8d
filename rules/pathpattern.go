package rules

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"
)

// A pathPattern is one entry of match_paths without braces, decoded 0, 1 and 2
// times.
type pathPattern [maxDecodings + 1]pathGlob

// A pathGlob is a literal, a prefix or a glob.
type pathGlob struct {
	text   string
	prefix bool
	glob   *regexp.Regexp
}

func (g *pathGlob) matches(path string) bool {
	switch {
	case g.glob != nil:
		return g.glob.MatchString(path)
	case g.prefix:
		return strings.HasPrefix(path, g.text)
	}
	return path == g.text
}

// matchesAny reports whether a path decoded so many times matches a pattern.
func matchesAny(patterns []pathPattern, decoded int, path string) bool {
	for i := range patterns {
		if patterns[i][decoded].matches(path) {
			return true
		}
	}
	return false
}

// parsePathPattern reads one entry of match_paths. Braces make it several.
func parsePathPattern(text string) ([]pathPattern, error) {
	if !strings.HasPrefix(text, "/") {
		return nil, errors.New("must begin with a slash")
	}
	written, err := expandBraces(text)
	if err != nil {
		return nil, err
	}
	var out []pathPattern
	for _, w := range written {
		var p pathPattern
		w = upperTriplets(encodeRaw(w))
		for n := range p {
			if p[n], err = compilePath(w); err != nil {
				return nil, err
			}
			w = decodePattern(w)
		}
		out = append(out, p)
	}
	return out, nil
}

// encodeRaw percent-encodes what never stands in a raw path, so that a pattern
// can be written with é or a space.
func encodeRaw(s string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// decodePattern decodes triplets; a decoded * or ? stands for itself.
func decodePattern(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c, ok := triplet(s[i:])
		if !ok {
			b = append(b, s[i])
			continue
		}
		if c == '*' || c == '?' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
		i += 2
	}
	return string(b)
}

// compilePath refuses patterns that no request can match because one form of
// every path that has the feature lacks it.
func compilePath(s string) (pathGlob, error) {
	literal := strings.NewReplacer(`\*`, "x", `\?`, "x").Replace(s)
	switch {
	case strings.Contains(s, "//"):
		return pathGlob{}, errors.New("never matches: slashes are merged before comparing; write one")
	case removeDots(literal) != literal:
		return pathGlob{}, errors.New("never matches: . and .. are removed before comparing; leave them out")
	case strings.Contains(s, ";"):
		return pathGlob{}, errors.New("never matches: ;parameters are removed before comparing; leave them out")
	case strings.Contains(s, `\\`):
		return pathGlob{}, errors.New("never matches: a backslash is read as a slash; leave it out")
	case !utf8.ValidString(s):
		return pathGlob{}, errors.New("is not valid UTF-8 when decoded")
	}
	prefix, spans := strings.CutSuffix(s, "/*")
	if spans {
		s += "*"
		prefix += "/"
	}
	if spans && !strings.ContainsAny(prefix, `*?\`) {
		return pathGlob{text: prefix, prefix: true}, nil
	}
	if !strings.ContainsAny(s, `*?\`) {
		return pathGlob{text: s}, nil
	}
	glob, err := compileGlob(s, '/')
	return pathGlob{text: s, glob: glob}, err
}
