package secrets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// maxDotenv is the largest dotenv file, in bytes.
const maxDotenv = 1 << 20

// dotenvFile is the content of a dotenv file. The zero dotenvFile has none.
type dotenvFile struct {
	path   string
	values map[string]string
	perm   fs.FileMode
}

// dotenvEntry is one line of a dotenv file.
type dotenvEntry struct {
	file dotenvFile
	name string
}

func (e dotenvEntry) read() (string, string)    { return e.file.values[e.name], "" }
func (e dotenvEntry) mode() (fs.FileMode, bool) { return e.file.perm, true }
func (e dotenvEntry) String() string            { return "env_file " + e.file.path }

// readDotenvFile reads the file at path; "" is none.
func readDotenvFile(path string) (dotenvFile, error) {
	if path == "" {
		return dotenvFile{}, nil
	}
	fail := func(reason string) (dotenvFile, error) {
		return dotenvFile{}, &Error{Source: "env_file " + path, Reason: reason}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fail(fileReason(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fail(fileReason(err))
	}
	text, err := readBounded(f, maxDotenv)
	switch {
	case err != nil:
		return fail(fileReason(err))
	case len(text) > maxDotenv:
		return fail("larger than 1 MiB; check that it is the right one")
	}
	values, err := parseDotenv(text)
	if err != nil {
		return fail(err.Error())
	}
	return dotenvFile{path: path, values: values, perm: info.Mode().Perm()}, nil
}

// What can be wrong with a line. None of these quotes the line: it may be a
// secret in the wrong place.
var (
	errNoName     = errors.New("expected NAME=value; the name starts with a letter or _")
	errNoEquals   = errors.New("expected = right after the name, without blanks")
	errBlank      = errors.New("blank after =; remove it or quote the value")
	errUnclosed   = errors.New("quote is never closed; close it")
	errAfterQuote = errors.New("text after the closing quote; quote the whole value")
	errEscape     = errors.New(`unknown escape; in double quotes write \\ for a backslash, or use single quotes`)
	errTwice      = errors.New("name is set a second time; keep one of the lines")
)

// parseDotenv reads the lines of a dotenv file:
//
//	# a comment
//	NAME=value # the value ends before a blank and #, or with the line
//	export NAME='literal, may span lines'
//	NAME="with \n \r \t \" \\ \$ escapes, may span lines"
//
// It is strict, for tools disagree about everything else, and never expands a
// $: a secret that contains one is common. An error begins with the number of
// the line.
func parseDotenv(text string) (map[string]string, error) {
	values := map[string]string{}
	p := dotenvParser{rest: strings.TrimPrefix(text, byteOrderMark), line: 1}
	for p.rest != "" {
		start := p.line
		name, value, err := p.next()
		if _, dup := values[name]; err == nil && dup {
			err = errTwice
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", start, err)
		}
		if name != "" {
			values[name] = value
		}
	}
	return values, nil
}

type dotenvParser struct {
	rest string
	line int // number of the line that rest starts in
}

// next parses one entry, blank line or comment; for the latter two the name is
// empty.
func (p *dotenvParser) next() (name, value string, err error) {
	p.blanks()
	if p.lineEnds() {
		p.skipLine()
		return "", "", nil
	}
	if after, ok := strings.CutPrefix(p.rest, "export"); ok && startsBlank(after) {
		p.rest = after
		p.blanks()
	}
	n := nameLen(p.rest)
	if n == 0 {
		return "", "", errNoName
	}
	name, p.rest = p.rest[:n], p.rest[n:]
	if !strings.HasPrefix(p.rest, "=") {
		return "", "", errNoEquals
	}
	p.rest = p.rest[1:]
	value, err = p.value()
	return name, value, err
}

// value parses what follows the = and the rest of the line.
func (p *dotenvParser) value() (value string, err error) {
	switch {
	case strings.HasPrefix(p.rest, "'"):
		value, err = p.literal()
	case strings.HasPrefix(p.rest, `"`):
		value, err = p.escaped()
	default:
		return p.plain()
	}
	if err != nil {
		return "", err
	}
	p.blanks()
	if !p.lineEnds() {
		return "", errAfterQuote
	}
	p.skipLine()
	return value, nil
}

// plain parses a value without quotes.
func (p *dotenvParser) plain() (string, error) {
	line := p.skipLine()
	value := strings.TrimRight(line, " \t")
	if value == "" {
		return "", nil
	}
	if startsBlank(value) {
		if value = strings.TrimLeft(value, " \t"); value[0] == '#' {
			return "", nil
		}
		return "", errBlank
	}
	for i := 1; i < len(value); i++ {
		if value[i] == '#' && startsBlank(value[i-1:]) {
			return strings.TrimRight(value[:i], " \t"), nil
		}
	}
	return value, nil
}

// literal parses a value in single quotes.
func (p *dotenvParser) literal() (string, error) {
	value, rest, ok := strings.Cut(p.rest[1:], "'")
	if !ok {
		return "", errUnclosed
	}
	p.advance(rest)
	return value, nil
}

// escaped parses a value in double quotes.
func (p *dotenvParser) escaped() (string, error) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '"':
			p.advance(p.rest[i+1:])
			return b.String(), nil
		case '\\':
			i++
			if i == len(p.rest) {
				return "", errUnclosed
			}
			c, ok := escapes[p.rest[i]]
			if !ok {
				return "", errEscape
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return "", errUnclosed
}

var escapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '"': '"', '\\': '\\', '$': '$'}

func startsBlank(s string) bool { return s != "" && (s[0] == ' ' || s[0] == '\t') }

func (p *dotenvParser) blanks() { p.rest = strings.TrimLeft(p.rest, " \t") }

// lineEnds tells whether nothing but a comment is left of the line.
func (p *dotenvParser) lineEnds() bool {
	return p.rest == "" || p.rest[0] == '#' || p.rest[0] == '\n' || strings.HasPrefix(p.rest, "\r\n")
}

// skipLine returns the rest of the line without its end and goes past it.
func (p *dotenvParser) skipLine() string {
	line, rest, _ := strings.Cut(p.rest, "\n")
	p.rest = rest
	p.line++
	return strings.TrimSuffix(line, "\r")
}

// advance goes on at rest, which is a tail of p.rest, and counts the lines.
func (p *dotenvParser) advance(rest string) {
	p.line += strings.Count(p.rest[:len(p.rest)-len(rest)], "\n")
	p.rest = rest
}
