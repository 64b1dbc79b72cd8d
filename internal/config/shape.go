package config

import (
	"reflect"
	"slices"
	"strings"
)

// field is a key of a mapping: a struct field as its tags describe it.
type field struct {
	name  string
	doc   string
	enum  []string // if any, the only permitted values
	index []int
	typ   reflect.Type
}

// shape is all that a struct type says about a mapping.
type shape struct {
	fields      []field
	unsupported map[string]string
}

func shapeOf(t reflect.Type) shape {
	s := shape{unsupported: unsupported[t]}
	for f := range t.Fields() {
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if option == "inline" {
			inner := shapeOf(f.Type)
			for _, g := range inner.fields {
				g.index = append(slices.Clone(f.Index), g.index...)
				s.fields = append(s.fields, g)
			}
			if s.unsupported == nil {
				s.unsupported = inner.unsupported
			}
			continue
		}
		g := field{name: name, doc: f.Tag.Get("doc"), index: f.Index, typ: f.Type}
		if e := f.Tag.Get("enum"); e != "" {
			g.enum = strings.Split(e, ",")
		}
		s.fields = append(s.fields, g)
	}
	return s
}

func (s shape) find(name string) (field, bool) {
	i := slices.IndexFunc(s.fields, func(f field) bool { return f.name == name })
	if i < 0 {
		return field{}, false
	}
	return s.fields[i], true
}

// names returns the keys that one may write.
func (s shape) names() (names []string) {
	for _, f := range s.fields {
		names = append(names, f.name)
	}
	return names
}

// has reports whether s says anything about a key.
func (s shape) has(name string) bool {
	_, known := s.find(name)
	_, refused := s.unsupported[name]
	return known || refused
}
