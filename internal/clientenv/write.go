package clientenv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// formats are the renderings of Write. Each appends all variables to b; a
// value it has no way to express is an error.
var formats = []struct {
	name   string
	render func(b *bytes.Buffer, vars []Variable) error
}{
	{"sh", eachLine(shLine)},
	{"fish", eachLine(fishLine)},
	{"powershell", eachLine(powershellLine)},
	{"dotenv", eachLine(dotenvLine)},
	{"docker", eachLine(dockerLine)},
	{"github", eachLine(githubLine)},
	{"json", renderJSON},
}

// Formats returns the formats that Write knows:
//
//	sh          export statements for any POSIX shell
//	fish        set -gx statements
//	powershell  assignments to $env:
//	dotenv      NAME=value, quoted where needed
//	docker      for docker run --env-file, which knows no quotes
//	github      for appending to $GITHUB_ENV in an Actions job
//	json        one object
func Formats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// Write writes the variables to w in the given format, in one call or not at
// all. Evaluated as its format says, the output sets each variable to exactly
// its value and does nothing else, whatever the value contains. Names that are
// not [A-Za-z_][A-Za-z0-9_]* are refused, as are values that are not UTF-8 or
// contain NUL, and for docker those with line breaks.
func Write(w io.Writer, format string, vars []Variable) error {
	i := slices.Index(Formats(), format)
	if i < 0 {
		return fmt.Errorf("unknown format %q; use one of %s", format, strings.Join(Formats(), ", "))
	}
	for _, v := range vars {
		if err := v.check(); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := formats[i].render(&b, vars); err != nil {
		return fmt.Errorf("format %s: %w", format, err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (v Variable) check() error {
	for i, r := range v.Name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return fmt.Errorf("variable %q: name has characters other than letters, digits and _; rename it", v.Name)
		}
	}
	switch {
	case v.Name == "":
		return fmt.Errorf("variable without a name; give it one")
	case strings.Contains(v.Value, "\x00"):
		return fmt.Errorf("variable %s: value contains a NUL byte, which no environment can hold; remove it", v.Name)
	case !utf8.ValidString(v.Value):
		return fmt.Errorf("variable %s: value is not UTF-8; use a path without such bytes", v.Name)
	}
	return nil
}

// eachLine renders one variable after the other.
func eachLine(line func(Variable) (string, error)) func(*bytes.Buffer, []Variable) error {
	return func(b *bytes.Buffer, vars []Variable) error {
		for _, v := range vars {
			s, err := line(v)
			if err != nil {
				return err
			}
			b.WriteString(s + "\n")
		}
		return nil
	}
}

// In single quotes a POSIX shell takes everything literally; a quote itself
// has to stand outside (POSIX.1-2024, XCU 2.2.2).
func shLine(v Variable) (string, error) {
	return "export " + v.Name + "='" + strings.ReplaceAll(v.Value, "'", `'\''`) + "'", nil
}

// fish knows two escapes in single quotes: \\ and \'.
func fishLine(v Variable) (string, error) {
	return "set -gx " + v.Name + " '" + fishEscapes.Replace(v.Value) + "'", nil
}

var fishEscapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

// PowerShell takes typographic quotes for single quotes as well; each is
// written twice. Assigning "" there removes the variable, which for clients is
// the same.
func powershellLine(v Variable) (string, error) {
	return "$env:" + v.Name + " = '" + powershellEscapes.Replace(v.Value) + "'", nil
}

var powershellEscapes = strings.NewReplacer("'", "''", "\u2018", "\u2018\u2018", "\u2019", "\u2019\u2019",
	"\u201a", "\u201a\u201a", "\u201b", "\u201b\u201b")

// There is no one dotenv. Plain where every reader agrees, else single quotes,
// which no reader expands anything in; double quotes with escapes, where
// readers differ, for the few values that leave no choice.
func dotenvLine(v Variable) (string, error) {
	switch {
	case !strings.ContainsFunc(v.Value, notPlain):
		return v.Name + "=" + v.Value, nil
	case !strings.ContainsAny(v.Value, "'\\\r\n"):
		return v.Name + "='" + v.Value + "'", nil
	}
	return v.Name + `="` + dotenvEscapes.Replace(v.Value) + `"`, nil
}

func notPlain(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._/:,@%+=", r))
}

var dotenvEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", `\n`, "\r", `\r`)

// docker takes the rest of the line as the value, quotes and all, and has no
// way to go on in the next.
func dockerLine(v Variable) (string, error) {
	if strings.ContainsAny(v.Value, "\r\n") {
		return "", fmt.Errorf("variable %s: value has a line break, which docker's --env-file cannot hold; set it with docker run -e", v.Name)
	}
	return v.Name + "=" + v.Value, nil
}

// The runner takes NAME=value to the end of the line, or with NAME<<WORD all
// lines up to one that is WORD. A word that is a line of the value would end it
// early and let the rest of the value set other variables.
func githubLine(v Variable) (string, error) {
	if !strings.ContainsAny(v.Value, "\r\n") {
		return v.Name + "=" + v.Value, nil
	}
	word := "KEYBEARER_END"
	for strings.Contains(v.Value, word) {
		word += "_"
	}
	return v.Name + "<<" + word + "\n" + v.Value + "\n" + word, nil
}

func renderJSON(b *bytes.Buffer, vars []Variable) error {
	object := make(map[string]string, len(vars))
	for _, v := range vars {
		object[v.Name] = v.Value
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(object)
}
