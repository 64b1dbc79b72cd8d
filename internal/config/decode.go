package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"keybearer/rules"
)

// decoder fills Go values from nodes and reports what does not fit. After a
// problem it still fills in what was probably meant, so that the checks that
// follow do not report the same mistake in other words.
type decoder struct{ *report }

// value fills v, found at path, from n. f describes the field it belongs to.
func (d *decoder) value(n *yaml.Node, path string, v reflect.Value, f field) {
	if !d.ordinary(n, path) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, path, v.Elem(), f)
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Map:
		d.dictionary(n, path, v)
	case reflect.Slice:
		d.list(n, path, v)
	case reflect.Bool:
		if b, err := strconv.ParseBool(n.Value); err == nil && n.ShortTag() == "!!bool" {
			v.SetBool(b)
		} else {
			d.errorAt(n, path, "must be true or false, without quotes, not %s", kind(n))
		}
	case reflect.Int64:
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil && n.ShortTag() == "!!int" {
			v.SetInt(i)
		} else {
			d.errorAt(n, path, "must be a whole number, not %s", kind(n))
		}
	case reflect.String:
		v.SetString(d.text(n, path))
		if f.enum != nil && !slices.Contains(f.enum, v.String()) && !d.tainted(path) {
			d.errorAt(n, path, "must be %s", oneOf(f.enum))
		}
	default:
		panic("config: no way to decode " + v.Type().String())
	}
}

// ordinary refuses what YAML has beyond JSON's model. Aliases in particular
// would have to be bounded: nine lines of them make a billion nodes.
func (d *decoder) ordinary(n *yaml.Node, path string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		d.errorAt(n, path, "aliases are not supported; write the value out, or put it in quotes if it only begins with *")
	case n.Anchor != "":
		d.errorAt(n, path, "anchors are not supported; write the value out, or put it in quotes if it only begins with &")
	case n.Kind == yaml.ScalarNode && !slices.Contains(scalarTags, n.ShortTag()),
		n.Kind == yaml.MappingNode && n.ShortTag() != "!!map",
		n.Kind == yaml.SequenceNode && n.ShortTag() != "!!seq":
		d.errorAt(n, path, "YAML tags are not supported; remove it, or put the value in quotes if it only begins with !")
	default:
		return true
	}
	return false
}

var scalarTags = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!merge"}

// structure decodes a mapping with known keys.
func (d *decoder) structure(n *yaml.Node, path string, v reflect.Value) {
	if v.Type() == reflect.TypeFor[source]() && n.Kind != yaml.MappingNode {
		d.errorAt(n, path, "must be a place, as {env: VARIABLE} or {file: PATH}, not %s; the secret itself has no place in this file", kind(n))
		return
	}
	if v.Type() == reflect.TypeFor[rules.SecretConfig]() && n.Kind == yaml.ScalarNode {
		v.Set(reflect.ValueOf(rules.SecretConfig{Value: d.text(n, path)}))
		return
	}
	s := shapeOf(v.Type())
	for key, value := range d.pairs(n, path) {
		at := join(path, key.Value)
		f, ok := s.find(key.Value)
		if !ok {
			if f, ok = d.unknown(n, key, value, path, v.Type(), s); !ok {
				continue
			}
			at = join(path, f.name)
		}
		switch {
		case isNull(value) && value.Value == "":
			d.errorAt(key, at, "has no value; give it one or remove the key")
		case isNull(value): // an explicit null is LangSmith's way of leaving a key out
		default:
			d.value(value, at, v.FieldByIndex(f.index), f)
		}
	}
}

// unknown reports a key that s does not have. If a misspelt key is recognised
// and not given as well, its field is returned.
func (d *decoder) unknown(n, key, value *yaml.Node, path string, t reflect.Type, s shape) (field, bool) {
	at := join(path, key.Value)
	if message, ok := s.unsupported[key.Value]; ok {
		if !isNull(value) && !isEmpty(value) {
			d.errorAt(key, at, "%s", message)
			d.taint(path) // what it would need or make superfluous is not known
		}
		return field{}, false
	}
	if t == sandboxType && policyKeys.has(key.Value) {
		d.errorAt(key, at, "stands beside proxy_config, where the policy is read from; move it into proxy_config")
		return field{}, false
	}
	names := s.names()
	if foreign[t] {
		names = ownNames(t)
	}
	if near := closest(key.Value, names); near != "" {
		d.errorAt(key, at, "unknown key; did you mean %s?", near)
		if lookUp(n, near) != nil {
			return field{}, false
		}
		key.Value = near // so that what it holds is found when it has problems
		return s.find(near)
	}
	if foreign[t] {
		d.add(d.locate(key, Problem{Path: at, Message: "unknown key of a LangSmith document; ignored", Warning: true}))
		return field{}, false
	}
	d.errorAt(key, at, "unknown key; known here: %s", strings.Join(names, ", "))
	return field{}, false
}

// ownNames are the keys of a foreign type that matter to us. To misspell one is
// an error, to misspell any other is not.
func ownNames(t reflect.Type) []string {
	if t != sandboxType {
		return nil
	}
	return append(shapeOf(reflect.TypeFor[ownKeys]()).names(), "proxy_config")
}

var (
	sandboxType = reflect.TypeFor[sandboxFile]()
	policyKeys  = shapeOf(reflect.TypeFor[proxyConfig]())

	// foreign are the types that LangSmith may add keys to.
	foreign = map[reflect.Type]bool{sandboxType: true, reflect.TypeFor[resources](): true, reflect.TypeFor[volumeMount](): true}
)

// dictionary decodes a mapping from names to values of one type.
func (d *decoder) dictionary(n *yaml.Node, path string, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	for key, value := range d.pairs(n, path) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(value, join(path, key.Value), element, field{})
		v.SetMapIndex(reflect.ValueOf(key.Value), element)
	}
}

func (d *decoder) list(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.errorAt(n, path, "must be a list, not %s; write [a, b] or lines that begin with \"- \"", kind(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.value(item, path+"["+strconv.Itoa(i)+"]", v.Index(i), field{})
	}
}

// pairs yields the keys and values of a mapping, each key once.
func (d *decoder) pairs(n *yaml.Node, path string) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			d.errorAt(n, path, "must be a mapping (lines of key: value), not %s", kind(n))
			return
		}
		seen := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			switch line, again := seen[key.Value]; {
			case key.Kind != yaml.ScalarNode:
				d.errorAt(key, path, "a key must be text, not %s", kind(key))
			case key.Anchor != "":
				d.ordinary(key, join(path, key.Value))
			case key.ShortTag() == "!!merge":
				d.errorAt(key, path, "merge keys (<<) are not supported; write the keys out")
			case again: // the first counts, so that it is checked as well
				d.add(d.locate(key, Problem{Path: join(path, key.Value), Message: fmt.Sprintf("is set twice, first in line %d; remove one", line)}))
			default:
				seen[key.Value] = key.Line
				if !yield(key, value) {
					return
				}
			}
		}
	}
}

// text returns a scalar that must be text. YAML 1.2 has no dates, so 2023-06-01
// is text, whatever yaml.v3 says.
func (d *decoder) text(n *yaml.Node, path string) string {
	switch tag := n.ShortTag(); {
	case n.Kind != yaml.ScalarNode:
		d.errorAt(n, path, "must be text, not %s", kind(n))
	case tag == "!!null" && n.Value == "":
		d.errorAt(n, path, `has no value; write "" if it is meant to be empty`)
	case tag != "!!str" && tag != "!!timestamp" && tag != "!!merge":
		d.errorAt(n, path, "must be text, and YAML reads this as %s; put it in quotes", kind(n))
	}
	return n.Value
}

// kind names what n is, for people. It never quotes it: it may be a secret.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "null"
	}
	return "text"
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" && n.Anchor == ""
}

// isEmpty reports whether n is "", [] or {}.
func isEmpty(n *yaml.Node) bool {
	return n.Kind != yaml.AliasNode && n.Anchor == "" && n.Value == "" && len(n.Content) == 0
}
