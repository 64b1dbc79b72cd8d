package proxy

import (
	"slices"
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
