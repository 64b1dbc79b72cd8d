package proxy

import (
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"keybearer/rules"
	"keybearer/secrets"
)

// arrivals are the requests that have arrived at an upstream.
type arrivals struct {
	mu  sync.Mutex
	all []*http.Request
}

func (a *arrivals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	io.Copy(io.Discard, r.Body) // behind it are the trailers
	a.all = append(a.all, r)
}

// last returns the newest, nil if there is none since it was asked last.
func (a *arrivals) last() (r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.all); n > 0 {
		r = a.all[n-1]
	}
	a.all = nil
	return r
}

// placed is a proxy with that one rule for api.test, and its upstream.
func placed(t *testing.T, rule rules.RuleConfig) (*fixture, *arrivals) {
	t.Helper()
	up := new(arrivals)
	rule.Name, rule.MatchHosts = "api", []string{"api.test"}
	return start(t, rules.Config{Rules: []rules.RuleConfig{rule}}, map[string]string{"api.test:443": serveHTTP(t, "api.test", up)}), up
}

// asked sends a GET with fields, name and value in turn, and returns what arrived.
func (f *fixture) asked(client *http.Client, up *arrivals, target string, fields ...string) *http.Request {
	f.t.Helper()
	req, err := http.NewRequest("GET", "https://api.test"+target, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for n := 0; n < len(fields); n += 2 {
		req.Header[fields[n]] = append(req.Header[fields[n]], fields[n+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	resp.Body.Close()
	return up.last()
}

// if_absent keeps what the client has sent, in whatever spelling; if_present only
// replaces it. What is set is there once.
//
// seen red: wanted without the condition; present comparing the spelling; put without
// remove; drops for conditional settings as well.
func TestWhen(t *testing.T) {
	for _, tt := range []struct {
		name, when string
		fields     []string
		want       []string
		injected   bool
	}{
		{"always", "always", []string{"X-Key", "mine"}, []string{canary}, true},
		{"absent", "if_absent", nil, []string{canary}, true},
		{"not absent", "if_absent", []string{"X-Key", "mine"}, []string{"mine"}, false},
		{"not absent in another spelling", "if_absent", []string{"X_key", "mine"}, nil, false},
		{"present", "if_present", []string{"X-Key", "mine", "X-Key", "mine too"}, []string{canary}, true},
		{"present in another spelling", "if_present", []string{"X_key", "mine"}, []string{canary}, true},
		{"not present", "if_present", []string{"X-Keys", "mine"}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, up := placed(t, rules.RuleConfig{When: tt.when, InjectHeaders: map[string]string{"X-Key": "${KEY}"}})
				got := f.asked(f.client(http2), up, "/", tt.fields...)
				if !slices.Equal(got.Header["X-Key"], tt.want) {
					t.Errorf("X-Key %q, want %q", got.Header["X-Key"], tt.want)
				}
				if left := got.Header["X_key"]; (len(left) > 0) != (tt.when == "if_absent" && len(tt.fields) > 0 && tt.fields[0] == "X_key") {
					t.Errorf("X_key %q", left)
				}
				r := f.record()
				if r.Rule != "api" || (len(r.Injected) == 1) != tt.injected || (r.Reason == "") != tt.injected {
					t.Errorf("record: rule %q injected %q reason %q", r.Rule, r.Injected, r.Reason)
				}
			})
		})
	}
}

// A query parameter is injected encoded, in place of the client's own; the condition
// holds for it as well, and the path is told without it.
//
// seen red: present without the query; admit cutting Path after inject.
func TestInjectQuery(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, up := placed(t, rules.RuleConfig{InjectQuery: map[string]string{"key": "a b&${KEY}"}})
		client := f.client(http2)
		for target, want := range map[string]string{
			"/v1//a%2Fb":                  "/v1//a%2Fb?key=a%20b%26" + canary,
			"/v1?q=%zz;x&key=mine&%6Bey=": "/v1?q=%zz;x&key=a%20b%26" + canary,
		} {
			if got := f.asked(client, up, target); got.RequestURI != want {
				t.Errorf("%s arrived as %s, want %s", target, got.RequestURI, want)
			}
			if r := f.record(); strings.Contains(r.Path, "?") || !slices.Equal(r.Injected, []string{"query parameter key"}) {
				t.Errorf("record: path %q, injected %q", r.Path, r.Injected)
			}
		}
	})
	overBoth(t, func(t *testing.T, http2 bool) {
		f, up := placed(t, rules.RuleConfig{When: "if_absent", InjectQuery: map[string]string{"key": "${KEY}"}})
		client := f.client(http2)
		if got := f.asked(client, up, "/?k%65y=mine"); got.RequestURI != "/?k%65y=mine" {
			t.Errorf("arrived as %s", got.RequestURI)
		}
		if got := f.asked(client, up, "/?a=1"); got.RequestURI != "/?a=1&key="+canary {
			t.Errorf("arrived as %s", got.RequestURI)
		}
	})
}

// A URL that is signed is left alone: a second credential would make it invalid.
//
// seen red: inject without isPresigned.
func TestPresigned(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, up := placed(t, rules.RuleConfig{InjectHeaders: map[string]string{"Authorization": "Bearer ${KEY}"}})
		target := "/b/o?X-Amz-Credential=A%2F1&X-Amz-Signature=f00"
		got := f.asked(f.client(http2), up, target)
		if got.RequestURI != target || got.Header["Authorization"] != nil {
			t.Errorf("%s with %q", got.RequestURI, got.Header["Authorization"])
		}
		if r := f.record(); r.Injected != nil || !strings.HasPrefix(r.Reason, "presigned_url") {
			t.Errorf("record %q, %q", r.Injected, r.Reason)
		}
	})
}

const standIn = "kb-placeholder-key"

// The secret takes the place of the text that stands for it: in any field, in Basic
// credentials, in the query; and nowhere else, and nothing is added where the client
// sends none.
//
// seen red: swapIn without basic; swap without the query.
func TestPlaceholder(t *testing.T) {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct {
		name, target string
		fields       []string
		wantTarget   string
		wantField    string
	}{
		{"bearer", "/", []string{"Authorization", "Bearer " + standIn}, "/", "Bearer " + canary},
		{"field", "/", []string{"X-Api-Key", standIn}, "/", canary},
		{"basic password", "/", []string{"Authorization", "Basic " + encode("user:"+standIn)}, "/", "Basic " + encode("user:"+canary)},
		{"basic user", "/", []string{"Authorization", "basic " + encode(standIn+":")}, "/", "basic " + encode(canary+":")},
		{"query", "/p?a=%zz&key=" + standIn + "&b", []string{"Accept", "x"}, "/p?a=%zz&key=" + canary + "&b", "x"},
		{"encoded in the query", "/p?key=x-%6Bb-placeholder-key", []string{"Accept", "x"}, "/p?key=x-" + canary, "x"},
		{"path", "/" + standIn, []string{"Accept", "x"}, "/" + standIn, "x"},
		{"none", "/", []string{"Authorization", "Bearer mine"}, "/", "Bearer mine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, up := placed(t, rules.RuleConfig{Placeholder: map[string]string{"KEY": standIn}})
				got := f.asked(f.client(http2), up, tt.target, tt.fields...)
				if got.RequestURI != tt.wantTarget || !slices.Equal(got.Header[tt.fields[0]], []string{tt.wantField}) {
					t.Errorf("arrived: %s with %q", got.RequestURI, got.Header[tt.fields[0]])
				}
				r := f.record()
				if injected := tt.wantTarget+tt.wantField != tt.target+tt.fields[1] && tt.name != "path"; injected != (len(r.Injected) == 1) {
					t.Errorf("record: injected %q, %q", r.Injected, r.Reason)
				}
			})
		})
	}
}

// A text that stands for the secret of one rule goes to no other host, path or scheme:
// it is refused there, and nothing is sent.
//
// seen red: admit without checkPlaceholders, at either place; holds without basic.
func TestPlaceholderElsewhere(t *testing.T) {
	encoded := "Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+standIn))
	c := rules.Config{Rules: []rules.RuleConfig{
		{Name: "owner", MatchHosts: []string{"api.test"}, MatchPaths: []string{"/v1/*"}, Placeholder: map[string]string{"KEY": standIn}},
		{Name: "other", MatchHosts: []string{"other.test"}, InjectHeaders: map[string]string{"X-Plain": "plain"}},
	}}
	overBoth(t, func(t *testing.T, http2 bool) {
		up := new(arrivals)
		f := start(t, c, map[string]string{"api.test:443": serveHTTP(t, "api.test", up), "other.test:443": serveHTTP(t, "other.test", up)})
		client := f.client(http2)
		for _, url := range []string{"https://other.test/", "https://api.test/v2", "https://other.test/?k=kb%2Dplaceholder-key", "https://other.test/" + standIn, "http://plain.test/"} {
			for _, value := range []string{"Bearer " + standIn, encoded} {
				req, err := http.NewRequest("GET", url, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", value)
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if got := resp.Header.Get("Proxy-Status"); resp.StatusCode != 403 || !strings.Contains(got, "placeholder of KEY") {
					t.Errorf("%s: %d %s", url, resp.StatusCode, got)
				}
			}
		}
		if got := up.last(); got != nil {
			t.Errorf("arrived: %s %v", got.RequestURI, got.Header)
		}
	})
}

// A secret that the upstream refuses is replaced wherever the old one was put in, once.
//
// seen red: replace without the query, without its condition, and without swap.
func TestPlacesRenewed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rule   rules.RuleConfig
		target string
		want   func(coin string) string
	}{
		{"header and query", rules.RuleConfig{
			When: "if_absent", InjectHeaders: map[string]string{"X-Key": "${KEY}", "X-Mine": "${KEY}"}, InjectQuery: map[string]string{"key": "${KEY}"},
		}, "/?a=1", func(coin string) string { return "/?a=1&key=" + coin + " Bearer " + standIn + " " + coin + " mine" }},
		{"placeholder", rules.RuleConfig{Placeholder: map[string]string{"KEY": standIn}},
			"/?b=" + standIn, func(coin string) string { return "/?b=" + coin + " Bearer " + coin + "  mine" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				var mu sync.Mutex
				var got []string
				addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, strings.Join([]string{r.RequestURI, r.Header.Get("Authorization"), strings.Join(r.Header["X-Key"], ","), r.Header.Get("X-Mine")}, " "))
					if len(got) == 1 {
						w.WriteHeader(401)
					}
				}))
				f := start(t, config(), map[string]string{"api.test:443": addr})
				f.lend(tt.rule)
				f.asked(f.client(http2), new(arrivals), tt.target, "Authorization", "Bearer "+standIn, "X-Mine", "mine")
				mu.Lock()
				defer mu.Unlock()
				if want := []string{tt.want(coin(1)), tt.want(coin(2))}; !slices.Equal(got, want) {
					t.Errorf("arrived %q, want %q", got, want)
				}
			})
		})
	}
}

// lend gives the proxy one rule for api.test, whose KEY is from a mint.
func (f *fixture) lend(rule rules.RuleConfig) {
	f.t.Helper()
	rule.Name, rule.MatchHosts = "api", []string{"api.test"}
	set, problems := rules.Compile(rules.Config{Rules: []rules.RuleConfig{rule}}, rules.Tunnel)
	if set == nil {
		f.t.Fatal(problems)
	}
	store, err := secrets.Open(secrets.Sources{Named: map[string]secrets.Source{"KEY": {Fetch: minted{&mint{next: coins}}}}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.policy, _ = NewPolicy(set, store)
	f.proxy.SetPolicy(f.policy)
}
