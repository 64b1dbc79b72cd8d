package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keybearer/rules"
	"keybearer/secrets"
)

// mint is a place that hands out the secret KEY, as a new one each time.
type mint struct {
	mu    sync.Mutex
	count int
	next  func(count int) (string, error)
	good  time.Duration // how long a secret is; 0: until it is refused
}

// minted is the Fetcher of a mint.
type minted struct{ *mint }

func (m minted) Fetch(context.Context, secrets.Access) (secrets.Fetched, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count++
	text, err := m.next(m.count)
	return secrets.Fetched{Text: text, Lifetime: m.good}, err
}

func (minted) References() []string { return nil }
func (minted) String() string       { return "mint" }

func (m *mint) set(next func(int) (string, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next = next
}

func (m *mint) fetches() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

// coin is the secret that a mint hands out the nth time.
func coin(n int) string { return fmt.Sprintf("%s-%d", canary, n) }

func coins(n int) (string, error) { return coin(n), nil }

// register is an upstream that takes one coin and no other, and says what it got.
type register struct {
	mu     sync.Mutex
	takes  string
	always int // the status of every answer; 0: that which is right
	got    []string
}

func (r *register) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	io.Copy(io.Discard, q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	key := q.Header.Get("Authorization")
	r.got = append(r.got, q.Method+" "+key)
	switch {
	case r.always != 0:
		w.WriteHeader(r.always)
	case strings.HasPrefix(q.URL.Path, "/v1") && key != "Bearer "+r.takes:
		w.WriteHeader(http.StatusUnauthorized)
	}
	switch q.URL.Path { // it is looked for only where it was sent
	case "/v1":
		fmt.Fprintf(w, "%q, and before %q", key, r.got)
	case "/v1/own":
		fmt.Fprintf(w, "%q", strings.TrimPrefix(key, "Bearer "))
	}
}

func (r *register) take(coin string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takes = coin
}

func (r *register) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.got
	r.got = nil
	return all
}

// different is how many different requests it has got.
func (r *register) different() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(slices.Compact(slices.Sorted(slices.Values(r.got))))
}

// lend is a proxy with one rule for /v1 whose KEY is from a mint, one for all else
// that has no secret, and the upstream of both.
func lend(t *testing.T, next func(int) (string, error)) (*fixture, *mint, *register) {
	t.Helper()
	r := &register{takes: coin(1)}
	f, m := lendTo(t, serveHTTP(t, "api.test", r), next)
	return f, m, r
}

// lendTo is lend with the upstream at an address.
func lendTo(t *testing.T, addr string, next func(int) (string, error)) (*fixture, *mint) {
	t.Helper()
	c := config()
	c.Rules[0].MatchPaths = []string{"/v1", "/v1/*"}
	c.Rules = append(c.Rules, rules.RuleConfig{Name: "other", MatchHosts: []string{"api.test"}, InjectHeaders: map[string]string{"X-Plain": "plain"}})
	m := &mint{next: next}
	f := start(t, c, map[string]string{"api.test:443": addr})
	f.enact(c, rules.Tunnel, secrets.Sources{Named: map[string]secrets.Source{"KEY": {Fetch: minted{m}}}})
	return f, m
}

// actionOf is the action of the nth rule for api.test.
func (p *Policy) actionOf(n int) *action {
	t, _ := rules.ParseTarget("api.test:443", 443)
	return p.action(p.set.Rules()[n], t)
}

// send sends a request through the proxy and returns status and body.
func (f *fixture) send(c *http.Client, method, path, body string) (int, string) {
	f.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, "https://api.test"+path, content)
	if err != nil {
		f.t.Fatal(err)
	}
	resp, got := f.exchange(c, r)
	return resp.StatusCode, got
}
