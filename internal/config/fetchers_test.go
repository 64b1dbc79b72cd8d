package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"keybearer/internal/tokens"
	"keybearer/rules"
	"keybearer/secrets"
)

func template(t *testing.T, s string) secrets.Text {
	t.Helper()
	parsed, err := rules.ParseTemplate(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// Every key of a source gets where it belongs.
//
// seen red: fetchers.go without Audience; without Repositories; source without Timeout.
func TestFetchers(t *testing.T) {
	const kinds = `rules: [{name: a, match_hosts: [a.example.com], inject_headers: {X: "${S}"}}]
secrets:
  S: `
	for text, want := range map[string]secrets.Source{
		`{exec: [op, read, x], ttl: 10m, timeout: 30s}`: {Fetch: secrets.Exec{Command: []string{"op", "read", "x"}, TTL: 10 * time.Minute}, Timeout: 30 * time.Second},
		`{exec: [./op]}`:    {Fetch: secrets.Exec{Command: []string{"./op"}}},
		`{exec: [bin/op]}`:  {Fetch: secrets.Exec{Command: []string{"bin/op"}}},
		`{exec: [/bin/op]}`: {Fetch: secrets.Exec{Command: []string{"/bin/op"}}},
		`{http: {url: "https://v.example.com/x", headers: {X-Vault-Token: "a ${T}"}, json_path: data.x, ttl: 5m}}`: {Fetch: secrets.HTTP{
			URL: "https://v.example.com/x", Headers: map[string]secrets.Text{"X-Vault-Token": template(t, "a ${T}")}, JSONPath: "data.x", TTL: 5 * time.Minute}},
		`{oauth2: {token_url: "https://l.example.com", client_id: me, client_secret: "${C}", scopes: [a, b], audience: x, auth_method: post}}`: {Fetch: tokens.OAuth2{
			TokenURL: "https://l.example.com", ClientID: template(t, "me"), ClientSecret: template(t, "${C}"), Scopes: []string{"a", "b"}, Audience: "x", AuthMethod: "post"}},
		`{oauth2: {token_url: "http://127.0.0.1:1", client_id: "${I}", refresh_token: "${R}"}, timeout: 1s}`: {Fetch: tokens.OAuth2{
			TokenURL: "http://127.0.0.1:1", ClientID: template(t, "${I}"), RefreshToken: template(t, "${R}")}, Timeout: time.Second},
		`{gcp: {credentials: "${G}", scopes: [a]}}`: {Fetch: tokens.GCP{Credentials: template(t, "${G}"), Scopes: []string{"a"}}},
		`{github_app: {app_id: 1, installation_id: 2, private_key: "${K}", repositories: [r], permissions: {contents: read}}}`: {Fetch: tokens.GitHubApp{
			AppID: 1, InstallationID: 2, PrivateKey: template(t, "${K}"), Repositories: []string{"r"}, Permissions: map[string]string{"contents": "read"}, APIURL: "https://api.github.com"}},
	} {
		c, err := Load(Options{Path: "-", Stdin: strings.NewReader(kinds + text), Strict: true})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := c.Secrets.Named["S"]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// LangSmith's forms become rules and sources, and what they refer to is needed.
//
// seen red: gcpRule without Scopes; callbacks without Headers.
func TestLangSmithSources(t *testing.T) {
	const text = `proxy_config:
  rules:
    - {name: g, type: gcp, gcp: {service_account_json: {type: workspace_secret, value: "{ACCOUNT}"}, scopes: [a]}}
  callbacks:
    - {match_hosts: [b.example.com], url: "https://c.example.com", ttl_seconds: 60, request_headers: [{name: X-A, type: workspace_secret, value: "x {TOKEN}"}, {name: X-B, type: opaque, value: y}]}
`
	c, err := Load(Options{Path: "-", Stdin: strings.NewReader(text), Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.References(), []string{"ACCOUNT", "TOKEN", "callbacks.0", "gcp.rules.0"}; !slices.Equal(got, want) {
		t.Errorf("needs %q, want %q", got, want)
	}
	want := map[string]secrets.Source{
		"gcp.rules.0": {Fetch: tokens.GCP{Credentials: template(t, "${ACCOUNT}"), Scopes: []string{"a"}}},
		"callbacks.0": {Fetch: secrets.Callback{
			URL: "https://c.example.com", TTL: time.Minute, Headers: map[string]secrets.Text{"X-A": template(t, "x ${TOKEN}"), "X-B": template(t, "y")}}},
	}
	if !reflect.DeepEqual(c.Secrets.Named, want) {
		t.Errorf("%+v, want %+v", c.Secrets.Named, want)
	}
	if got := fmt.Sprint(c.Set.Rules()[0].Hosts(), c.Set.Rules()[1].Hosts()); got != "[*.googleapis.com] [b.example.com]" {
		t.Errorf("hosts %s", got)
	}
	if len(c.Literals) != 1 || c.Literals[0] != "proxy_config.callbacks[0].request_headers[1]" {
		t.Errorf("secrets in the file: %q", c.Literals)
	}
}
