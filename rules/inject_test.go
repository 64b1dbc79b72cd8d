package rules

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var vault = map[string]string{"KEY": "s3cr3t", "A.b-c_1": "abc", "TRICK": "${KEY}$$", "EMPTY": "", "BREAK": "a\r\nb", "COLON": "a:b"}

func lookup(name string) (string, error) {
	if v, ok := vault[name]; ok {
		return v, nil
	}
	return "", errMissing
}

var errMissing = errors.New("not set")

func TestTemplates(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"plain", "plain"},
		{"${KEY}", "s3cr3t"},
		{"Bearer ${KEY}", "Bearer s3cr3t"},
		{"$<KEY>", "s3cr3t"},
		{"${KEY}${A.b-c_1}!", "s3cr3tabc!"},
		{"$${KEY}", "${KEY}"},
		{"$$$${KEY}", "$${KEY}"},
		{"$$${KEY}", "$s3cr3t"},
		{"$", "$"},
		{"a$", "a$"},
		{"$$", "$"},
		{"$KEY", "$KEY"},
		{"$5.00 {KEY} <KEY>", "$5.00 {KEY} <KEY>"},
		{"${TRICK}", "${KEY}$$"}, // values are never expanded again
		{"a}b", "a}b"},
	} {
		got, err := parseTemplate(tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if value, _, err := got.expand(lookup); err != nil || value != tt.want {
			t.Errorf("%q: %q, %v; want %q", tt.in, value, err, tt.want)
		}
	}
}

func TestTemplateErrors(t *testing.T) {
	for in, want := range map[string]string{
		"${":           "byte 0: the reference is not closed",
		"x ${KEY":      "byte 2: the reference is not closed",
		"$<KEY}":       "byte 0: the reference is not closed",
		"ab${}":        "byte 2: the reference has no name",
		"${A-b c}":     `byte 0: "A-b c" is not a name`,
		"${1A}":        `byte 0: "1A" is not a name`,
		"$$${KEY:-x}":  `byte 2: "KEY:-x" is not a name`,
		"${KEY}${É}":   `byte 6: "É" is not a name`,
		"${A${KEY}}":   `byte 0: "A${KEY" is not a name`,
		"${KEY} $< a>": `byte 7: " a" is not a name`,
	} {
		if _, err := parseTemplate(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", in, err, want)
		}
	}
	for in, want := range map[string]string{
		"{":      "byte 0: the reference is not closed",
		"x{}":    "byte 1: the reference has no name",
		"{a b}":  `byte 0: "a b" is not a name`,
		"{{A}}":  `byte 0: "{A" is not a name`,
		"a${A}":  "byte 1: a workspace_secret is written {NAME}, without the $",
		"{A}{B ": "byte 3: the reference is not closed",
	} {
		if _, err := parseBraces(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", in, err, want)
		}
	}
}

// injection compiles one rule's only injection.
func injection(t *testing.T, r RuleConfig) Injection {
	t.Helper()
	r.Name, r.MatchHosts = "r", []string{"api.example.com"}
	s, problems := Compile(Config{Rules: []RuleConfig{r}}, Tunnel)
	if s == nil || len(s.Rules()[0].Injections) != 1 {
		t.Fatalf("Compile: %v", problems)
	}
	return s.Rules()[0].Injections[0]
}

func TestExpand(t *testing.T) {
	header := func(kind, value string) RuleConfig {
		return RuleConfig{Headers: []HeaderConfig{{Name: "X-Key", Type: kind, Value: value}}}
	}
	basic := func(username, password string) RuleConfig {
		return RuleConfig{BasicAuth: &BasicAuthConfig{username, password}}
	}
	b64 := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct {
		name       string
		rule       RuleConfig
		header     string
		value      string
		parts      []string
		references []string
		secret     bool
	}{
		{"inject_headers", RuleConfig{InjectHeaders: map[string]string{"authorization": "Bearer ${KEY}"}}, "authorization", "Bearer s3cr3t", []string{"s3cr3t"}, []string{"KEY"}, true},
		{"two references", RuleConfig{InjectHeaders: map[string]string{"X-Key": "${KEY}:${A.b-c_1}:${KEY}"}}, "X-Key", "s3cr3t:abc:s3cr3t", []string{"s3cr3t", "abc", "s3cr3t"}, []string{"A.b-c_1", "KEY"}, true},
		{"literal", RuleConfig{InjectHeaders: map[string]string{"X-Key": "v1"}}, "X-Key", "v1", nil, nil, false},
		{"workspace_secret", header("workspace_secret", "Bearer {KEY}"), "X-Key", "Bearer s3cr3t", []string{"s3cr3t"}, []string{"KEY"}, true},
		{"plaintext", header("plaintext", "2023-06-01"), "X-Key", "2023-06-01", nil, nil, false},
		{"plaintext expands nothing", header("plaintext", "${KEY} {KEY} $$"), "X-Key", "${KEY} {KEY} $$", nil, nil, false},
		{"opaque is a secret", header("opaque", "hush"), "X-Key", "hush", []string{"hush"}, nil, true},
		{"basic_auth", basic("x-access-token", "${KEY}"), "Authorization", b64("x-access-token:s3cr3t"), []string{"s3cr3t"}, []string{"KEY"}, true},
		{"basic_auth, key as username", basic("${KEY}", ""), "Authorization", b64("s3cr3t:"), []string{"s3cr3t"}, []string{"KEY"}, true},
		{"basic_auth, both", basic("${A.b-c_1}", "${KEY}"), "Authorization", b64("abc:s3cr3t"), []string{"abc", "s3cr3t"}, []string{"A.b-c_1", "KEY"}, true},
		{"basic_auth, literal", basic("u", "p:w"), "Authorization", b64("u:p:w"), []string{"p:w"}, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := injection(t, tt.rule)
			value, parts, err := i.Expand(lookup)
			if err != nil {
				t.Fatal(err)
			}
			if i.Name != tt.header || value != tt.value || !slices.Equal(parts, tt.parts) {
				t.Errorf("%s: %s, parts %q; want %s: %s, parts %q", i.Name, value, parts, tt.header, tt.value, tt.parts)
			}
			if !slices.Equal(i.References(), tt.references) || i.Secret() != tt.secret {
				t.Errorf("References() = %q, Secret() = %v", i.References(), i.Secret())
			}
		})
	}
}

// I14: no value comes with an error, and no error holds a value.
func TestExpandErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule RuleConfig
		want string
	}{
		{"not set", RuleConfig{InjectHeaders: map[string]string{"X-Key": "${KEY}${GONE}"}}, "secret GONE: not set"},
		{"empty", RuleConfig{InjectHeaders: map[string]string{"X-Key": "Bearer ${EMPTY}"}}, "secret EMPTY: is empty"},
		{"line break", RuleConfig{InjectHeaders: map[string]string{"X-Key": "${KEY}${BREAK}"}}, "bytes that no header can have"},
		{"colon in username", RuleConfig{BasicAuth: &BasicAuthConfig{"${COLON}", "${KEY}"}}, "username holds a colon"},
		{"username not set", RuleConfig{BasicAuth: &BasicAuthConfig{"${GONE}", "${KEY}"}}, "secret GONE: not set"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			value, parts, err := injection(t, tt.rule).Expand(lookup)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q in it", err, tt.want)
			}
			if value != "" || parts != nil {
				t.Errorf("got %q, %q in spite of the error", value, parts)
			}
			if strings.Contains(err.Error(), vault["KEY"]) {
				t.Errorf("the error holds a secret: %v", err)
			}
			if strings.Contains(tt.want, "not set") && !errors.Is(err, errMissing) {
				t.Errorf("%v does not wrap the error of lookup", err)
			}
		})
	}
}

// FuzzTemplate: a template that parses expands to its text with each reference
// replaced once; with every $ doubled, any text is a literal.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"Bearer ${KEY}", "$<A>$$", "${", "${}", "${A-b c}", "$", "$$$${A}", "a{B}c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		echo := func(name string) (string, error) {
			if !validSecretName(name) {
				return "", fmt.Errorf("%q is no name", name)
			}
			return "${" + name + "}", nil
		}
		if tpl, err := parseTemplate(s); err == nil {
			value, parts, err := tpl.expand(echo)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(s, "$$", "$"); !strings.Contains(s, "$<") && value != want && !strings.Contains(s, "$$$") {
				t.Fatalf("%q expands to %q, want %q", s, value, want)
			}
			for _, part := range parts {
				if !strings.Contains(value, part) {
					t.Fatalf("%q: part %q is not in %q", s, part, value)
				}
			}
		}
		tpl, err := parseTemplate(strings.ReplaceAll(s, "$", "$$"))
		if err != nil {
			t.Fatal(err)
		}
		if value, _, err := tpl.expand(echo); err != nil || value != s || len(tpl.references()) > 0 {
			t.Fatalf("%q with doubled dollars is %q, %v", s, value, err)
		}
		if tpl, err := parseBraces(s); err == nil {
			value, _, err := tpl.expand(func(name string) (string, error) { return "{" + name + "}", nil })
			if err != nil || value != s {
				t.Fatalf("%q with braces is %q, %v", s, value, err)
			}
		}
	})
}
