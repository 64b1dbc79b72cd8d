package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// JSON is read with all its escapes, and its places are those of the file.
func TestJSON(t *testing.T) {
	text := "{\n\t\"rules\": [{\"name\": \"\\u00e9\\ud83d\\udd11\\/\",\t\"match_hosts\": [\"api.example.com\"],\n" +
		"\t\"inject_headers\": {\"X-Key\": \"${KEY}\"}}],\n\t\"listen\": \"nowhere\"}"
	got := mustFail(t, text)
	if want := `stdin:4:12: listen: "nowhere" is not an address`; !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
		t.Errorf("got %s, want %s and nothing else", got, want)
	}
	c := mustLoad(t, strings.Replace(text, "nowhere", "127.0.0.1:0", 1))
	if got := c.Policy.Rules[0].Name; got != "\u00e9\U0001f511/" {
		t.Errorf("name: %q", got)
	}
}

// parseJSON makes the tree that yaml.v3 makes, where yaml.v3 can.
func TestJSONTreeIsYAMLTree(t *testing.T) {
	for _, text := range []string{
		`{"a": [1, 2.5, 1e3, -7, true, false, null, "x", "é \" \\ \n"], "b": {}, "c": [],
  "d": {"e": {"f": [[], [[]], {}]}}}`,
		`[]`, `"x"`, ` 7`, "[\n1 ,\n\n 2 ]", `{"é": "ü", "k" : "v"}`,
	} {
		if !json.Valid([]byte(text)) {
			t.Fatalf("%s is not JSON", text)
		}
		var want yaml.Node
		if err := yaml.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		same(t, parseJSON([]byte(text)), want.Content[0])
	}
}

func same(t *testing.T, got, want *yaml.Node) {
	t.Helper()
	if got.Kind != want.Kind || got.Value != want.Value || got.ShortTag() != want.ShortTag() || got.Line != want.Line || got.Column != want.Column || len(got.Content) != len(want.Content) {
		t.Errorf("got %+v, want %+v", got, want)
		return
	}
	for i := range got.Content {
		same(t, got.Content[i], want.Content[i])
	}
}

// Every field of every type of the file can be decoded, has a doc, and is set.
func TestEveryFieldDecodes(t *testing.T) {
	var walk func(t *testing.T, typ reflect.Type, seen map[reflect.Type]bool)
	walk = func(t *testing.T, typ reflect.Type, seen map[reflect.Type]bool) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		for _, f := range shapeOf(typ).fields {
			if f.name == "" || f.doc == "" {
				t.Errorf("%v: field %v has no yaml name or no doc", typ, f)
			}
			walk(t, f.typ, seen)
			n := sample(f.typ, f)
			v := reflect.New(typ).Elem()
			d := &decoder{report: &report{}}
			d.value(n, f.name, v.FieldByIndex(f.index), f)
			if len(d.problems) > 0 || v.FieldByIndex(f.index).IsZero() {
				t.Errorf("%v.%s: %v, left %v", typ, f.name, d.problems, v.FieldByIndex(f.index))
			}
		}
	}
	seen := make(map[reflect.Type]bool)
	walk(t, reflect.TypeFor[plainFile](), seen)
	walk(t, reflect.TypeFor[sandboxFile](), seen)
}

// sample returns a node that decodes into something of type typ that is not zero.
func sample(typ reflect.Type, f field) *yaml.Node {
	scalar := func(tag, value string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return sample(typ.Elem(), f)
	case reflect.Struct:
		s := shapeOf(typ).fields[0]
		return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar("!!str", s.name), sample(s.typ, s)}}
	case reflect.Map:
		return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar("!!str", "key"), sample(typ.Elem(), field{})}}
	case reflect.Slice:
		return &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{sample(typ.Elem(), field{})}}
	case reflect.Bool:
		return scalar("!!bool", "true")
	case reflect.Int64:
		return scalar("!!int", "7")
	}
	if f.enum != nil {
		return scalar("!!str", f.enum[len(f.enum)-1])
	}
	return scalar("!!str", "x")
}

func TestClosest(t *testing.T) {
	names := shapeOf(reflect.TypeFor[plainFile]()).names()
	for _, tc := range []struct{ word, want string }{
		{"rule", "rules"},
		{"ruels", "rules"},
		{"no-proxy", "no_proxy"},
		{"NO_PROXY", "no_proxy"},
		{"noproxy", "no_proxy"},
		{"unmatched_host", "unmatched_hosts"},
		{"unmatched", "unmatched_hosts"},
		{"acess_control", "access_control"},
		{"format", "log_format"},
		{"", ""},
		{"x", ""},
		{"retries", ""},
		{"timeout", ""},
		{strings.Repeat("rules", 1000), ""},
	} {
		if got := closest(tc.word, names); got != tc.want {
			t.Errorf("closest(%.20q) = %q, want %q", tc.word, got, tc.want)
		}
	}
}

// The places of problems are found whatever the spelling of their path, or else
// the nearest thing above.
func TestPlace(t *testing.T) {
	r := &report{}
	r.root = r.parse([]byte("rules:\n  - name: a\n    inject_headers:\n      X-Key: b\n      x.y[0]: c\n"))
	for _, tc := range []struct {
		path         string
		line, column int
	}{
		{"rules[0].inject_headers.X-Key", 4, 14},
		{`rules[0].inject_headers["X-Key"]`, 4, 14},
		{"rules[0].inject_headers[X-Key]", 4, 14},
		{"rules.0.inject_headers.X-Key", 4, 14},
		{`rules[0].inject_headers["x.y[0]"]`, 5, 15},
		{join("rules[0].inject_headers", "x.y[0]"), 5, 15},
		{"rules[0].inject_headers.X-Key.deeper", 4, 14},
		{"rules[0].match_hosts[3]", 2, 5},
		{"rules[0]", 2, 5},
		{"rules[1]", 2, 3},
		{"rules[-1]", 2, 3},
		{"rules[", 2, 3},
		{"other", 1, 1},
		{"", 1, 1},
	} {
		if n := r.place(tc.path); n == nil || n.Line != tc.line || n.Column != tc.column {
			t.Errorf("place(%s) = %+v, want %d:%d", tc.path, n, tc.line, tc.column)
		}
	}
}

// What else LangSmith writes into its documents is not taken for a misspelt key
// of ours.
func TestForeignKeys(t *testing.T) {
	for _, key := range strings.Fields(`access_delegation mount_config run_config preserve_memory_on_stop restore_memory tag_value_ids
		registry_id created_at updated_at stopped_at expires_at status status_message dataplane_url size_class timeout cpu memory storage`) {
		c := mustLoad(t, key+": 1\nproxy_config:"+strings.ReplaceAll(good, "\n", "\n  "))
		if len(c.Warnings) != 1 || c.Warnings[0].Path != key {
			t.Errorf("%s: %v", key, c.Warnings)
		}
	}
}

// Whatever is loaded: no panic, a Config is complete, an Error says something,
// and the schema accepts all that Load accepts.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"../../examples/*.yaml", "../../testdata/*/*.yaml", "../../testdata/*/*.json"} {
		for _, text := range readFiles(f, pattern) {
			f.Add(text)
		}
	}
	f.Add([]byte("\xef\xbb\xbfrules: []"))
	f.Add([]byte("%YAML 1.2\n---\nrules: []\n..."))
	schema := parsedSchema(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := loadText(string(text))
		if err != nil {
			if c != nil || strings.TrimSpace(err.Error()) == "" {
				t.Fatalf("config %v, error %q", c, err)
			}
			return
		}
		if c.Set == nil {
			t.Fatal("a configuration without a set")
		}
		if err := schema.check(schema.root, plainValue(t, text), ""); err != nil {
			t.Fatalf("Load accepts what the schema refuses: %v", err)
		}
	})
}
