package config

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"keybearer/rules"
)

// Schema returns the JSON Schema (draft 2020-12) of the configuration, made from
// the types that Load decodes into. What it accepts is a superset of what Load
// accepts: patterns, templates and everything that spans two keys are beyond it.
func Schema() ([]byte, error) {
	g := generator{defs: make(map[string]any)}
	schema := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "keybearer configuration",
		"if":      map[string]any{"type": "object", "required": []string{"proxy_config"}},
		"then":    g.schema(reflect.TypeFor[sandboxFile](), field{}),
		"else":    g.schema(reflect.TypeFor[plainFile](), field{}),
		"$defs":   g.defs,
	}
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// generator collects the definitions of struct types by name.
type generator struct{ defs map[string]any }

func (g generator) schema(t reflect.Type, f field) map[string]any {
	switch t.Kind() {
	case reflect.Pointer:
		return g.schema(t.Elem(), f)
	case reflect.Struct:
		if t == reflect.TypeFor[rules.SecretConfig]() {
			return map[string]any{"anyOf": []any{map[string]any{"type": "string"}, g.definition(t)}}
		}
		return g.definition(t)
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": g.schema(t.Elem(), field{})}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": g.schema(t.Elem(), field{})}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.String:
		s := map[string]any{"type": "string"}
		if f.enum != nil {
			s["enum"] = f.enum
		}
		return s
	}
	panic("config: no schema for " + t.String())
}

// definition puts a struct type among the definitions and returns a reference.
func (g generator) definition(t reflect.Type) map[string]any {
	name := t.Name()
	if _, done := g.defs[name]; !done {
		properties := make(map[string]any)
		object := map[string]any{
			"type":                 "object",
			"properties":           properties,
			"additionalProperties": foreign[t],
		}
		g.defs[name] = object
		var required []string
		s := shapeOf(t)
		for name, message := range s.unsupported {
			properties[name] = map[string]any{"enum": []any{nil, "", []any{}, map[string]any{}}, "description": message}
		}
		for _, f := range s.fields {
			p := g.schema(f.typ, f)
			if f.required() {
				required = append(required, f.name)
			} else {
				p = map[string]any{"anyOf": []any{p, map[string]any{"type": "null"}}}
			}
			p["description"] = f.doc
			properties[f.name] = p
		}
		if t == reflect.TypeFor[rules.RuleConfig]() { // a rule with a type, or aws, may have hosts of its own
			required = slices.DeleteFunc(required, func(name string) bool { return name == "match_hosts" })
			object["if"] = map[string]any{"type": "object", "properties": map[string]any{"type": map[string]any{"const": "gcp"}}, "required": []string{"type"}}
			object["then"] = map[string]any{"required": []string{"gcp"}}
			object["else"] = map[string]any{"anyOf": []any{map[string]any{"required": []string{"match_hosts"}}, map[string]any{"required": []string{"aws"}}}}
		}
		if required != nil {
			object["required"] = required
		}
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}

// required follows the words: a doc that begins with Required means it.
func (f field) required() bool { return strings.HasPrefix(f.doc, "Required") }
