//go:build clients

package clients

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// api is a matched host, its credential, and what clients ask of it.
type api struct {
	host   string
	path   string   // of the base
	rule   string   // the injecting part of the rule
	name   string   // of the injected header
	secret string   // the name of the secret
	value  string   // of the header, with the secret as %s
	get    []string // the requests of get, at the upstream
	rest   []string // and those that all adds; equal ones in a row are one
	verify func(o outcome) error
}

// header is what the upstream has to see.
func (a *api) header() string {
	if user, ok := strings.CutPrefix(a.value, "basic "); ok {
		pair := fmt.Sprintf(user, canaries[a.secret])
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
	}
	return fmt.Sprintf(a.value, canaries[a.secret])
}

func (a *api) authorized(h http.Header) bool {
	return slices.Equal(h.Values(a.name), []string{a.header()})
}

var apis = []*api{&example, &openai, &anthropic, &github}

var example = api{
	host: "api.example.test", path: "/v1",
	rule: `inject_headers: {Authorization: "Bearer ${EXAMPLE_KEY}"}`,
	name: "Authorization", secret: "EXAMPLE_KEY", value: "Bearer %s",
	get: []string{"GET /v1/echo"}, rest: []string{"POST /v1/upload", "GET /v1/download"},
	verify: checkFiles,
}

var openai = api{
	host: "api.openai.com", path: "/v1",
	rule: `inject_headers: {Authorization: "Bearer ${OPENAI_API_KEY}"}`,
	name: "Authorization", secret: "OPENAI_API_KEY", value: "Bearer %s",
	get:    []string{"GET /v1/models"},
	rest:   []string{"POST /v1/chat/completions", "GET /v1/models", "POST /v1/responses", "GET /v1/models"},
	verify: nothing,
}

var anthropic = api{
	host: "api.anthropic.com", path: "",
	// The SDK sends its key as a bearer token.
	rule: `remove_headers: [Authorization]
    headers: [{name: x-api-key, type: workspace_secret, value: "{ANTHROPIC_API_KEY}"}]`,
	name: "X-Api-Key", secret: "ANTHROPIC_API_KEY", value: "%s",
	get: []string{"GET /v1/models"}, rest: []string{"POST /v1/messages", "GET /v1/models"},
	verify: nothing,
}

var github = api{
	host: "github.com", path: "/owner",
	rule: `basic_auth: {username: x-access-token, password: "${GITHUB_TOKEN}"}`,
	name: "Authorization", secret: "GITHUB_TOKEN", value: "basic x-access-token:%s",
	get:    []string{"GET /owner/repo.git/info/refs", "POST /owner/repo.git/git-upload-pack"},
	rest:   []string{"GET /owner/repo.git/info/refs", "POST /owner/repo.git/git-receive-pack"},
	verify: checkPushed,
}

func nothing(outcome) error { return nil }
