package secrets

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// word is a Text: a secret behind some words.
type word struct{ before, name string }

func (w word) References() []string { return []string{w.name} }

func (w word) Expand(lookup func(string) (string, error)) (string, error) {
	text, err := lookup(w.name)
	return w.before + text, err
}

// vault is a server over TLS that wants a token; the first element of the path says
// how it answers.
func vault(t *testing.T, elsewhere string) *httptest.Server {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Vault-Token") != "Token "+canary {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		switch r.URL.Path {
		case "/text":
			io.WriteString(w, "token\n")
		case "/json":
			io.WriteString(w, `{"data": {"token": "a token", "list": [{"n": 12}], "no": null, "map": {"`+canary+`": 1}}}`)
		case "/echo":
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, canary)
		case "/moved":
			http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
		case "/huge":
			for range 3000 {
				io.WriteString(w, strings.Repeat(canary, 50))
			}
		case "/binary":
			io.WriteString(w, canary+"\x00")
		case "/empty":
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, canary)
		case "/clock":
			w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusUnauthorized)
		case "/slow":
			<-r.Context().Done()
		}
	}))
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s
}

func trusting(s *httptest.Server) *http.Transport {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
}

// A server's answer, or a part of it, is the secret; whatever else it answers is an
// error that repeats nothing of it. Credentials go to the one address alone.
//
// seen red: newClient without CheckRedirect; Answer without its limit.
func TestHTTP(t *testing.T) {
	var strangers atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strangers.Add(1) }))
	defer elsewhere.Close()
	s := vault(t, elsewhere.URL)
	for _, tt := range []struct{ path, at, want string }{
		{"/text", "", "token"},
		{"/json", "data.token", "a token"},
		{"/json", "$.data.token", "a token"},
		{"/json", "data.list.0.n", "12"},
		{"/json", "data.list.1.n", "error: the answer has no text at data.list.1.n; "},
		{"/json", "data.list.x", "error: the answer has no text at "},
		{"/json", "data.map", "error: the answer has no text at "},
		{"/json", "data.no", "error: the answer has no text at "},
		{"/json", "data.token.more", "error: the answer has no text at "},
		{"/json", "$", "error: the answer has no text at "},
		{"/text", "data", "error: the answer is not JSON; "},
		{"/json?" + canary, "none", "error: the answer has no text at "},
		{"/echo", "", "error: the server answered 500; "},
		{"/moved", "", "error: the server answered 307, and a redirect is not followed; "},
		{"/huge", "", "error: the server answered with more than 1 MiB; "},
		{"/binary", "", "error: contains a line break or another control byte"},
		{"/empty", "", "error: empty; "},
		{"/cut", "", "error: the server did not answer as it should; "},
		{"/clock", "", "error: the server answered 401; check the address and the credentials, and the clock of this machine: it is 1h0m"},
		{"/slow", "", "error: did not answer within 300ms; "},
	} {
		timeout := 20 * time.Second
		if tt.path == "/slow" {
			timeout = 300 * time.Millisecond
		}
		h := HTTP{URL: s.URL + tt.path, Headers: map[string]Text{"X-Vault-Token": word{"Token ", "VAULT"}}, JSONPath: tt.at}
		st := open(t, Sources{
			Named:   map[string]Source{"TOKEN": {Fetch: h, Timeout: timeout}},
			Environ: []string{"VAULT=" + canary}, Transport: trusting(s),
		})
		got := lookup(t, st, "TOKEN")
		if !strings.HasPrefix(got, tt.want) || strings.Contains(got+st.Describe("TOKEN"), canary) {
			t.Errorf("%s %s: %q, want %q", tt.path, tt.at, got, tt.want)
		}
	}
	if n := strangers.Load(); n != 0 {
		t.Errorf("a stranger was asked %d times", n)
	}
}

// A server is asked over verified TLS only.
//
// seen red: protected without its check.
func TestHTTPProtected(t *testing.T) {
	s := vault(t, "")
	plain := httptest.NewServer(s.Config.Handler)
	defer plain.Close()
	token := map[string]Text{"X-Vault-Token": word{"Token ", "VAULT"}}
	other := trusting(s)
	other.TLSClientConfig.ServerName = "other.test"
	for name, tt := range map[string]struct {
		url       string
		transport http.RoundTripper
		want      string
	}{
		"unknown root":    {s.URL + "/text", nil, "error: the certificate of the server is not valid for it; "},
		"other name":      {s.URL + "/text", other, "error: the certificate of the server is not valid for it; "},
		"plain, loopback": {plain.URL + "/text", nil, "token"},
		"plain":           {"http://vault.test/text", failing{}, "error: the address is not https, "},
		"nobody there":    {"https://127.0.0.1:1/", nil, "error: the server refused the connection; "},
		"no scheme":       {"vault.test", nil, "error: the address is not https, "},
		"not a URL":       {"https://\x00", nil, "error: the url is not one; "},
		"breaks":          {"https://vault.test/", failing{}, "error: the server did not answer as it should; "},
	} {
		st := open(t, Sources{
			Named:   map[string]Source{"TOKEN": {Fetch: HTTP{URL: tt.url, Headers: token}}},
			Environ: []string{"VAULT=" + canary}, Transport: tt.transport,
		})
		if got := lookup(t, st, "TOKEN"); !strings.HasPrefix(got, tt.want) || strings.Contains(got, canary) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// failing quotes what it was given.
type failing struct{}

func (failing) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, errors.New(fmt.Sprint(r.Header))
}

// A secret with several lines is no header.
//
// seen red: HTTP.Fetch without isControl, where net/http's error takes its place.
func TestHTTPHeaderLines(t *testing.T) {
	st := open(t, Sources{
		Named:   map[string]Source{"TOKEN": {Fetch: HTTP{URL: "https://127.0.0.1:1", Headers: map[string]Text{"X-A": word{"", "KEY"}}}}},
		Environ: []string{"KEY=" + canary + "\nX-Evil: 1"},
	})
	if got := lookup(t, st, "TOKEN"); !strings.HasPrefix(got, "error: a secret in the header X-A has several lines") || strings.Contains(got, canary) {
		t.Errorf("TOKEN = %q", got)
	}
}
