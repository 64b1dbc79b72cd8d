package tokens

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"keybearer/secrets"
)

const canary = "kb-canary-9f8e7d6c5b4a"

// ref is a Text that is one reference.
type ref string

func (r ref) References() []string { return []string{string(r)} }

func (r ref) Expand(lookup func(string) (string, error)) (string, error) { return lookup(string(r)) }

// plain is a Text without one.
type plain string

func (p plain) References() []string                                { return nil }
func (p plain) Expand(func(string) (string, error)) (string, error) { return string(p), nil }

// authority is a server that hands out tokens, over TLS.
type authority struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request)
}

func newAuthority(t *testing.T) *authority {
	a := &authority{}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		a.mu.Lock()
		answer := a.answer
		a.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *authority) set(answer func(w http.ResponseWriter, r *http.Request)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// store has one fetched secret, TOKEN, and reaches the authority.
func (a *authority) store(t *testing.T, f secrets.Fetcher, timeout time.Duration, environ ...string) *secrets.Store {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	st, err := secrets.Open(secrets.Sources{
		Named:   map[string]secrets.Source{"TOKEN": {Fetch: f, Timeout: timeout}},
		Environ: environ, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Retire(nil); transport.CloseIdleConnections() })
	return st
}

// token is the text of TOKEN, or why there is none.
func token(t *testing.T, st *secrets.Store) string {
	t.Helper()
	v, err := st.Lookup("TOKEN")
	if err != nil {
		if strings.Contains(err.Error(), canary) {
			t.Errorf("the error tells: %v", err)
		}
		return "error: " + err.Error()
	}
	return v.Reveal()
}

// want compares what token returned; of an error, a part is enough.
func want(t *testing.T, what, got, wanted string) {
	t.Helper()
	part, isError := strings.CutPrefix(wanted, "error: ")
	if isError && strings.HasPrefix(got, "error: ") && strings.Contains(got, part) {
		return
	}
	if got != wanted {
		t.Errorf("%s: %q, want %q", what, got, wanted)
	}
}

// newKey returns an RSA key in both of its PEM forms.
func newKey(t *testing.T) (key *rsa.PrivateKey, pkcs1, pkcs8 string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return key, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), block("PRIVATE KEY", der)
}

// badWays are what any place that hands out tokens may do wrong. Each repeats the
// canary, where it can.
var badWays = map[string]func(w http.ResponseWriter, r *http.Request){
	"refuses": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error": %q, "error_description": %[1]q, "message": %[1]q}`, canary)
	},
	"fails": func(w http.ResponseWriter, r *http.Request) { http.Error(w, canary, http.StatusInternalServerError) },
	"redirects": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://other.test/"+canary, http.StatusTemporaryRedirect)
	},
	"no JSON":    body(canary),
	"other JSON": body(`["` + canary + `"]`),
	"no token":   body(`{"other": "` + canary + `"}`),
	"empty":      body(`{"access_token": "", "token": "", "expires_in": 60, "other": "` + canary + `"}`),
	"control characters": body(`{"access_token": "` + canary + `\u0007", "token": "` + canary + `\u0007",
		"expires_in": 60, "expires_at": "2100-01-01T00:00:00Z"}`),
	"expired": body(`{"access_token": "` + canary + `", "token": "` + canary + `", "expires_in": 0, "expires_at": "2000-01-01T00:00:00Z"}`),
	"expired long ago": body(`{"access_token": "` + canary + `", "token": "` + canary + `",
		"expires_in": -3600, "expires_at": "0001-01-01T00:00:01Z"}`),
	"huge": body(strings.Repeat(canary, 100_000)),
	"slow": func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // or the server does not look whether its client is there
		<-r.Context().Done()
	},
	"their clock": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusUnauthorized)
	},
}

func body(text string) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, text)
	}
}

// Whatever goes wrong at the place that hands out tokens, there is no token, and the
// reason, which has a next step, holds nothing of what came.
//
// seen red: oauth2.go tokenError with the error's text as a Problem; tokens.go lifetime
// without its first case; oauth2.go fetched without expires_in.
func TestBadAuthorities(t *testing.T) {
	_, key, _ := newKey(t)
	a := newAuthority(t)
	for name, f := range map[string]secrets.Fetcher{
		"oauth2":  OAuth2{TokenURL: a.URL, ClientID: plain("me"), ClientSecret: ref("SECRET")},
		"refresh": OAuth2{TokenURL: a.URL, ClientID: plain("me"), ClientSecret: ref("SECRET"), RefreshToken: ref("SECRET"), AuthMethod: "post"},
		"gcp":     GCP{Credentials: ref("ACCOUNT")},
		"github":  GitHubApp{AppID: 1, InstallationID: 2, PrivateKey: ref("KEY"), APIURL: a.URL},
	} {
		for how, answer := range badWays {
			t.Run(name+" "+how, func(t *testing.T) {
				timeout := 20 * time.Second
				if how == "slow" {
					timeout = 200 * time.Millisecond
				}
				a.set(answer)
				st := a.store(t, f, timeout, "SECRET="+canary, "KEY="+key, "ACCOUNT="+serviceAccount("me@test", key, a.URL))
				got := token(t, st)
				if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, "; ") {
					t.Errorf("%q, want an error with a next step", got)
				}
				t.Log(got)
			})
		}
	}
}

// Keys that are none are told from the start, and not repeated.
//
// seen red: parseKey with the error of the library, gcp.go parseAccount with json's.
func TestBadKeys(t *testing.T) {
	a := newAuthority(t)
	a.set(func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	_, key, _ := newKey(t)
	for name, tt := range map[string]struct{ key, account, want string }{
		"text": {canary, canary, "error: not the JSON document of a service account; "},
		"no key": {"-----BEGIN RSA PRIVATE KEY-----\n" + canary + "\n-----END RSA PRIVATE KEY-----",
			`{"type": "service_account", "client_email": "a", "private_key": "` + canary + `"}`, "error: not an RSA key in PEM form; "},
		"another kind": {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
			`{"type": "authorized_user", "client_email": "` + canary + `"}`, "error: not those of a service account, "},
		"half a file":   {key[:len(key)/2], `{"type": "service_account", "private_key": "` + canary + `"}`, "error: lack client_email or private_key; "},
		"number":        {"1", `{"type": 1, "x": "` + canary + `"}`, "error: not the JSON document of a service account; "},
		"plain address": {canary, serviceAccount("a", key, "http://token.test/"), "error: the address is not https, "},
	} {
		st := a.store(t, GCP{Credentials: ref("ACCOUNT")}, 0, "ACCOUNT="+tt.account)
		want(t, "gcp, "+name, token(t, st), tt.want)
		st = a.store(t, GitHubApp{AppID: 1, InstallationID: 2, PrivateKey: ref("KEY"), APIURL: a.URL}, 0, "KEY="+tt.key)
		want(t, "github, "+name, token(t, st), "error: not an RSA key in PEM form; ")
	}
}

func serviceAccount(email, key, uri string) string {
	text, _ := json.Marshal(map[string]string{
		"type": "service_account", "client_email": email, "private_key_id": "key-1", "private_key": key, "token_uri": uri,
	})
	return string(text)
}
