package proxy

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"keybearer/rules"
)

// A client that is taken out, or whose token is another, is refused with its next
// request in connections that are open; the others go on, with the rules that they
// have by then (I20). Seen red: with the view that CONNECT had.
func TestAccountReload(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f := startTeams(t)
		a, b := f.as("team-a", http2), f.as("team-b", http2)
		ask := func(client *http.Client, want int, key string) {
			t.Helper()
			before := len(f.keys)
			status, failure := f.get(client, "https://api.test/")
			got := strings.Join(f.keys[before:], " ")
			if status != want || got != key {
				t.Errorf("status %d, key %q, want %d and %q: %s", status, got, want, key, failure)
			}
		}
		ask(a, 200, canary+"-a")
		ask(b, 200, canary+"-b")

		rotated := teamSecrets()
		rotated["TOKEN_A"] = "another"
		f.setPolicy(twoTeams(), rotated)
		ask(a, 403, "")
		ask(b, 200, canary+"-b")

		f.setPolicy(twoTeams(), teamSecrets())
		ask(a, 200, canary+"-a")
		c := twoTeams()
		delete(c.Clients, "team-a")
		c.Clients["team-b"] = rules.ClientConfig{Token: "${TOKEN_B}", Rules: []string{"api-a"}}
		f.setPolicy(c, teamSecrets())
		ask(a, 403, "")
		ask(b, 200, canary+"-a")

		f.setPolicy(config(), map[string]string{"KEY": canary})
		open := f.client(http2) // opened while no credentials are asked for
		ask(open, 200, "")
		f.setPolicy(twoTeams(), teamSecrets())
		ask(open, 403, "")
	})
}

// Other credentials of client_auth hold for connections that are open as well. Seen
// red: with the credentials that CONNECT had.
func TestClientAuthReload(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f := startTeams(t)
		c := twoTeams()
		c.Clients, c.ClientAuth = nil, &rules.BasicAuthConfig{Username: "team-a", Password: "${TOKEN_A}"}
		f.setPolicy(c, teamSecrets())
		client := f.as("team-a", http2)
		for _, want := range []int{200, 403} {
			if status, failure := f.get(client, "https://api.test/"); status != want {
				t.Errorf("status %d, want %d: %s", status, want, failure)
			}
			c.ClientAuth = &rules.BasicAuthConfig{Username: "team-a", Password: "another"}
			f.setPolicy(c, teamSecrets())
		}
		if r := f.record(); r.Account != "" {
			t.Errorf("account %q, want none: the username may be a secret", r.Account)
		}
	})
}

// Two accounts at once, while policies are replaced: no request is refused, and no
// connection to the upstream carries the keys of both. Seen red: with a view that takes
// the account of one policy and the rules of the next; without the account in the key.
func TestAccountStorm(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f := startTeams(t)
		swapped := twoTeams()
		swapped.Rules[0], swapped.Rules[1] = swapped.Rules[1], swapped.Rules[0]
		f.setPolicy(swapped, teamSecrets())
		second := f.policy
		f.setPolicy(twoTeams(), teamSecrets())
		policies := []*Policy{f.policy, second}

		stop, flips := make(chan struct{}), sync.WaitGroup{}
		flips.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					f.proxy.SetPolicy(policies[i%2])
				}
			}
		})
		var teams sync.WaitGroup
		for _, team := range []string{"team-a", "team-b", "team-a", "team-b"} {
			client := f.as(team, http2)
			teams.Go(func() {
				for range 50 {
					if status, failure := f.get(client, "https://api.test/"); status != 200 {
						t.Errorf("%s: status %d, %s", team, status, failure)
						return
					}
				}
			})
		}
		teams.Wait()
		close(stop)
		flips.Wait()
		for addr, keys := range f.conns {
			if len(slices.Compact(keys)) > 1 {
				t.Errorf("the connection %s carried the keys of both accounts", addr)
			}
		}
		for _, key := range []string{canary + "-a", canary + "-b"} {
			if n := len(slices.DeleteFunc(slices.Clone(f.keys), func(k string) bool { return k != key })); n != 100 {
				t.Errorf("%d requests with a key, want 100", n)
			}
		}
	})
}
