package secrets

import (
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
)

func TestParseDotenv(t *testing.T) {
	tests := []struct {
		name, in string
		want     map[string]string
	}{
		{"nothing", "", map[string]string{}},
		{"blank lines and comments", "\n  \n# A=1\n\t# B=2\r\n", map[string]string{}},
		{"plain", "A=1\nB=two words\nC=", map[string]string{"A": "1", "B": "two words", "C": ""}},
		{"CRLF", "A=1\r\nB='2'\r\n\r\n", map[string]string{"A": "1", "B": "2"}},
		{"export", "export A=1\n  export\tB=2\nexport=3\nexported=4", map[string]string{"A": "1", "B": "2", "export": "3", "exported": "4"}},
		{"names", "a.b-c_1=x\n_=y", map[string]string{"a.b-c_1": "x", "_": "y"}},
		{"comment after value", "A=1 # one\nB=1#one\nC='1'# one\nD=\"1\" \t# one\nE= # none\nF=#x", map[string]string{"A": "1", "B": "1#one", "C": "1", "D": "1", "E": "", "F": "#x"}},
		{"trailing blanks", "A=1 \t \nB='1 ' ", map[string]string{"A": "1", "B": "1 "}},
		{"equals in value", "A=b=c==", map[string]string{"A": "b=c=="}},
		{"never expanded", "A=$HOME ${X}\nB=\"$HOME `x`\"\nC='$(x)'", map[string]string{"A": "$HOME ${X}", "B": "$HOME `x`", "C": "$(x)"}},
		{"plain is literal", `A=a\nb"c'd`, map[string]string{"A": `a\nb"c'd`}},
		{"single quotes are literal", `A='a\n"b"\'`, map[string]string{"A": `a\n"b"\`}},
		{"escapes", `A="\n\r\t\"\\\$"`, map[string]string{"A": "\n\r\t\"\\$"}},
		{"several lines", "A='1\n2'\nB=\"3\n4\"\nC=5", map[string]string{"A": "1\n2", "B": "3\n4", "C": "5"}},
		{"byte order mark", "\ufeffA=1", map[string]string{"A": "1"}},
	}
	for _, tt := range tests {
		if got, err := parseDotenv(tt.in); err != nil || !maps.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestParseDotenvErrors(t *testing.T) {
	tests := []struct {
		name, in string
		line     int
		want     error
	}{
		{"no name", "=1", 1, errNoName},
		{"name with a digit first", "A=1\n1B=2", 2, errNoName},
		{"no equals", "\n\nsk-live-1234", 3, errNoEquals},
		{"blank before equals", "A =1", 1, errNoEquals},
		{"colon", "A: 1", 1, errNoEquals},
		{"export alone", "export A", 1, errNoEquals},
		{"blank after equals", "A= 1", 1, errBlank},
		{"never closed", "A=1\nB='\n\n", 2, errUnclosed},
		{"never closed, double", "A=\"x\\\"", 1, errUnclosed},
		{"never closed, backslash", `A="x\`, 1, errUnclosed},
		{"text after quote", "A='1'2", 1, errAfterQuote},
		{"two quotes", `A='1' '2'`, 1, errAfterQuote},
		{"unknown escape", `A="\d"`, 1, errEscape},
		{"twice", "A='\n'\nB=1\nA=2", 4, errTwice},
	}
	for _, tt := range tests {
		_, err := parseDotenv(tt.in)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			continue
		}
		if prefix := "line " + strconv.Itoa(tt.line) + ": "; !strings.HasPrefix(err.Error(), prefix) {
			t.Errorf("%s: %v, want %s", tt.name, err, prefix)
		}
	}
}

// FuzzDotenv: no input makes the parser panic or quote the file in an error,
// and what it accepts it also accepts again, written by the simplest writer.
func FuzzDotenv(f *testing.F) {
	for _, seed := range []string{
		"", "A=1\nexport B='x y' # c\r\nC=\"\\n\\\"\\\\\"\n", "A= 1", "A='\n", "\ufeff#\nA=#b", "A=1\nA=2", `A="\$\x"`, "export", "=", "\x00",
	} {
		f.Add(seed)
	}
	reasons := []error{errNoName, errNoEquals, errBlank, errUnclosed, errAfterQuote, errEscape, errTwice}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, in string) {
		values, err := parseDotenv(in)
		if err != nil {
			line, reason, _ := strings.Cut(strings.TrimPrefix(err.Error(), "line "), ": ")
			if n, convErr := strconv.Atoi(line); convErr != nil || n < 1 || n > strings.Count(in, "\n")+1 {
				t.Fatalf("%q: %v", in, err)
			}
			for _, r := range reasons {
				if r.Error() == reason {
					return
				}
			}
			t.Fatalf("%q: unknown reason in %v", in, err)
		}
		var b strings.Builder
		for name, value := range values {
			if !validName(name) {
				t.Fatalf("%q: name %q", in, name)
			}
			b.WriteString(name + `="` + quote.Replace(value) + "\"\n")
		}
		if again, err := parseDotenv(b.String()); err != nil || !maps.Equal(again, values) {
			t.Fatalf("%q: %q, written and read again %q, %v", in, values, again, err)
		}
	})
}
