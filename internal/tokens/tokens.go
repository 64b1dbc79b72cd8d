// Package tokens fetches access tokens with a lifetime: OAuth 2.0 client credentials
// and refresh tokens ([OAuth2]), Google service accounts ([GCP]), GitHub Apps
// ([GitHubApp]). Each is a [secrets.Fetcher]; a secrets.Store calls it and keeps what
// it gets.
//
// # Non-goals
//
// The package asks nobody to log in and looks for no credentials of its own: not in
// files that other tools have left, not at a metadata server.
package tokens

import (
	"crypto/rsa"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keybearer/secrets"
)

// maxLifetime bounds what servers say, in whose numbers a time.Duration may not fit.
const maxLifetime = 365 * 24 * time.Hour

// lifetime is what an answer says about a token.
func lifetime(seconds int64) time.Duration {
	switch {
	case seconds <= 0:
		return -1
	case seconds > int64(maxLifetime/time.Second):
		return maxLifetime
	}
	return time.Duration(seconds) * time.Second
}

// parseKey reads an RSA key in PEM form, PKCS #1 or PKCS #8.
func parseKey(pem string) (*rsa.PrivateKey, error) {
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(pem))
	if err != nil { // it may quote the key
		return nil, secrets.Problem("the private key is not an RSA key in PEM form; give the file as it was downloaded")
	}
	return key, nil
}

// sign makes a JWT (RFC 7519) with RS256.
func sign(key *rsa.PrivateKey, id string, claims jwt.MapClaims) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	if id != "" {
		t.Header["kid"] = id
	}
	signed, err := t.SignedString(key)
	if err != nil {
		return "", secrets.Problem("the private key does not sign; check that it is the right one")
	}
	return signed, nil
}

// references are the names of the secrets in several settings.
func references(texts ...secrets.Text) (names []string) {
	for _, t := range texts {
		if t != nil {
			names = append(names, t.References()...)
		}
	}
	return names
}

// expand is the text of a setting, "" if it is not there.
func expand(t secrets.Text, a secrets.Access) (string, error) {
	if t == nil {
		return "", nil
	}
	return t.Expand(a.Lookup)
}
