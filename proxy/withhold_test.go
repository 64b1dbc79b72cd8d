package proxy

import (
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keybearer/rules"
)

const signed = "/b/o?sig=abc&sv=1&se=2"

// Anybody can write a URL that looks signed. It goes without the rule's credential, and
// without what the rule would have replaced or taken out, in trailers as well: the
// client's own credential passes nowhere. A parameter that the rule sets is set.
//
// seen red: inject without withhold for a signed URL; replaces like drops; inject without
// replacesParameter; dropsTrailer without withheld.
func TestLooksSigned(t *testing.T) {
	for _, tt := range []struct {
		name, target string
		rule         rules.RuleConfig
		passes       bool // what the client has sent in X-Key
		want         string
	}{
		{"always", signed, rules.RuleConfig{InjectHeaders: map[string]string{"X-Key": "${KEY}"}}, false, signed},
		{"if_present", signed, rules.RuleConfig{When: "if_present", InjectHeaders: map[string]string{"X-Key": "${KEY}"}}, false, signed},
		{"if_absent", signed, rules.RuleConfig{When: "if_absent", InjectHeaders: map[string]string{"X-Key": "${KEY}"}}, true, signed},
		{"taken out", signed, rules.RuleConfig{InjectHeaders: map[string]string{"X-Other": "${KEY}"}, RemoveHeaders: []string{"X-Key"}}, false, signed},
		{"nothing to put in", "/", rules.RuleConfig{Placeholder: map[string]string{"KEY": standIn}, RemoveHeaders: []string{"X-Key"}}, false, "/"},
		{"parameter", signed + "&k%65y=mine", rules.RuleConfig{InjectQuery: map[string]string{"key": "${KEY}"}}, true, signed + "&key=" + canary},
		{"no parameter", signed, rules.RuleConfig{InjectQuery: map[string]string{"key": "${KEY}"}}, true, signed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, up := placed(t, tt.rule)
				req, err := http.NewRequest("POST", "https://api.test"+tt.target, struct{ *strings.Reader }{strings.NewReader("body")})
				if err != nil {
					t.Fatal(err)
				}
				req.Header["X-Key"], req.Header["X_key"] = []string{"mine"}, []string{"mine"}
				req.Trailer = http.Header{"X-Key": {"mine"}}
				resp, err := f.client(http2).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				got := up.last()
				if got.RequestURI != tt.want {
					t.Errorf("arrived as %s, want %s", got.RequestURI, tt.want)
				}
				for _, values := range [][]string{got.Header["X-Key"], got.Header["X_key"], got.Trailer["X-Key"]} {
					if (len(values) > 0) != tt.passes {
						t.Errorf("%q, %q and %q have arrived", got.Header["X-Key"], got.Header["X_key"], got.Trailer["X-Key"])
					}
				}
			})
		})
	}
}

// The certificate of the rule is shown to the upstream of a signed URL as well, and the
// record tells it, as a dry run does.
//
// seen red: act without certificateAlone.
func TestLooksSignedWithCertificate(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		a := newClientAuthority(t)
		m := a.serve("api.test", func(*tls.Config) {})
		f := start(t, config(), map[string]string{"api.test:443": m.addr})
		rule := shows("with", a.issue("app", "app", time.Hour))
		rule.InjectHeaders = map[string]string{"X-Key": "${KEY}"}
		f.setPolicy(rules.Config{Rules: []rules.RuleConfig{rule}}, map[string]string{"KEY": canary})
		if status, failure := f.status(f.client(http2), "https://api.test"+signed); status != 200 {
			t.Fatalf("status %d, %s", status, failure)
		}
		if got := m.took(); got != "/b/o app" {
			t.Errorf("the upstream saw %q", got)
		}
		r := f.record()
		dry, _ := f.dryRun("GET", signed, nil)
		for _, injected := range [][]string{r.Injected, dry.Injected} {
			if !slices.Equal(injected, []string{"client certificate"}) || !strings.HasPrefix(r.Reason, "presigned_url") {
				t.Errorf("injected %q, %q", injected, r.Reason)
			}
		}
	})
}
