package proxy

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// watch checks at the end of the test that no client received the secret in any
// spelling, and that no record holds it.
func (f *fixture) watch(secret string) {
	f.t.Cleanup(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if how := spelled(secret, f.received.String()); how != "" {
			f.t.Errorf("a client received the secret %s:\n%q", how, f.received.Bytes())
		}
		for _, r := range f.records {
			quoted, _ := json.Marshal(r)
			if how := spelled(secret, fmt.Sprintf("%+v %#v %s", r, r, quoted)); how != "" {
				f.t.Errorf("a record holds the secret %s: %+v", how, r)
			}
		}
	})
}

// spelled says in which spelling text holds the secret, "" if in none.
func spelled(secret, text string) string {
	forms := map[string]string{
		"plain": secret, "in hex": hex.EncodeToString([]byte(secret)), "in query form": url.QueryEscape(secret), "in path form": url.PathEscape(secret),
	}
	for i, c := range []byte(secret) {
		if i == 0 {
			forms["percent-encoded"], forms[`in \u form`] = "", ""
		}
		forms["percent-encoded"] += fmt.Sprintf("%%%02x", c)
		forms[`in \u form`] += fmt.Sprintf(`\u%04x`, c)
	}
	quoted, _ := json.Marshal(secret)
	forms["in JSON"] = string(quoted[1 : len(quoted)-1])
	lower := strings.ToLower(text)
	for how, form := range forms {
		if strings.Contains(lower, strings.ToLower(form)) {
			return how
		}
	}
	for offset := range 3 { // where it stands in a longer text
		padded := make([]byte, offset+len(secret))
		copy(padded[offset:], secret)
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			form := e.EncodeToString(padded)
			form = form[(offset*8+5)/6 : len(padded)*8/6]
			if strings.Contains(text, form) {
				return fmt.Sprintf("in base64, %d bytes on", offset)
			}
		}
	}
	return ""
}
