package rules

import (
	"slices"
	"testing"
)

// Everything that a rule puts in has a place, a condition and a name for people.
//
// seen red: injections without parameters; when after placeholders.
func TestPlaces(t *testing.T) {
	set, problems := Compile(Config{Rules: []RuleConfig{{
		Name: "a", MatchHosts: []string{"a.test"}, When: "if_absent",
		InjectHeaders: map[string]string{"X-Key": "${KEY}"},
		InjectQuery:   map[string]string{"key": "q-${KEY}"},
		Placeholder:   map[string]string{"TOKEN": "kb-placeholder"},
	}}}, Tunnel)
	if set == nil {
		t.Fatal(problems)
	}
	want := []struct {
		text, value string
		in          Place
		when        When
	}{
		{"X-Key", "v(KEY)", InHeader, IfAbsent},
		{"query parameter key", "q-v(KEY)", InQuery, IfAbsent},
		{"placeholder of TOKEN", "v(TOKEN)", InPlaceholder, Always},
	}
	rule := set.Rules()[0]
	for n, i := range rule.Injections {
		value, parts, err := i.Expand(func(name string) (string, error) { return "v(" + name + ")", nil })
		if w := want[n]; i.String() != w.text || value != w.value || i.In != w.in || i.When != w.when || !i.Secret() || len(parts) != 1 || err != nil {
			t.Errorf("%v: %q, in %d, when %d, parts %q, %v", i, value, i.In, i.When, parts, err)
		}
	}
	if got := rule.References(); !slices.Equal(got, []string{"KEY", "TOKEN"}) {
		t.Errorf("references %q", got)
	}
	if got := set.Placeholders(); len(got) != 1 || got["TOKEN"] != "kb-placeholder" {
		t.Errorf("placeholders %q", got)
	}
}

// A rule whose hosts are strangers' may not put a secret in, wherever it would stand.
//
// seen red: Secret false for InQuery.
func TestBroadHostsForEveryPlace(t *testing.T) {
	for name, r := range map[string]RuleConfig{
		"query":       {InjectQuery: map[string]string{"key": "${KEY}"}},
		"placeholder": {Placeholder: map[string]string{"KEY": "kb-placeholder"}},
	} {
		r.Name, r.MatchHosts = "a", []string{"*.github.io"}
		if set, problems := Compile(Config{Rules: []RuleConfig{r}}, Tunnel); set != nil {
			t.Errorf("%s: compiles, %v", name, problems)
		}
	}
}
