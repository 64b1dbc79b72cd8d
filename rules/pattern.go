package rules

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Patterns are compiled to regular expressions, not by gobwas/glob, whose meaning
// they share (a fuzz test compares the two): its matcher backtracks, and a client
// who sends /aaaa… against /*a*b*c*d can keep it busy for minutes. The time of
// package regexp is linear in the text.

// maxAlternatives bounds what {a,b}{c,d}… can multiply to.
const maxAlternatives = 256

// maxPattern bounds the length of a pattern, and with it the depth of {{{….
const maxPattern = 2048

// expandBraces writes out {a,b}: what is left has only *, ** and ? in it, so that
// exact hosts can be told from patterns, and every question about a pattern (is it
// broad, what lies below it) has a simple answer.
func expandBraces(s string) ([]string, error) {
	if len(s) > maxPattern {
		return nil, fmt.Errorf("a pattern is at most %d bytes long", maxPattern)
	}
	if i := strings.IndexAny(s, `[]\`); i >= 0 {
		return nil, fmt.Errorf("%q has no meaning in a pattern; use {a,b} for alternatives", s[i])
	}
	return alternatives(s)
}

func alternatives(s string) ([]string, error) {
	head, rest, found := strings.Cut(s, "{")
	if strings.Contains(head, "}") {
		return nil, errors.New("a } without its {")
	}
	if !found {
		return []string{s}, nil
	}
	choices, rest, err := splitGroup(rest)
	if err != nil {
		return nil, err
	}
	tails, err := alternatives(rest)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, choice := range choices {
		middles, err := alternatives(choice)
		if err != nil {
			return nil, err
		}
		if len(out)+len(middles)*len(tails) > maxAlternatives {
			return nil, fmt.Errorf("the braces stand for more than %d patterns; split it up", maxAlternatives)
		}
		for _, middle := range middles {
			for _, tail := range tails {
				out = append(out, abut(abut(head, middle), tail))
			}
		}
	}
	return out, nil
}

// abut puts two pieces of a pattern side by side. A * at the end of one and a * at
// the beginning of the other stay two stars, which together match what one does;
// they do not become a **, which would match more.
func abut(a, b string) string {
	left, right := strings.TrimRight(a, "*"), strings.TrimLeft(b, "*")
	stars := max(len(a)-len(left), len(b)-len(right))
	return left + strings.Repeat("*", stars) + right
}

// splitGroup splits what follows a { into its alternatives and what follows the
// matching }.
func splitGroup(s string) (choices []string, rest string, err error) {
	depth, start := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case ',':
			if depth == 0 {
				choices, start = append(choices, s[start:i]), i+1
			}
		case '}':
			if depth == 0 {
				return append(choices, s[start:i]), s[i+1:], nil
			}
			depth--
		}
	}
	return nil, "", errors.New("a { without its }")
}

// compileGlob compiles a pattern without braces. * and ? do not match the
// separator; a character after \ stands for itself.
func compileGlob(pattern string, separator byte) (*regexp.Regexp, error) {
	inside := "[^" + regexp.QuoteMeta(string(separator)) + "]"
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for rest := pattern; rest != ""; {
		i := strings.IndexAny(rest, `*?\`)
		if i < 0 {
			i = len(rest)
		}
		b.WriteString(regexp.QuoteMeta(rest[:i]))
		rest = rest[i:]
		switch {
		case rest == "":
		case rest[0] == '\\' && len(rest) > 1:
			b.WriteString(regexp.QuoteMeta(rest[1:2]))
			rest = rest[2:]
		case rest[0] == '?':
			b.WriteString(inside)
			rest = rest[1:]
		case strings.HasPrefix(rest, "**"):
			b.WriteString(".*")
			rest = strings.TrimLeft(rest, "*")
		default:
			b.WriteString(inside + "*")
			rest = rest[1:]
		}
	}
	b.WriteString(`\z`)
	return regexp.Compile(b.String())
}
