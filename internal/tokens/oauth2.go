package tokens

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"keybearer/secrets"
)

// OAuth2 fetches an access token from a token endpoint (RFC 6749): with a refresh
// token if there is one, else with client credentials. A refresh token that the server
// puts in the place of the one it was shown is kept in memory alone.
type OAuth2 struct {
	TokenURL     string
	ClientID     secrets.Text
	ClientSecret secrets.Text // nil for a public client
	RefreshToken secrets.Text // nil: client credentials
	Scopes       []string     // of client credentials
	Audience     string       // of client credentials; "" = none
	AuthMethod   string       // how the client shows itself: "basic", "post", "" = the first, then the second
}

// Fetch implements [secrets.Fetcher].
func (o OAuth2) Fetch(ctx context.Context, a secrets.Access) (secrets.Fetched, error) {
	id, err := expand(o.ClientID, a)
	if err != nil {
		return secrets.Fetched{}, err
	}
	secret, err := expand(o.ClientSecret, a)
	if err != nil {
		return secrets.Fetched{}, err
	}
	refresh, err := expand(o.RefreshToken, a)
	if err != nil {
		return secrets.Fetched{}, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, a.Client)
	if refresh == "" {
		return fetched(o.withCredentials(ctx, id, secret))
	}
	// State is the refresh token that was configured and the one to use in its place.
	use := refresh
	if first, newest, ok := strings.Cut(a.State, "\n"); ok && first == refresh {
		use = newest
	}
	c := oauth2.Config{ClientID: id, ClientSecret: secret, Endpoint: oauth2.Endpoint{TokenURL: o.TokenURL, AuthStyle: o.style()}}
	token, err := c.TokenSource(ctx, &oauth2.Token{RefreshToken: use}).Token()
	got, err := fetched(token, err)
	if err == nil {
		got.State = refresh + "\n" + token.RefreshToken
	}
	return got, err
}

func (o OAuth2) withCredentials(ctx context.Context, id, secret string) (*oauth2.Token, error) {
	c := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: o.TokenURL, Scopes: o.Scopes, AuthStyle: o.style()}
	if o.Audience != "" {
		c.EndpointParams = url.Values{"audience": {o.Audience}}
	}
	return c.Token(ctx)
}

func (o OAuth2) style() oauth2.AuthStyle {
	switch o.AuthMethod {
	case "basic":
		return oauth2.AuthStyleInHeader
	case "post":
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleAutoDetect
}

// fetched judges the answer of a token endpoint.
func fetched(t *oauth2.Token, err error) (secrets.Fetched, error) {
	if err != nil {
		return secrets.Fetched{}, tokenError(err)
	}
	got := secrets.Fetched{Text: t.AccessToken}
	if !t.Expiry.IsZero() {
		got.Lifetime = min(time.Until(t.Expiry), maxLifetime)
	}
	if zero, ok := t.Extra("expires_in").(float64); ok && zero <= 0 || got.Lifetime < 0 {
		got.Lifetime = -1
	}
	return got, nil
}

// tokenErrors are the codes of RFC 6749 section 5.2. What else a server says may
// repeat what it was sent.
var tokenErrors = []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}

func tokenError(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		return err
	}
	if slices.Contains(tokenErrors, refused.ErrorCode) {
		return secrets.Problem(fmt.Sprintf("the token endpoint answered %d %s; check the client's id, secret and scopes", refused.Response.StatusCode, refused.ErrorCode))
	}
	return secrets.Problem(fmt.Sprintf("the token endpoint answered %d; check token_url and the client's credentials", refused.Response.StatusCode))
}

// References implements [secrets.Fetcher].
func (o OAuth2) References() []string { return references(o.ClientID, o.ClientSecret, o.RefreshToken) }

// Server is the URL that is asked.
func (o OAuth2) Server() string { return o.TokenURL }

// String names the grant and the endpoint.
func (o OAuth2) String() string {
	grant := "client credentials"
	if o.RefreshToken != nil {
		grant = "a refresh token"
	}
	where, _, _ := strings.Cut(o.TokenURL, "?")
	return "OAuth 2.0 with " + grant + " at " + where
}
