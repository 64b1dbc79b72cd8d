package http1

import (
	"slices"
	"strings"
)

// Field is one field line, spelled as it was sent.
type Field struct{ Name, Value string }

// Header is the ordered list of the fields of one head or one trailer section.
type Header []Field

// Get returns the value of the first field with that name, compared without
// regard to case, and whether there is one.
func (h Header) Get(name string) (string, bool) {
	for i := range h {
		if equalFold(h[i].Name, name) {
			return h[i].Value, true
		}
	}
	return "", false
}

// Count returns how many fields have that name.
func (h Header) Count(name string) int {
	n := 0
	for i := range h {
		if equalFold(h[i].Name, name) {
			n++
		}
	}
	return n
}

// HasToken reports whether a field with that name lists token, in the
// comma-separated form of RFC 9110 section 5.6.1, without regard to case.
func (h Header) HasToken(name, token string) bool {
	for i := range h {
		if !equalFold(h[i].Name, name) {
			continue
		}
		for t := range strings.SplitSeq(h[i].Value, ",") {
			if equalFold(trimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// Remove drops the fields whose name the function reports, and keeps the order
// of the others.
func (h *Header) Remove(drop func(name string) bool) {
	*h = slices.DeleteFunc(*h, func(f Field) bool { return drop(f.Name) })
}

// Append appends the fields as field lines, without the empty line that ends a
// head. It checks nothing: whoever adds a field vouches for its bytes.
func (h Header) Append(dst []byte) []byte {
	for i := range h {
		dst = append(dst, h[i].Name...)
		dst = append(dst, ": "...)
		dst = append(dst, h[i].Value...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// parse reads field lines from s, which ends with the empty line.
func (h *Header) parse(s string) error {
	*h = (*h)[:0]
	for {
		line, rest, found := strings.Cut(s, "\r\n")
		if !found {
			return errBareLF
		}
		if line == "" {
			return nil
		}
		f, err := parseField(line)
		if err != nil {
			return err
		}
		if len(*h) == MaxFields {
			return ErrTooManyFields
		}
		*h = append(*h, f)
		s = rest
	}
}

func parseField(line string) (Field, error) {
	if line[0] == ' ' || line[0] == '\t' {
		return Field{}, errFolded
	}
	n := 0
	for n < len(line) && isToken[line[n]] {
		n++
	}
	if n == 0 || n == len(line) || line[n] != ':' {
		return Field{}, errFieldName
	}
	value := trimSpace(line[n+1:])
	for i := 0; i < len(value); i++ {
		if isControl[value[i]] {
			return Field{}, errFieldValue
		}
	}
	return Field{Name: line[:n], Value: value}, nil
}

// trimSpace trims optional whitespace (RFC 9110 section 5.6.3): space and tab,
// nothing that Unicode would add.
func trimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// equalFold compares as ASCII. strings.EqualFold would also call the Kelvin
// sign a k; no field name may depend on that.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// isToken marks the characters of a token (RFC 9110 section 5.6.2).
var isToken = charTable("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

// isControl marks what a field value may not hold: every control character but
// the tab (RFC 9110 section 5.5).
var isControl = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = c != '\t'
	}
	t[0x7f] = true
	return t
}()

func charTable(chars string) (t [256]bool) {
	for _, c := range []byte(chars) {
		t[c] = true
	}
	return t
}
