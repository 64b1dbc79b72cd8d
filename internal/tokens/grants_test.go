package tokens

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keybearer/secrets"
)

// credentialsOf are what a client shows, and how.
func credentialsOf(r *http.Request) (id, secret, how string) {
	if id, secret, ok := r.BasicAuth(); ok {
		id, _ = url.QueryUnescape(id) // RFC 6749 section 2.3.1
		secret, _ = url.QueryUnescape(secret)
		return id, secret, "basic"
	}
	return r.PostFormValue("client_id"), r.PostFormValue("client_secret"), "post"
}

// The client shows itself as the server wants it, in the way that is configured or in
// both, and asks for what is configured.
//
// seen red: style returning AutoDetect; withCredentials without Scopes; without Audience.
func TestClientCredentials(t *testing.T) {
	const secret = "s&=+% " + canary
	a := newAuthority(t)
	for _, tt := range []struct{ takes, method, want string }{
		{"basic", "", "token"}, {"post", "", "token"}, {"basic", "basic", "token"}, {"post", "post", "token"},
		{"basic", "post", "error: the token endpoint answered 401 invalid_client; "},
		{"post", "basic", "error: the token endpoint answered 401 invalid_client; "},
	} {
		a.set(func(w http.ResponseWriter, r *http.Request) {
			id, shown, how := credentialsOf(r)
			w.Header().Set("Content-Type", "application/json")
			switch {
			case how != tt.takes || id != "me" || shown != secret:
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprintf(w, `{"error": "invalid_client", "error_description": %q}`, shown)
			case r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("scope") != "read write",
				r.PostFormValue("audience") != "https://api.test":
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"error": "invalid_scope"}`)
			default:
				fmt.Fprint(w, `{"access_token": "token", "token_type": "Bearer", "expires_in": 3600}`)
			}
		})
		o := OAuth2{
			TokenURL: a.URL + "/token", ClientID: plain("me"), ClientSecret: ref("SECRET"),
			Scopes: []string{"read", "write"}, Audience: "https://api.test", AuthMethod: tt.method,
		}
		st := a.store(t, o, 0, "SECRET="+secret)
		want(t, tt.takes+" "+tt.method, token(t, st), tt.want)
		if got := st.Describe("TOKEN"); got != "OAuth 2.0 with client credentials at "+a.URL+"/token" {
			t.Errorf("described as %q", got)
		}
	}
}

// A refresh token that the server replaces is not shown again; one that is configured
// anew takes its place.
//
// seen red: Fetch without State; with State whatever the configured token is.
func TestRefreshToken(t *testing.T) {
	a := newAuthority(t)
	valid, n := "refresh-0", 0
	a.set(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.PostFormValue("grant_type") != "refresh_token" || r.PostFormValue("refresh_token") != valid {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error": "invalid_grant"}`)
			return
		}
		n++
		valid = fmt.Sprint("refresh-", n)
		fmt.Fprintf(w, `{"access_token": "token-%d", "refresh_token": %q, "expires_in": "3600"}`, n, valid)
	})
	o := OAuth2{TokenURL: a.URL, ClientID: plain("me"), RefreshToken: ref("REFRESH"), AuthMethod: "post"}
	st := a.store(t, o, 0, "REFRESH=refresh-0")
	first, err := st.Lookup("TOKEN")
	if err != nil || first.Reveal() != "token-1" {
		t.Fatal(err)
	}
	if !st.Replace("TOKEN", first) || token(t, st) != "token-2" {
		t.Error("the second refresh token was not used")
	}
	got, err := o.Fetch(t.Context(), secrets.Access{
		Lookup: func(string) (string, error) { return valid, nil }, Client: a.Client(), State: "refresh-0\nrefresh-old",
	})
	if err != nil || got.Text != "token-3" {
		t.Errorf("with a new refresh token: %v", err)
	}
}

// A service account's JWT is signed with its key and says what Google wants to know.
//
// seen red: sign without kid; assertion with another aud, without scope.
func TestGCP(t *testing.T) {
	private, pkcs1, pkcs8 := newKey(t)
	a := newAuthority(t)
	for name, tt := range map[string]struct {
		key    string
		scopes []string
		want   string
	}{
		"one form of key, two scopes": {pkcs8, []string{"a", "b"}, "a b"}, "the other, the usual scope": {pkcs1, nil, cloudPlatform},
	} {
		a.set(func(w http.ResponseWriter, r *http.Request) {
			claims := jwt.MapClaims{}
			parsed, err := jwt.ParseWithClaims(r.PostFormValue("assertion"), claims, func(*jwt.Token) (any, error) { return &private.PublicKey, nil },
				jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(a.URL+"/token"), jwt.WithIssuer("me@project.test"),
				jwt.WithIssuedAt(), jwt.WithExpirationRequired())
			if err != nil || parsed.Header["kid"] != "key-1" || claims["scope"] != tt.want || r.PostFormValue("grant_type") != bearerGrant {
				t.Errorf("%s: %v, %v", name, err, claims)
			}
			fmt.Fprint(w, `{"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"}`)
		})
		st := a.store(t, GCP{Credentials: ref("ACCOUNT"), Scopes: tt.scopes}, 0, "ACCOUNT="+serviceAccount("me@project.test", tt.key, a.URL+"/token"))
		want(t, name, token(t, st), "ya29.token")
	}
}

// An app's JWT is signed with its key; the token is asked for with what it shall be
// good for, and its end told by the clock of the server.
//
// seen red: request with another iss; without permissions; Fetch without the Date.
func TestGitHubApp(t *testing.T) {
	private, pkcs1, _ := newKey(t)
	a := newAuthority(t)
	var asked struct {
		Repositories []string
		Permissions  map[string]string
	}
	ours, theirs := time.Now(), time.Now().Add(-3*time.Hour) // their clock is slow, or ours is fast
	a.set(func(w http.ResponseWriter, r *http.Request) {
		claims := jwt.MapClaims{}
		bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		_, err := jwt.ParseWithClaims(bearer, claims, func(*jwt.Token) (any, error) { return &private.PublicKey, nil },
			jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer("123"), jwt.WithIssuedAt(), jwt.WithExpirationRequired())
		if err != nil {
			t.Errorf("%v, %v", err, claims)
			return
		}
		issued, _ := claims.GetIssuedAt()
		if expires, _ := claims.GetExpirationTime(); expires.Sub(issued.Time) > 10*time.Minute || !issued.Before(ours) {
			t.Errorf("from %s to %s", issued, expires)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/api/v3/app/installations/456/access_tokens" || json.NewDecoder(r.Body).Decode(&asked) != nil {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		w.Header().Set("Date", theirs.UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token": "ghs_token", "expires_at": %q}`, theirs.Add(time.Hour).UTC().Format(time.RFC3339))
	})
	g := GitHubApp{
		AppID: 123, InstallationID: 456, PrivateKey: ref("KEY"), Repositories: []string{"one"}, Permissions: map[string]string{"contents": "read"},
		APIURL: a.URL + "/api/v3/",
	}
	want(t, "token", token(t, a.store(t, g, 0, "KEY="+pkcs1)), "ghs_token")
	if !slices.Equal(asked.Repositories, []string{"one"}) || asked.Permissions["contents"] != "read" {
		t.Errorf("asked for %+v", asked)
	}
	got, err := g.Fetch(t.Context(), secrets.Access{Lookup: func(string) (string, error) { return pkcs1, nil }, Client: a.Client()})
	if err != nil || got.Lifetime.Round(time.Minute) != time.Hour {
		t.Errorf("lifetime %s, %v", got.Lifetime, err)
	}
}
