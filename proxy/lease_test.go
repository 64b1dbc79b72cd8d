package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// lend is a proxy with one rule for /v1 whose KEY is from a mint, one for all else
// that has no secret, and the upstream of both.
func lend(t *testing.T, next func(int) (string, error)) (*fixture, *mint, *register) {
	t.Helper()
	c := config()
	c.Rules[0].MatchPaths = []string{"/v1", "/v1/*"}
	c.Rules = append(c.Rules, rules.RuleConfig{Name: "other", MatchHosts: []string{"api.test"}, InjectHeaders: map[string]string{"X-Plain": "plain"}})
	m, r := &mint{next: next}, &register{takes: coin(1)}
	f := start(t, c, map[string]string{"api.test:443": serveHTTP(t, "api.test", r)})
	set, _ := rules.Compile(c, rules.Tunnel)
	store, err := secrets.Open(secrets.Sources{Named: map[string]secrets.Source{"KEY": {Fetch: minted{m}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Retire(nil) })
	f.policy, _ = NewPolicy(set, store)
	f.proxy.SetPolicy(f.policy)
	return f, m, r
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
	resp, err := c.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	all, _ := io.ReadAll(resp.Body)
	f.keep(resp, all)
	return resp.StatusCode, string(all)
}

// A secret that the upstream refuses is fetched anew. A request that may be sent twice
// is, and the client knows nothing of it; of any other the client gets the 401, and the
// next one has the new secret. What the old one was is masked as well.
//
// seen red: inject.go renew without safe; h1.go send without renew; h2_send.go second
// returning nil; lease.go current without before.
func TestLeaseRefused(t *testing.T) {
	for _, tt := range []struct {
		method, body string
		again        bool
	}{
		{"GET", "", true}, {"HEAD", "", true}, {"DELETE", "", true}, {"PUT", "content", false}, {"POST", "", false}, {"POST", "content", false},
	} {
		t.Run(tt.method+" "+tt.body, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, m, r := lend(t, coins)
				f.watch(canary)
				client := f.client(http2)
				if status, _ := f.send(client, tt.method, "/v1", tt.body); status != 200 {
					t.Fatalf("status %d with the first coin", status)
				}
				r.take(coin(2))
				r.requests()
				status, body := f.send(client, tt.method, "/v1", tt.body)
				if want := map[bool]int{true: 200, false: 401}[tt.again]; status != want {
					t.Errorf("status %d, want %d", status, want)
				}
				if tt.method == "GET" && strings.Count(body, strings.Repeat("*", len(coin(1)))) != 3 {
					t.Errorf("not all is masked: %s", body)
				}
				if got, want := len(r.requests()), map[bool]int{true: 2, false: 1}[tt.again]; got != want {
					t.Errorf("%d requests arrived, want %d", got, want)
				}
				if status, _ := f.send(client, tt.method, "/v1", tt.body); status != 200 {
					t.Errorf("status %d with the second coin", status)
				}
				if got := r.requests(); len(got) != 1 || got[0] != tt.method+" Bearer "+coin(2) {
					t.Errorf("arrived: %q", got)
				}
				if n := m.fetches(); n != 2 {
					t.Errorf("fetched %d times, want 2", n)
				}
			})
		})
	}
}

// An upstream that refuses everything has the secret fetched once and not for each
// request, and each client gets its 401. So it is if the same secret comes back, and
// then nothing is sent twice.
//
// seen red: lease.go renew returning an action that was refused; fetched.go in secrets,
// replace without its pause.
func TestLeaseRefusedAlways(t *testing.T) {
	for name, next := range map[string]func(int) (string, error){
		"another each time": coins, "the same": func(int) (string, error) { return coin(1), nil },
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, m, r := lend(t, next)
				r.always = 401
				client := f.client(http2)
				for range 10 {
					if status, _ := f.send(client, "GET", "/v1", ""); status != 401 {
						t.Errorf("status %d", status)
					}
				}
				want := 10
				if name != "the same" {
					want = 11 // one of them twice
				}
				if got := len(r.requests()); got != want || m.fetches() != 2 {
					t.Errorf("%d requests arrived, fetched %d times; want %d and 2", got, m.fetches(), want)
				}
			})
		})
	}
}

// Other answers, and rules whose secrets stay as they are, have nothing fetched.
//
// seen red: exchange.go renew for 403; lease.go current expanding each time.
func TestLeaseKept(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, m, r := lend(t, coins)
		client := f.client(http2)
		first := f.policy.actionOf(0)
		for _, status := range []int{200, 403, 407, 429, 500} {
			r.always = status
			f.send(client, "GET", "/v1", "")
		}
		r.always = 401
		f.send(client, "GET", "/other", "")
		if m.fetches() != 1 || len(r.requests()) != 6 {
			t.Errorf("fetched %d times", m.fetches())
		}
		if f.policy.actionOf(0) != first {
			t.Error("the same secret is expanded anew")
		}
	})
}

// I14: while the secret cannot be fetched its rule answers 502 with a reason, sends
// nothing, and no other rule is concerned; when it can, the rule acts again.
//
// seen red: exchange.go inject without the look at err.
func TestLeaseUnavailable(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, m, r := lend(t, func(int) (string, error) { return canary + "\x00", errors.New(canary) })
		f.watch(canary)
		client := f.client(http2)
		status, body := f.send(client, "GET", "/v1", "")
		if status != 502 || !strings.Contains(body, "a secret of the rule is not available: KEY has expired or cannot be fetched") {
			t.Errorf("%d %s", status, body)
		}
		if r := f.record(); r.Error != "proxy_configuration_error" || r.Rule != "api" || r.Injected != nil || !strings.Contains(r.Reason, ": KEY has expired") {
			t.Errorf("%+v", r)
		}
		if got := r.requests(); len(got) != 0 {
			t.Errorf("arrived: %q", got)
		}
		if status, _ := f.send(client, "GET", "/other", ""); status != 200 {
			t.Errorf("the other rule answers %d", status)
		}
		m.set(func(int) (string, error) { return coin(1), nil })
		f.await(func() bool { status, _ := f.send(client, "GET", "/v1", ""); return status == 200 })
	})
}

// While the secret changes ten times a second, every request has one that was
// handed out, and none is refused or comes back.
//
// seen red: lease.go holds without comparing.
func TestLeaseStorm(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, m, r := lend(t, coins)
		f.watch(canary)
		m.mu.Lock()
		m.good = 100 * time.Millisecond
		m.mu.Unlock()
		action := f.policy.actionOf(0)
		if !action.lease.store.Replace("KEY", action.lease.last.Load().values[0]) {
			t.Fatal("nothing changes")
		}
		r.always = 200
		go func() { // there are more records than the fixture has room for
			for t.Context().Err() == nil {
				select {
				case <-f.arrived:
				case <-t.Context().Done():
				}
			}
		}()
		var group sync.WaitGroup
		for range 4 {
			client := f.client(http2)
			group.Go(func() {
				for m.fetches() < 6 {
					if status, body := f.send(client, "GET", "/v1/own", ""); status != 200 || strings.Trim(body, `"`) == "" || strings.Trim(body, `"*`) != "" {
						t.Errorf("%d %s", status, body)
					}
				}
			})
		}
		group.Wait()
		seen := map[string]bool{}
		for _, got := range r.requests() {
			if !strings.HasPrefix(got, "GET Bearer "+canary+"-") {
				t.Errorf("arrived: %q", got)
			}
			seen[got] = true
		}
		if len(seen) < 4 || m.fetches() < len(seen) {
			t.Errorf("%d secrets arrived, %d were handed out", len(seen), m.fetches())
		}
	})
}
