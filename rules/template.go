package rules

import (
	"fmt"
	"slices"
	"strings"
)

// A Template is text with references to secrets, written as in inject_headers, that
// is not the value of a header. The zero Template is empty text.
type Template struct{ pieces template }

// ParseTemplate reads ${NAME}, and $$ as a literal $. Its error says where s is wrong.
func ParseTemplate(s string) (Template, error) {
	t, err := parseTemplate(s)
	return Template{t}, err
}

// References lists the names of the secrets in t, in order of appearance.
func (t Template) References() []string { return t.pieces.references() }

// Expand returns the text with every reference replaced by what lookup returns for
// it. An error wraps that of lookup and holds no value.
func (t Template) Expand(lookup func(name string) (string, error)) (string, error) {
	text, _, err := t.pieces.expand(lookup)
	return text, err
}

// A template is a header value with references to secrets in it.
type template []piece

// A piece is literal text or, if secret, the name of a secret.
type piece struct {
	text   string
	secret bool
}

// parseTemplate reads ${NAME} and its synonym $<NAME> as references and $$ as a
// dollar sign; any other $ stands for itself. The error has the byte offset.
func parseTemplate(s string) (template, error) {
	var t template
	for rest := s; ; {
		at := strings.IndexByte(rest, '$')
		if at < 0 || at+1 == len(rest) {
			return t.literal(rest), nil
		}
		t = t.literal(rest[:at])
		switch closing := rest[at+1]; closing {
		case '$':
			t, rest = t.literal("$"), rest[at+2:]
		case '{', '<':
			name, after, err := reference(rest[at+2:], closing)
			if err != nil {
				return nil, fmt.Errorf("byte %d: %w; $$ is a literal $", len(s)-len(rest)+at, err)
			}
			t, rest = append(t, piece{name, true}), after
		default:
			t, rest = t.literal("$"), rest[at+1:]
		}
	}
}

// parseBraces reads {NAME} as a reference: the syntax of type workspace_secret.
func parseBraces(s string) (template, error) {
	var t template
	for rest := s; ; {
		at := strings.IndexByte(rest, '{')
		if at < 0 {
			return t.literal(rest), nil
		}
		offset := len(s) - len(rest) + at
		if at > 0 && rest[at-1] == '$' {
			return nil, fmt.Errorf("byte %d: a workspace_secret is written {NAME}, without the $", offset-1)
		}
		name, after, err := reference(rest[at+1:], '{')
		if err != nil {
			return nil, fmt.Errorf("byte %d: %w", offset, err)
		}
		t, rest = append(t.literal(rest[:at]), piece{name, true}), after
	}
}

// reference reads a name and the bracket that closes it.
func reference(s string, opening byte) (name, rest string, err error) {
	closing := map[byte]string{'{': "}", '<': ">"}[opening]
	name, rest, closed := strings.Cut(s, closing)
	switch {
	case !closed:
		return "", "", fmt.Errorf("the reference is not closed by %q", closing)
	case name == "":
		return "", "", fmt.Errorf("the reference has no name")
	case !validSecretName(name):
		return "", "", fmt.Errorf("%q is not a name: letters, digits, '_', '.' and '-', beginning with a letter or '_'", name)
	}
	return name, rest, nil
}

// validSecretName checks for [A-Za-z_][A-Za-z0-9_.-]*.
func validSecretName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '.' || c == '-')) {
			return false
		}
	}
	return s != ""
}

// literal appends text, joining it to a literal before it.
func (t template) literal(text string) template {
	if n := len(t); n > 0 && !t[n-1].secret {
		t[n-1].text += text
		return t
	}
	if text == "" {
		return t
	}
	return append(t, piece{text: text})
}

// references lists the names of the secrets, in order of appearance.
func (t template) references() []string {
	var names []string
	for _, p := range t {
		if p.secret && !slices.Contains(names, p.text) {
			names = append(names, p.text)
		}
	}
	return names
}

// literals is all of the text that is not a reference.
func (t template) literals() string {
	var b strings.Builder
	for _, p := range t {
		if !p.secret {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// expand fills in the secrets, once: what they hold is not expanded again. parts
// are their values.
func (t template) expand(lookup func(name string) (string, error)) (value string, parts []string, err error) {
	var b strings.Builder
	for _, p := range t {
		if !p.secret {
			b.WriteString(p.text)
			continue
		}
		v, err := lookup(p.text)
		if err != nil {
			return "", nil, fmt.Errorf("secret %s: %w", p.text, err)
		}
		if v == "" { // a header that is all but empty is no credential
			return "", nil, fmt.Errorf("secret %s: is empty; give it a value", p.text)
		}
		b.WriteString(v)
		parts = append(parts, v)
	}
	return b.String(), parts, nil
}
