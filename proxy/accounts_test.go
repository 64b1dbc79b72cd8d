package proxy

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"keybearer/rules"
)

// twoTeams is a policy with two accounts on one host, and a host that one of them has
// alone.
func twoTeams() rules.Config {
	return rules.Config{
		Rules: []rules.RuleConfig{
			{Name: "api-a", MatchHosts: []string{"api.test"}, InjectHeaders: map[string]string{"X-Key": "${KEY_A}"}},
			{Name: "api-b", MatchHosts: []string{"api.test"}, InjectHeaders: map[string]string{"X-Key": "${KEY_B}"}},
			{Name: "own-b", MatchHosts: []string{"own.test"}, Placeholder: map[string]string{"OWN_B": "kb-placeholder-b"}},
		},
		Clients: map[string]rules.ClientConfig{
			"team-a": {Token: "${TOKEN_A}", Rules: []string{"api-a"}},
			"team-b": {Token: "${TOKEN_B}", Rules: []string{"own-b", "api-b"}},
		},
	}
}

func teamSecrets() map[string]string {
	return map[string]string{
		"KEY_A": canary + "-a", "KEY_B": canary + "-b", "OWN_B": canary + "-own",
		"TOKEN_A": canary + "-token-a", "TOKEN_B": canary + "-token-b",
	}
}

// as returns a real client that uses the proxy by an account.
func (f *fixture) as(name string, http2 bool) *http.Client {
	client := f.client(http2)
	token := teamSecrets()["TOKEN_"+strings.ToUpper(strings.TrimPrefix(name, "team-"))]
	client.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: f.addr, User: url.UserPassword(name, token)})
	return client
}

// teams is a proxy for twoTeams and an upstream that keeps what it received: on which
// connection, and which key.
type teams struct {
	*fixture
	mu    sync.Mutex
	keys  []string            // in the order of the requests
	conns map[string][]string // keys, by the address of the connection
}

func startTeams(t *testing.T) *teams {
	f := &teams{conns: map[string][]string{}}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.keys = append(f.keys, r.Header.Get("X-Key"))
		f.conns[r.RemoteAddr] = append(f.conns[r.RemoteAddr], r.Header.Get("X-Key"))
	})
	f.fixture = start(t, config(), map[string]string{
		"api.test:443": serveHTTP(t, "api.test", handler), "own.test:443": serveHTTP(t, "own.test", handler),
	})
	f.setPolicy(twoTeams(), teamSecrets())
	return f
}

// get returns the status of a GET, and the failure if the proxy refused it.
func (f *teams) get(client *http.Client, url string, fields ...string) (status int, failure string) {
	f.t.Helper()
	req, _ := http.NewRequest("GET", url, nil)
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	f.keep(resp, body)
	return resp.StatusCode, resp.Header.Get("Proxy-Status")
}

// Each account has its own rules on the host that both have, and the record tells
// which it was. Seen red: with the policy's set in place of the account's.
func TestAccounts(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f := startTeams(t)
		for _, team := range []string{"team-a", "team-b", "team-a"} {
			if status, failure := f.get(f.as(team, http2), "https://api.test/"); status != 200 {
				t.Fatalf("%s: status %d, %s", team, status, failure)
			}
			if r := f.record(); r.Account != team || r.Rule != "api-"+team[len(team)-1:] {
				t.Errorf("%s: account %q, rule %q", team, r.Account, r.Rule)
			}
		}
		if got, want := strings.Join(f.keys, " "), canary+"-a "+canary+"-b "+canary+"-a"; got != want {
			t.Errorf("the upstream received %s, want %s", got, want)
		}
	})
}

// A host that only another account's rules name is as if no rule named it, and another
// account's placeholder goes nowhere. Seen red: with the policy's set in connect; with
// the placeholders of the account's rules alone.
func TestOtherAccount(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f := startTeams(t)
		if status, failure := f.get(f.as("team-a", http2), "https://own.test/", "X-Key", "mine"); status != 200 {
			t.Fatalf("status %d, %s", status, failure)
		}
		if f.keys[0] != "mine" {
			t.Errorf("the upstream received %q, want what the client sent", f.keys[0])
		}
		if got := f.proxy.Stats().TunnelsOpened; got != 1 {
			t.Errorf("%d tunnels, want 1", got)
		}
		status, failure := f.get(f.as("team-a", http2), "https://api.test/", "X-Other", "kb-placeholder-b")
		if status != 403 || !strings.Contains(failure, "placeholder of OWN_B") {
			t.Errorf("status %d, %s; want 403 for the placeholder of another account", status, failure)
		}
		if status, _ := f.get(f.as("team-b", http2), "https://own.test/", "X-Key", "kb-placeholder-b"); status != 200 || f.keys[1] != canary+"-own" {
			t.Errorf("its own account: status %d, keys %q", status, f.keys)
		}
	})
}

// Who shows to be none of the clients is refused, in whatever way.
func TestNoAccount(t *testing.T) {
	f := startTeams(t)
	for name, user := range map[string]*url.Userinfo{
		"none":              nil,
		"another's token":   url.UserPassword("team-a", canary+"-token-b"),
		"unknown":           url.UserPassword("team-c", canary+"-token-a"),
		"no name":           url.UserPassword("", canary+"-token-a"),
		"no token":          url.UserPassword("team-a", ""),
		"case of the name":  url.UserPassword("Team-A", canary+"-token-a"),
		"name of no client": url.UserPassword("api-a", canary+"-a"),
	} {
		client := f.client(false)
		client.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: f.addr, User: user})
		if status, failure := f.get(client, "https://api.test/"); status != 0 || !strings.Contains(failure, "Proxy Authentication Required") {
			t.Errorf("%s: status %d, %s; want 407 for CONNECT", name, status, failure)
		}
		if status, _ := f.get(client, "http://plain.test/"); status != 407 {
			t.Errorf("%s: status %d, want 407", name, status)
		}
		for range 2 {
			if r := f.record(); r.Account != "" {
				t.Errorf("%s: the record tells of the account %q", name, r.Account)
			}
		}
	}
	if len(f.keys) > 0 {
		t.Errorf("the upstream received %q", f.keys)
	}
}

// A client whose token does not resolve is let in by nothing; the others are. Seen
// red: with an account for it.
func TestAccountUnresolved(t *testing.T) {
	f := startTeams(t)
	secrets := teamSecrets()
	delete(secrets, "TOKEN_A")
	f.setPolicy(twoTeams(), secrets)
	for _, user := range []*url.Userinfo{nil, url.UserPassword("team-a", ""), url.UserPassword("team-a", canary+"-token-a")} {
		client := f.client(false)
		client.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: f.addr, User: user})
		if status, _ := f.get(client, "http://plain.test/"); status != 407 {
			t.Errorf("%v: status %d, want 407", user, status)
		}
	}
	resp := f.do(f.dial(), "GET", "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nProxy-Authorization: \r\n\r\n")
	if resp.StatusCode != 407 {
		t.Errorf("an empty field: status %d, want 407", resp.StatusCode)
	}
	if status, failure := f.get(f.as("team-b", false), "https://api.test/"); status != 200 {
		t.Errorf("team-b: status %d, %s", status, failure)
	}
}

// Two accounts at one address never share a connection to the upstream, and one account
// uses its own again (I12). Seen red: without the account in the key.
func TestAccountPools(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f := startTeams(t)
		for range 3 {
			for _, team := range []string{"team-a", "team-b"} {
				client := f.as(team, http2)
				if status, failure := f.get(client, "https://api.test/"); status != 200 {
					t.Fatalf("status %d, %s", status, failure)
				}
				f.record()
				client.CloseIdleConnections() // the next one begins anew
			}
		}
		if len(f.conns) != 2 {
			t.Errorf("%d connections to the upstream, want one for each account: %q", len(f.conns), f.conns)
		}
		for _, keys := range f.conns {
			if keys[0] != keys[1] || keys[1] != keys[2] {
				t.Errorf("one connection carried the keys %q", keys)
			}
		}
	})
}

// Without proxy credentials accounts can be told apart by the placeholder that the
// client sends: match_headers sees it before the secret takes its place. Seen red:
// with the rules in one.
func TestAccountByPlaceholder(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f := startTeams(t)
		rule := func(name, secret, placeholder string) rules.RuleConfig {
			return rules.RuleConfig{
				Name: name, MatchHosts: []string{"api.test"},
				MatchHeaders: []string{"X-Key: " + placeholder}, Placeholder: map[string]string{secret: placeholder},
			}
		}
		f.setPolicy(rules.Config{Rules: []rules.RuleConfig{
			rule("api-a", "KEY_A", "kb-team-a-key"), rule("api-b", "KEY_B", "kb-team-b-key"),
		}}, teamSecrets())
		client := f.client(http2)
		for _, team := range []string{"a", "b", "a"} {
			if status, failure := f.get(client, "https://api.test/", "X-Key", "kb-team-"+team+"-key"); status != 200 {
				t.Fatalf("status %d, %s", status, failure)
			}
			if r := f.record(); r.Rule != "api-"+team {
				t.Errorf("rule %q for team %s", r.Rule, team)
			}
		}
		if got, want := strings.Join(f.keys, " "), canary+"-a "+canary+"-b "+canary+"-a"; got != want {
			t.Errorf("the upstream received %s, want %s", got, want)
		}
		if status, _ := f.get(client, "https://api.test/", "X-Key", "kb-team-a-key", "X-Other", "kb-team-b-key"); status != 403 {
			t.Errorf("both placeholders: status %d, want 403", status)
		}
	})
}
