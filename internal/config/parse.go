package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// parse returns the root of the only document in data, or reports why there is
// none and returns nil.
func (r *report) parse(data []byte) *yaml.Node {
	// JSON has escapes that yaml.v3 refuses (\/ and surrogate pairs), and may be
	// indented with tabs anywhere.
	if utf8.Valid(data) && json.Valid(data) {
		return parseJSON(data)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := dec.Decode(&first); {
	case errors.Is(err, io.EOF), err == nil && isNull(first.Content[0]):
		r.errorAt(nil, "", "the file is empty; write at least rules: (examples/ has some to copy)")
		return nil
	case err != nil:
		r.syntax(data, err)
		return nil
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			r.syntax(data, err)
			return nil
		}
		r.errorAt(&second, "", "a second document begins here; a configuration is one document: remove the --- line or use two files")
		return nil
	}
	return first.Content[0]
}

var (
	yamlLine      = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	unknownAnchor = regexp.MustCompile(`unknown anchor '(.*)' referenced`)
	// what yaml.v3's parser says, as opposed to its scanner, is one line late
	fromParser = regexp.MustCompile(`^did not find expected (key|node content|'-'|',' or|<)`)
)

// syntax reports an error of yaml.v3, which is text with at most a line in it,
// and with what follows an unquoted * in it.
func (r *report) syntax(data []byte, err error) {
	const quote = "put a value that begins with * or & in quotes: \"*.example.com\""
	if m := unknownAnchor.FindStringSubmatch(err.Error()); m != nil {
		r.errorAt(find(data, "*"+m[1]), "", "not valid YAML: unknown anchor; %s", quote)
		return
	}
	if first := bytes.TrimSpace(data); bytes.HasPrefix(first, []byte("{")) {
		r.syntaxJSON(data)
		return
	}
	at := &yaml.Node{Line: 1} // yaml.v3 leaves the line out when it is the first
	m := yamlLine.FindStringSubmatch(err.Error())
	text := strings.TrimPrefix(err.Error(), m[0])
	if m[1] != "" {
		at.Line, _ = strconv.Atoi(m[1])
		if fromParser.MatchString(text) {
			at.Line++
		}
	}
	switch {
	case tabIndented(data, at.Line):
		text += "; YAML is indented with spaces, not tabs"
	case strings.Contains(text, "alphabetic or numeric"):
		text = quote
	}
	r.errorAt(at, "", "not valid YAML: %s", text)
}

// syntaxJSON reports where data, which is not YAML either, ceases to be JSON.
func (r *report) syntaxJSON(data []byte) {
	var syntax *json.SyntaxError
	if err := json.Unmarshal(data, new(any)); !errors.As(err, &syntax) {
		r.errorAt(nil, "", "not valid JSON: it is not UTF-8")
		return
	}
	p := position{line: 1, column: 1}
	p.advance(data[:max(0, syntax.Offset-1)])
	r.errorAt(&yaml.Node{Line: p.line, Column: p.column}, "", "not valid JSON: %v", syntax)
}

// find returns the place of the first s in data.
func find(data []byte, s string) *yaml.Node {
	i := bytes.Index(data, []byte(s))
	if i < 0 {
		return nil
	}
	p := position{line: 1, column: 1}
	p.advance(data[:i])
	return &yaml.Node{Line: p.line, Column: p.column}
}

// tabIndented reports whether a tab indents line n, counted from 1, or one
// beside it: yaml.v3 is not exact.
func tabIndented(data []byte, n int) bool {
	i := 0
	for line := range bytes.Lines(data) {
		i++
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if i >= n-1 && i <= n+1 && bytes.IndexByte(indent, '\t') >= 0 {
			return true
		}
	}
	return false
}

// parseJSON makes the tree that yaml.v3 would have made of data, which must be
// valid JSON.
func parseJSON(data []byte) *yaml.Node {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	p := &jsonParser{data: data, dec: dec, at: position{line: 1, column: 1}}
	return p.value()
}

type jsonParser struct {
	data []byte
	dec  *json.Decoder
	end  int      // of the part of data that at has passed
	at   position // of end
}

// value returns the next value; nil at the end of an array or object. The depth
// of the recursion is bounded by json.Valid.
func (p *jsonParser) value() *yaml.Node {
	before := int(p.dec.InputOffset())
	token, err := p.dec.Token()
	if err != nil {
		panic(fmt.Sprintf("config: valid JSON does not parse: %v", err))
	}
	start := len(p.data) - len(bytes.TrimLeft(p.data[before:], " \t\r\n,:"))
	p.at.advance(p.data[p.end:start])
	p.end = start
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: p.at.line, Column: p.at.column}
	switch t := token.(type) {
	case json.Delim:
		switch t {
		case '{':
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		case '[':
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		default:
			return nil
		}
		for child := p.value(); child != nil; child = p.value() {
			n.Content = append(n.Content, child)
		}
	case string:
		n.Tag, n.Value, n.Style = "!!str", t, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(t)
	case nil:
		n.Tag, n.Value = "!!null", "null"
	}
	return n
}

// position counts as yaml.v3 does: from 1, in characters.
type position struct{ line, column int }

func (p *position) advance(over []byte) {
	if n := bytes.Count(over, []byte("\n")); n > 0 {
		p.line += n
		p.column = 1
		over = over[bytes.LastIndexByte(over, '\n')+1:]
	}
	p.column += utf8.RuneCount(over)
}
