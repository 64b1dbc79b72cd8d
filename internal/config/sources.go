package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"keybearer/secrets"
)

// secretName is what a reference can name.
var secretName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// sources checks the entries of secrets:.
func (r *report) sources(entries map[string]source, base string) map[string]secrets.Source {
	sources := make(map[string]secrets.Source, len(entries))
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		s := entries[name]
		path := join("secrets", name)
		s.File = relativeTo(base, s.File)
		sources[name] = secrets.Source{Env: s.Env, File: s.File}
		switch {
		case r.suspect(path):
		case !secretName.MatchString(name):
			r.errorf(path, "no reference can name this; use letters, digits, _ . and -, not beginning with a digit")
		case (s.Env == "") == (s.File == ""):
			r.errorf(path, "needs exactly one of env: VARIABLE and file: PATH")
		case strings.ContainsAny(s.Env, "= \x00"):
			r.errorf(path+".env", "must be the name of an environment variable, not a value")
		default:
			if err := checkPath(s.File); err != nil {
				r.errorf(path+".file", "%v", err)
			}
		}
	}
	return sources
}
