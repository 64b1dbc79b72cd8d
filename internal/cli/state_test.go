package cli

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keybearer/internal/config"
	"keybearer/internal/telemetry"
	"keybearer/proxy"
)

// What is said of a secret is what its rule does with it: credentials that others are
// got with may have several lines, and what a callback answers for each host is nothing
// that could be missing.
//
// seen red: state with Lookup, as it was; problem without isDirect, both ways; Description
// with the query; describe with the URL as written.
func TestStateOfSecrets(t *testing.T) {
	c, err := config.Load(config.Options{Path: "-", Stdin: strings.NewReader(`
rules:
  - {name: a, match_hosts: [a.example.com], inject_headers: {X-Key: "${TOKEN}"}}
  - {name: b, match_hosts: [b.example.com], inject_headers: {X-Key: "${LINES}"}}
  - {name: c, match_hosts: [c.example.com], inject_headers: {X-Key: "${PLAIN}"}}
callbacks:
  - {match_hosts: [d.example.com], url: "https://login.example.com/?key=sesame", ttl_seconds: 60, request_headers: [{name: X-Key, type: workspace_secret, value: "{PLAIN}"}]}
secrets:
  TOKEN: {gcp: {credentials: "${DOCUMENT}"}}
`)})
	if err != nil {
		t.Fatal(err)
	}
	store, err := sourcing{environ: []string{"DOCUMENT={\n}", "LINES=a\nb", "PLAIN=value"}}.find(c)
	if err != nil {
		t.Fatal(err)
	}
	s := newInForce(c, store).state(time.Now())
	want := map[string]string{"TOKEN": "not fetched yet", "LINES": "contains a line break"}
	for _, secret := range s.Secrets {
		if problem := want[secret.Name]; problem == "" && secret.Problem != "" || !strings.Contains(secret.Problem, problem) {
			t.Errorf("%s: %q, want %q", secret.Name, secret.Problem, problem)
		}
	}
	if len(s.Secrets) != 5 || s.Rules[3].Problem != "" {
		t.Errorf("%d secrets, %+v", len(s.Secrets), s.Rules[3])
	}
	var described bytes.Buffer
	describe(&described, c, store)
	if all := fmt.Sprintf("%+v", s) + described.String(); strings.Contains(all, "sesame") {
		t.Errorf("the query of a callback is told:\n%s", all)
	}
}

// The admin listener tells of a secret that has expired, and of its return, without a
// reload.
//
// seen red: attend without lookAgain; tell without fetched.
func TestAdminTellsExpiry(t *testing.T) {
	s := startTelling(t, "1s", withAdmin)
	s.eventuallyAdmin("/readyz", 200, "ok")
	s.rename("value", "away")
	s.eventuallyAdmin("/readyz", 503, "refuses its requests: secret TOKEN cannot be used")
	s.eventuallyAdmin("/metrics", 200, `keybearer_secret_usable{secret="TOKEN"} 0`)
	s.rename("away", "value")
	s.eventuallyAdmin("/readyz", 200, "ok")
	s.eventuallyAdmin("/metrics", 200, `keybearer_secret_usable{secret="TOKEN"} 1`)
}

// A certificate that expires while serve runs is told as the problem of its rule, to those
// who watch and in the metrics, without a reload and whatever the file is by then: it is
// what is shown until there is one.
//
// seen red: transients without the comparison; ruleState without Expires, and with Load.
func TestAdminTellsCertificateExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write := func(life time.Duration) {
			if err := writeCertificate(dir, "client", "app", life); err != nil {
				t.Fatal(err)
			}
		}
		write(time.Hour)
		c, store, authority := loaded(t, fmt.Sprintf(
			"rules: [{name: a, match_hosts: [a.example.com], client_certificate: {cert: %q, key: %q}}]", filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")))
		a := &adminListener{recent: telemetry.NewRecent(), metrics: telemetry.NewMetrics(func() proxy.Stats { return proxy.Stats{} }, func() uint64 { return 0 })}
		r := &reloader{overview: overview{admin: a, proxy: &proxy.Proxy{Authority: authority}}}
		r.enforce(newInForce(c, store))
		told := func(want string, refusing int) {
			t.Helper()
			var metrics bytes.Buffer
			a.metrics.Write(&metrics)
			s := a.recent.State()
			if problem := s.Rules[0].Problem; problem != want || !strings.Contains(metrics.String(), fmt.Sprintf("keybearer_rules_refusing %d\n", refusing)) {
				t.Errorf("told %q, want %q and %d", problem, want, refusing)
			}
		}
		time.Sleep(59 * time.Minute)
		r.lookAgain()
		told("", 0)
		time.Sleep(2 * time.Minute)
		if s := a.recent.State(); len(s.Problems(time.Now())) != 1 {
			t.Errorf("at that moment: %q", s.Problems(time.Now()))
		}
		r.lookAgain()
		told("client certificate: expired on 2000-01-01; renew it", 1)
		write(time.Hour)
		r.tell()
		told("client certificate: expired on 2000-01-01; renew it", 1)
		r.enforce(newInForce(c, store))
		told("", 0)
	})
}
