package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keybearer/rules"
	"keybearer/secrets"
)

// dryRun is DryRun of a GET that a client sends with these fields.
func (f *fixture) dryRun(method, target string, fields http.Header) (Record, []string) {
	f.t.Helper()
	t, err := rules.ParseTarget("api.test", 443)
	if err != nil {
		f.t.Fatal(err)
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: api.test\r\n", method, target)
	fields.Write(&head)
	return f.policy.DryRun(f.policy.set, t, false, head.String()+"\r\n")
}

// What a dry run says of a request is what becomes of it: whether it is refused, why, what
// is put in, which fields do not arrive.
//
// seen red: rehearse with the query cut off, without sent, without the signature's part
// (Authorization is gone); DryRun without placeholders, without note; DeleteFunc with !.
func TestDryRun(t *testing.T) {
	header := rules.RuleConfig{InjectHeaders: map[string]string{"X-Key": "${KEY}"}, RemoveHeaders: []string{"Cookie"}}
	on := func(when string) rules.RuleConfig {
		return rules.RuleConfig{When: when, InjectHeaders: map[string]string{"X-Key": "${KEY}"}, InjectQuery: map[string]string{"key": "${KEY}"}}
	}
	swaps := rules.RuleConfig{MatchPaths: []string{"/v1/*"}, Placeholder: map[string]string{"KEY": standIn}}
	signs, _ := awsRule()
	mine := http.Header{"X-Key": {"mine"}, "Cookie": {"a=b"}}
	withSignature := clientRequest(t, "GET", "/b/k", "s3", hexHash(""), "").Header
	for _, tt := range []struct {
		name   string
		rule   rules.RuleConfig
		target string
		fields http.Header
	}{
		{"always", header, "/?a=1", mine},
		{"signed URL", header, signed, mine},
		{"no secret there", rules.RuleConfig{InjectHeaders: map[string]string{"X-Key": "${GONE}"}}, signed, mine},
		{"if_absent, none", on("if_absent"), "/?a=key", nil},
		{"if_absent, header", on("if_absent"), "/", mine},
		{"if_absent, parameter", on("if_absent"), "/?k%65y=mine", nil},
		{"if_absent, both", on("if_absent"), "/?key", mine},
		{"if_present, none", on("if_present"), "/?a=key", nil},
		{"if_present, header", on("if_present"), "/", mine},
		{"if_present, parameter", on("if_present"), "/?k%65y=mine", nil},
		{"if_present, signed URL", on("if_present"), signed, mine},
		{"parameter in a signed URL", on("if_present"), signed + "&key=mine", nil},
		{"no placeholder", swaps, "/v1/", nil},
		{"placeholder in the query", swaps, "/v1/?a=kb%2Dplaceholder-key", nil},
		{"placeholder in a header", swaps, "/v1/", http.Header{"X-Key": {"Bearer " + standIn}}},
		{"placeholder in the path", swaps, "/v1/" + standIn, nil},
		{"placeholder elsewhere", swaps, "/v2/?a=kb%2Dplaceholder-key", nil},
		{"too many placeholders", swaps, "/v1/?" + strings.Repeat("a="+standIn+"&", maxPlaces+1), nil},
		{"no rule", swaps, "/v2/", nil},
		{"ambiguous path", swaps, "/v1/..%2fv2", nil},
		{"connection fields", header, "/", http.Header{"Keep-Alive": {"x"}, "Proxy-Key": {"x"}}},
		{"not signed", signs, "/", nil},
		{"signed", signs, "/b/k", withSignature},
		{"signed by a stranger", signs, "/?X-Amz-Credential=A&X-Amz-Signature=f&X-Amz-Algorithm=x", nil},
		{"signed with others' keys", signs, signed, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				up := new(arrivals)
				f := start(t, config(), map[string]string{"api.test:443": serveHTTP(t, "api.test", up)})
				tt.rule.Name, tt.rule.MatchHosts = "api", []string{"api.test"}
				f.setPolicy(rules.Config{Rules: []rules.RuleConfig{tt.rule}}, map[string]string{"KEY": canary, "ID": "AKIA", "SECRET": canary, "TOKEN": canary})
				dry, gone := f.dryRun("GET", tt.target, tt.fields)
				var sent []string
				for name, values := range tt.fields {
					for _, value := range values {
						sent = append(sent, name, value)
					}
				}
				got := f.asked(f.client(http2), up, tt.target, sent...)
				r := f.record()
				if dry.Error == "" {
					r.Status = 0
				}
				if told, done := outcome(dry), outcome(r); told != done {
					t.Errorf("it said %s, and did %s", told, done)
				}
				if (got == nil) != (dry.Error != "") {
					t.Errorf("%s, and arrived %+v", outcome(dry), got)
				}
				for name := range tt.fields {
					if got != nil && (got.Header[name] == nil) != slices.Contains(gone, name) {
						t.Errorf("arrived %q, and gone were %q", got.Header, gone)
					}
				}
			})
		})
	}
}

// outcome is what a dry run tells of a record.
func outcome(r Record) string {
	return fmt.Sprintf("%s, rule %q, %q injected, %d %s %q", r.Verdict, r.Rule, r.Injected, r.Status, r.Error, r.Reason)
}

// What is no request is refused as the proxy does it, and what is for another host.
//
// seen red: rehearse without the comparison of lengths.
func TestDryRunRefuses(t *testing.T) {
	f := start(t, config(), nil)
	target, _ := rules.ParseTarget("api.test", 443)
	for head, want := range map[string]int{
		"GET / HTTP/1.1\r\n\r\n":                         0,
		"TRACE / HTTP/1.1\r\n\r\n":                       405,
		"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n":     421,
		"GET / HTTP/1.1\r\nX Y: a\r\n\r\n":               400,
		"GET / HTTP/1.1\r\nX: a\r\n\r\nY: b\r\n\r\n":     400,
		"GET / HTTP/1.1\r\nX: a\r\n":                     400,
		"GET * HTTP/1.1\r\n\r\n":                         400,
		"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n":    400,
		"GET / HTTP/1.1\r\nConnection: host\r\n\r\n":     400,
		"GET " + strings.Repeat("/", 10) + "\r\n\r\n":    400,
		"GET / HTTP/1.1\r\n" + fieldsOf(201) + "\r\n":    431,
		"CONNECT api.test:443 HTTP/1.1\r\n\r\n":          405,
		"GET https://other.test/ HTTP/1.1\r\n\r\n":       400,
		"get / HTTP/1.1\r\nAuthorization: b\r\n\r\n":     0,
		"GET /?a HTTP/1.1\r\nHost: api.test:443\r\n\r\n": 0,
	} {
		if r, _ := f.policy.DryRun(f.policy.set, target, false, head); r.Status != want {
			t.Errorf("%.60q: %s, want %d", head, outcome(r), want)
		}
	}
}

func fieldsOf(n int) string { return strings.Repeat("X: a\r\n", n) }

// A policy that is made of a still store fetches nothing, for a dry run neither, and says
// what would become of the request if what it needs were there.
//
// seen red: DryRun with a policy of the store itself.
func TestDryRunFetchesNothing(t *testing.T) {
	m := &mint{next: func(int) (string, error) { return "", errors.New("it was fetched") }}
	set, problems := rules.Compile(rules.Config{
		Rules: []rules.RuleConfig{{Name: "api", MatchHosts: []string{"api.test"}, MatchPaths: []string{"/v1"},
			BasicAuth: &rules.BasicAuthConfig{Username: "${KEY}", Password: "${KEY}"}}},
		Callbacks: []rules.CallbackConfig{{MatchHosts: []string{"api.test"}}},
	}, rules.Tunnel)
	if set == nil {
		t.Fatal(problems)
	}
	store, err := secrets.Open(secrets.Sources{Environ: []string{}, Named: map[string]secrets.Source{
		"KEY": {Fetch: minted{m}}, rules.AnswerName(0): {Fetch: secrets.Callback{URL: "http://127.0.0.1:1/", TTL: time.Hour}}}})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t}
	if f.policy, err = NewPolicy(set, store.Still()); err != nil {
		t.Error(err)
	}
	for target, want := range map[string]int{"/v1": 1, "/v1?" + signed[len("/b/o?"):]: 0, "/": 1, signed: 0} {
		r, _ := f.dryRun("GET", target, nil)
		if r.Error != "" || len(r.Injected) != want || strings.HasPrefix(r.Reason, "presigned_url") != (want == 0) {
			t.Errorf("%s: %s", target, outcome(r))
		}
	}
	if n := m.fetches(); n > 0 {
		t.Errorf("%d fetches", n)
	}
}
