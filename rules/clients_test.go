package rules

import (
	"slices"
	"strings"
	"testing"
)

// withClients is a policy in which two rules match the same requests.
func withClients(clients map[string]ClientConfig) Config {
	key := map[string]string{"X-Key": "${KEY}"}
	return Config{
		Rules: []RuleConfig{
			{Name: "first", MatchHosts: []string{"api.example.com"}, InjectHeaders: key},
			{Name: "second", MatchHosts: []string{"api.example.com"}, InjectHeaders: key},
			{Name: "own", MatchHosts: []string{"own.example.com"}, InjectHeaders: key},
		},
		Clients: clients,
	}
}

// A client has its rules, in the order of the file, and no others.
func TestClients(t *testing.T) {
	set, problems := Compile(withClients(map[string]ClientConfig{
		"b": {Token: "${B}", Rules: []string{"own", "second", "first"}},
		"a": {Token: "${A}", Rules: []string{"second"}},
		"c": {Token: "c", Rules: []string{}},
	}), Tunnel)
	if set == nil {
		t.Fatal(problems)
	}
	clients, ok := set.Clients()
	if !ok || len(clients) != 3 || clients[0].Name != "a" {
		t.Fatalf("clients %v, %v", clients, ok)
	}
	if got, want := set.References(), []string{"A", "B", "KEY"}; !slices.Equal(got, want) {
		t.Errorf("references %q, want %q", got, want)
	}
	if got := clients[2].Set.References(); len(got) > 0 {
		t.Errorf("references of c: %q", got)
	}
	for _, test := range []struct{ client, host, want string }{
		{"a", "api.example.com", "second"}, {"a", "own.example.com", ""},
		{"b", "api.example.com", "first"}, {"b", "own.example.com", "own"},
		{"c", "api.example.com", ""},
	} {
		client, _ := set.Client(test.client)
		target, _ := ParseTarget(test.host, 443)
		request := Request{Target: target, Method: "GET", Path: "/"}
		verdict, rule := client.Set.Decide(target).Verdict, ""
		if m := client.Set.Match(request); m.Rule != nil {
			rule = m.Rule.Name
		}
		if rule != test.want || (verdict == Intercept) != (test.want != "") {
			t.Errorf("%s at %s: %s by %q, want %q", test.client, test.host, verdict, rule, test.want)
		}
		_, steps := client.Set.Explain(request)
		for _, s := range steps {
			if s.Matched != (s.Rule == test.want) {
				t.Errorf("%s at %s: %+v", test.client, test.host, s)
			}
		}
	}
}

// Whether a rule can be reached depends on who has it. Seen red: with the hosts of all
// rules in place of a client's.
func TestClientsReach(t *testing.T) {
	for name, test := range map[string]struct {
		clients map[string]ClientConfig
		want    string
	}{
		"one each": {map[string]ClientConfig{
			"a": {Token: "${A}", Rules: []string{"first"}}, "b": {Token: "${B}", Rules: []string{"second", "own"}}}, ""},
		"one has both": {map[string]ClientConfig{
			"a": {Token: "${A}", Rules: []string{"first", "second", "own"}}}, "rules[1]: no request can reach rule second"},
		"one of two has both": {map[string]ClientConfig{
			"a": {Token: "${A}", Rules: []string{"first", "second", "own"}}, "b": {Token: "${B}", Rules: []string{"second"}}}, ""},
		"nobody's": {map[string]ClientConfig{
			"a": {Token: "${A}", Rules: []string{"first", "second"}}, "b": {Token: "${B}", Rules: []string{"second"}}},
			"rules[2]: no client has the rule own"},
	} {
		_, problems := Compile(withClients(test.clients), Tunnel)
		if test.want == "" && len(problems) > 0 || test.want != "" && (len(problems) != 1 || !strings.HasPrefix(problems[0].String(), test.want)) {
			t.Errorf("%s: %v, want %q", name, problems, test.want)
		}
	}
}

// A rule cannot have the name of a callback: a client that has the rule would have the
// callback in its place.
//
// seen red: rules without taken.
func TestCallbackName(t *testing.T) {
	config := withClients(map[string]ClientConfig{"a": {Token: "${A}", Rules: []string{"callbacks[0]"}}})
	config.Callbacks = []CallbackConfig{{MatchHosts: []string{"api.example.com"}, URL: "https://auth.example.com/"}}
	if set, problems := Compile(config, Tunnel); set == nil || !set.clients[0].Set.has(set.all[3]) {
		t.Errorf("a client cannot have the callback: %v", problems)
	}
	config.Rules[0].Name = "callbacks[0]"
	set, problems := Compile(config, Tunnel)
	if set != nil || len(problems) != 1 || problems[0].Path != "rules[0].name" {
		t.Errorf("problems %v", problems)
	}
}
