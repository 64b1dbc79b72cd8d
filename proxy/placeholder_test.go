package proxy

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"keybearer/rules"
)

// A text that stands for whole Basic credentials may itself be valid base64: then it is
// not what it says when decoded that is looked at.
//
// seen red: swapIn without a look at the credentials.
func TestPlaceholderLikeBase64(t *testing.T) {
	const text = "kbPlaceholderKey"
	overBoth(t, func(t *testing.T, http2 bool) {
		f, up := placed(t, rules.RuleConfig{Placeholder: map[string]string{"KEY": text}})
		got := f.asked(f.client(http2), up, "/", "Authorization", "Basic "+text)
		if want := []string{"Basic " + canary}; !slices.Equal(got.Header["Authorization"], want) {
			t.Errorf("arrived: %q, want %q", got.Header["Authorization"], want)
		}
	})
}

// A secret may be far longer than what stands for it: a request that has it in
// thousands of places is not made into one of hundreds of megabytes.
//
// seen red: checkPlaceholders without places; places without Count, for each of fields,
// credentials and query.
func TestPlaceholderTooOften(t *testing.T) {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	overBoth(t, func(t *testing.T, http2 bool) {
		f, up := placed(t, rules.RuleConfig{Placeholder: map[string]string{"KEY": standIn}})
		for _, tt := range []struct {
			name, target string
			fields       []string
		}{
			{"one field", "/", []string{"X-Key", strings.Repeat(standIn+",", maxPlaces+1)}},
			{"fields", "/", slices.Repeat([]string{"X-Key", standIn}, maxPlaces+1)},
			{"basic", "/", []string{"Authorization", "Basic " + encode(strings.Repeat(standIn+",", maxPlaces+1))}},
			{"query", "/?k=" + strings.Repeat("kb%2Dplaceholder-key", maxPlaces+1), nil},
			{"everywhere", "/?k=" + standIn, slices.Repeat([]string{"X-Key", standIn}, maxPlaces)},
		} {
			if got := f.asked(f.client(http2), up, tt.target, tt.fields...); got != nil {
				t.Errorf("%s has arrived with %d fields", tt.name, len(got.Header))
			}
			if r := f.record(); r.Status != http.StatusRequestHeaderFieldsTooLarge || !strings.Contains(r.Reason, "placeholder of KEY") {
				t.Errorf("%s: %d %s", tt.name, r.Status, r.Reason)
			}
		}
		got := f.asked(f.client(http2), up, "/", slices.Repeat([]string{"X-Key", standIn}, maxPlaces)...)
		if want := slices.Repeat([]string{canary}, maxPlaces); !slices.Equal(got.Header["X-Key"], want) {
			t.Errorf("arrived: %q", got.Header["X-Key"])
		}
	})
}
