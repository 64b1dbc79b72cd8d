package tokens

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keybearer/secrets"
)

// GCP fetches an access token for a Google service account, with a JWT that the
// account's key has signed (RFC 7523).
type GCP struct {
	Credentials secrets.Text // the JSON document with the key
	Scopes      []string     // none: cloud-platform
}

const (
	cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"
	googleToken   = "https://oauth2.googleapis.com/token"
	bearerGrant   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// account is the part of a service account's document that is needed.
type account struct {
	Type     string `json:"type"`
	Email    string `json:"client_email"`
	KeyID    string `json:"private_key_id"`
	Key      string `json:"private_key"`
	TokenURI string `json:"token_uri"`
}

// Fetch implements [secrets.Fetcher].
func (g GCP) Fetch(ctx context.Context, a secrets.Access) (secrets.Fetched, error) {
	document, err := expand(g.Credentials, a)
	if err != nil {
		return secrets.Fetched{}, err
	}
	who, err := parseAccount(document)
	if err != nil {
		return secrets.Fetched{}, err
	}
	assertion, err := g.assertion(who)
	if err != nil {
		return secrets.Fetched{}, err
	}
	form := url.Values{"grant_type": {bearerGrant}, "assertion": {assertion}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, who.TokenURI, strings.NewReader(form.Encode()))
	if err != nil {
		return secrets.Fetched{}, secrets.Problem("the token_uri of the service account is not a URL; download its key again")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	body, _, err := secrets.Answer(a.Client, r)
	if err != nil {
		return secrets.Fetched{}, err
	}
	var token struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if json.Unmarshal(body, &token) != nil || token.AccessToken == "" {
		return secrets.Fetched{}, secrets.Problem("the token endpoint answered without an access token; check the token_uri of the service account")
	}
	return secrets.Fetched{Text: token.AccessToken, Lifetime: lifetime(token.ExpiresIn)}, nil
}

// assertion is what the account says of itself, signed.
func (g GCP) assertion(who account) (string, error) {
	key, err := parseKey(who.Key)
	if err != nil {
		return "", err
	}
	scopes := g.Scopes
	if len(scopes) == 0 {
		scopes = []string{cloudPlatform}
	}
	const past, valid = 10 * time.Second, time.Hour // Google allows an hour, and little that lies ahead
	issued := time.Now().Add(-past)
	return sign(key, who.KeyID, jwt.MapClaims{
		"iss": who.Email, "scope": strings.Join(scopes, " "), "aud": who.TokenURI,
		"iat": issued.Unix(), "exp": issued.Add(valid).Unix(),
	})
}

func parseAccount(document string) (account, error) {
	who := account{TokenURI: googleToken}
	switch err := json.Unmarshal([]byte(document), &who); {
	case err != nil: // it may quote the document
		return who, secrets.Problem("the credentials are not the JSON document of a service account; download its key again")
	case who.Type != "service_account":
		return who, secrets.Problem("the credentials are not those of a service account, which are all that keybearer knows; create a key for one")
	case who.Email == "" || who.Key == "":
		return who, secrets.Problem("the credentials lack client_email or private_key; download the key again")
	}
	return who, nil
}

// References implements [secrets.Fetcher].
func (g GCP) References() []string { return references(g.Credentials) }

func (GCP) String() string { return "Google Cloud, with a service account" }
