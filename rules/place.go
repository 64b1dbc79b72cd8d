package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// parameters compiles inject_query.
func (c *compiler) parameters(at string, written map[string]string) (out []Injection) {
	for _, name := range slices.Sorted(maps.Keys(written)) {
		here := at + "." + name
		if name == "" {
			c.errorf(here, "the parameter has no name")
		}
		value, err := parseTemplate(written[name])
		c.check(here, orValue(err, value))
		c.lintLiteral(here, value)
		out = append(out, Injection{Name: name, In: InQuery, value: value})
	}
	return out
}

// when gives all of them the condition of the rule.
func (c *compiler) when(at, written string, all []Injection) {
	condition, ok := map[string]When{"": Always, "always": Always, "if_absent": IfAbsent, "if_present": IfPresent}[written]
	switch {
	case !ok:
		c.errorf(at, "%q is not one of always, if_absent, if_present", written)
	case written != "" && len(all) == 0:
		c.errorf(at, "there is nothing that the condition would be for; add inject_headers, basic_auth or inject_query")
	}
	for n := range all {
		all[n].When = condition
	}
}

// placeholders compiles placeholder.
func (c *compiler) placeholders(at string, written map[string]string) (out []Injection) {
	for _, name := range slices.Sorted(maps.Keys(written)) {
		here := at + "." + name
		if !validSecretName(name) {
			c.errorf(here, "%q is not the name of a secret: letters, digits, '_', '.' and '-', beginning with a letter or '_'", name)
		}
		c.check(here, checkPlaceholder(written[name]))
		c.check(here, c.known.add(name, written[name]))
		out = append(out, Injection{
			Name: name, In: InPlaceholder, Placeholder: written[name], value: template{{text: name, secret: true}},
		})
	}
	return out
}

// minPlaceholder is the length in bytes below which a text might stand in a request by
// chance.
const minPlaceholder = 8

// checkPlaceholder wants a text that looks the same in a header, percent-encoded in a
// query, and in Basic credentials.
func checkPlaceholder(text string) error {
	odd := strings.IndexFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~", r))
	})
	switch {
	case len(text) < minPlaceholder:
		return fmt.Errorf("%q is too short to be told from other text; use at least %d characters", text, minPlaceholder)
	case odd >= 0:
		return errors.New("a placeholder has letters, digits and -._~ only, so that it is the same wherever it is sent")
	case strings.ToLower(text) == strings.ToUpper(text) || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz") == "":
		return fmt.Errorf("%q might be a number or a word that stands in a request anyway; mix letters with others, as in sk-placeholder-1234", text)
	}
	return nil
}

// knownPlaceholders are those of the rules so far, by the names of their secrets.
type knownPlaceholders map[string]string

// add makes sure that each text stands for one secret, and is no part of another one.
func (k knownPlaceholders) add(name, text string) error {
	if other, ok := k[name]; ok && other != text {
		return fmt.Errorf("another rule has the placeholder %q for %s; a program has one variable of that name, so let them be the same", other, name)
	}
	for other, its := range k {
		if other != name && (strings.Contains(its, text) || strings.Contains(text, its)) {
			return fmt.Errorf("%q cannot be told from %q, which stands for %s", text, its, other)
		}
	}
	k[name] = text
	return nil
}

// Placeholders are the texts that stand for secrets, by the names of the secrets.
func (s *Set) Placeholders() map[string]string {
	all := make(map[string]string)
	for _, r := range s.enabled {
		for _, i := range r.Injections {
			if i.In == InPlaceholder {
				all[i.Name] = i.Placeholder
			}
		}
	}
	return all
}
