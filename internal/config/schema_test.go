package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// The schema accepts every example and valid file, and refuses the files of
// testdata/invalid whose mistake is one of structure.
func TestSchema(t *testing.T) {
	schema := parsedSchema(t)
	for _, pattern := range []string{"../../examples/*.yaml", "../../testdata/valid/*"} {
		for file, text := range readFiles(t, pattern) {
			if slices.Contains([]string{"docker-compose.yaml", "github-actions.yaml", "gitlab-ci.yaml"}, filepath.Base(file)) {
				continue // not configurations, see TestExamples
			}
			if err := schema.check(schema.root, plainValue(t, text), ""); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	structural := []string{"misspelt.yaml", "types.yaml", "types.json", "list.yaml", "text.yaml", "settings.yaml", "secrets.yaml",
		"langsmith-unsupported.yaml", "langsmith-document.yaml", "proxy-config-text.yaml"}
	for _, name := range structural {
		text, err := os.ReadFile(filepath.Join("../../testdata/invalid", name))
		if err != nil {
			t.Fatal(err)
		}
		if schema.check(schema.root, plainValue(t, text), "") == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Each of these is one mistake that an editor should underline.
func TestSchemaIsStrict(t *testing.T) {
	schema := parsedSchema(t)
	for name, text := range map[string]string{
		"unknown key":          "rulez: []",
		"unknown key in rule":  "rules: [{name: a, match_hosts: [b], x: 1}]",
		"rule without name":    "rules: [{match_hosts: [b]}]",
		"rule without hosts":   "rules: [{name: a}]",
		"number as header":     "rules: [{name: a, match_hosts: [b], inject_headers: {X: 1}}]",
		"text as bool":         "rules: [{name: a, match_hosts: [b], enabled: 'true'}]",
		"text as list":         "no_proxy: localhost",
		"wrong choice":         "unmatched_hosts: allow",
		"key of no type":       "rules: [{name: a, aws: {access_key_id: {type: plaintext, value: a}, secret_access_key: b}}]",
		"key that is missing":  "rules: [{name: a, aws: {access_key_id: a}}]",
		"wrong header type":    "rules: [{name: a, match_hosts: [b], headers: [{name: a, type: secret, value: b}]}]",
		"LangSmith's type":     "rules: [{name: a, match_hosts: [b], type: azure}]",
		"LangSmith's callback": "proxy_config: {callbacks: [{}]}",
		"inside proxy_config":  "proxy_config: {rulez: []}",
		"number as cpu":        "{proxy_config: {}, resources: {cpu: 1}}",
		"fraction of seconds":  "{proxy_config: {}, idle_ttl_seconds: 1.5}",
		"list":                 "[]",
	} {
		if schema.check(schema.root, plainValue(t, []byte(text)), "") == nil {
			t.Errorf("%s: %s is accepted", name, text)
		}
	}
}

// Every object but those of LangSmith documents refuses unknown keys, and every
// property says what it is for.
func TestSchemaText(t *testing.T) {
	schema := parsedSchema(t)
	for name, def := range schema.root["$defs"].(map[string]any) {
		def := def.(map[string]any)
		if open := def["additionalProperties"] != false; open != slices.Contains([]string{"sandboxFile", "resources", "volumeMount"}, name) {
			t.Errorf("%s: additionalProperties is %v", name, def["additionalProperties"])
		}
		for key, p := range def["properties"].(map[string]any) {
			if p.(map[string]any)["description"] == "" {
				t.Errorf("%s.%s: no description", name, key)
			}
		}
	}
	again, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if first, _ := Schema(); string(first) != string(again) {
		t.Error("two calls differ")
	}
}

// schemaDoc checks values against the part of JSON Schema that Schema uses.
type schemaDoc struct{ root map[string]any }

func parsedSchema(t testing.TB) schemaDoc {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s schemaDoc
	if err := json.Unmarshal(text, &s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

var schemaWords = []string{"$schema", "$defs", "$ref", "title", "description", "if", "then", "else", "anyOf", "type", "enum", "const",
	"properties", "additionalProperties", "required", "items"}

func (s schemaDoc) check(schema map[string]any, v any, path string) error {
	for word := range schema {
		if !slices.Contains(schemaWords, word) {
			panic("the checker does not know " + word)
		}
	}
	if ref, ok := schema["$ref"].(string); ok {
		def := s.root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")]
		if err := s.check(def.(map[string]any), v, path); err != nil {
			return err
		}
	}
	if cond, ok := schema["if"].(map[string]any); ok {
		branch := "else"
		if s.check(cond, v, path) == nil {
			branch = "then"
		}
		if err := s.check(schema[branch].(map[string]any), v, path); err != nil {
			return err
		}
	}
	if err := s.checkAny(schema, v, path); err != nil {
		return err
	}
	if typ, ok := schema["type"].(string); ok && typ != jsonType(v) {
		return fmt.Errorf("%s: is %s, not %s", path, jsonType(v), typ)
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.ContainsFunc(enum, func(e any) bool { return reflect.DeepEqual(e, v) }) {
		return fmt.Errorf("%s: not one of %v", path, enum)
	}
	if c, ok := schema["const"]; ok && c != v {
		return fmt.Errorf("%s: not %v", path, c)
	}
	return s.checkParts(schema, v, path)
}

func (s schemaDoc) checkAny(schema map[string]any, v any, path string) (err error) {
	options, ok := schema["anyOf"].([]any)
	if !ok {
		return nil
	}
	for _, one := range slices.Backward(options) { // so that the error is that of the first
		if err = s.check(one.(map[string]any), v, path); err == nil {
			return nil
		}
	}
	return err
}

func (s schemaDoc) checkParts(schema map[string]any, v any, path string) error {
	switch v := v.(type) {
	case map[string]any:
		required, _ := schema["required"].([]any)
		for _, key := range required {
			if _, ok := v[key.(string)]; !ok {
				return fmt.Errorf("%s: lacks %s", path, key)
			}
		}
		properties, _ := schema["properties"].(map[string]any)
		for key, value := range v {
			sub, known := properties[key]
			if !known {
				sub = schema["additionalProperties"]
			}
			if sub == false {
				return fmt.Errorf("%s.%s: unknown key", path, key)
			}
			if sub, ok := sub.(map[string]any); ok {
				if err := s.check(sub, value, path+"."+key); err != nil {
					return err
				}
			}
		}
	case []any:
		items, ok := schema["items"].(map[string]any)
		for i, item := range v {
			if ok {
				if err := s.check(items, item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func jsonType(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	}
	panic(fmt.Sprintf("no JSON type for %T", v))
}

// plainValue is what an editor hands to a schema: the document as JSON would
// have it.
func plainValue(t testing.TB, text []byte) any {
	r := &report{}
	root := r.parse(text)
	if root == nil {
		t.Fatalf("%v", r.problems)
	}
	return plain(root)
}

func plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any)
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		l := []any{}
		for _, item := range n.Content {
			l = append(l, plain(item))
		}
		return l
	case yaml.AliasNode:
		return plain(n.Alias)
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return n.Value == "true"
	case "!!int", "!!float":
		var f float64
		if n.Decode(&f) != nil {
			return 0.5
		}
		return f
	}
	return n.Value
}

func readFiles(t testing.TB, pattern string) map[string][]byte {
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(names), err)
	}
	files := make(map[string][]byte)
	for _, name := range names {
		if files[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
