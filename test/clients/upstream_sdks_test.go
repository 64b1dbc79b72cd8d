//go:build clients

package clients

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

var openai = api{
	host: "api.openai.com", path: "/v1",
	rule: `inject_headers: {Authorization: "Bearer ${OPENAI_API_KEY}"}`,
	name: "Authorization", secret: "OPENAI_API_KEY", value: "Bearer %s",
	unscrubbed: []string{"/v1/gzip"},
	serve:      (*upstream).sdk,
	modes: withModes("/v1", map[string]steps{
		"get": {requests: []string{"GET /v1/models"}},
		"all": {requests: []string{"GET /v1/models", "POST /v1/chat/completions", "GET /v1/models", "POST /v1/responses", "GET /v1/models"}},
	}),
}

var anthropic = api{
	host: "api.anthropic.com", path: "",
	// The SDK sends its key as a bearer token.
	rule: `remove_headers: [Authorization]
    headers: [{name: x-api-key, type: workspace_secret, value: "{ANTHROPIC_API_KEY}"}]`,
	name: "X-Api-Key", secret: "ANTHROPIC_API_KEY", value: "%s",
	unscrubbed: []string{"/gzip"},
	serve:      (*upstream).sdk,
	modes: withModes("", map[string]steps{
		"get": {requests: []string{"GET /v1/models"}},
		"all": {requests: []string{"GET /v1/models", "POST /v1/messages", "GET /v1/models"}},
	}),
}

var githubREST = api{
	host: "api.github.com", path: "",
	rule: `inject_headers: {Authorization: "Bearer ${GITHUB_TOKEN}"}`,
	name: "Authorization", secret: "GITHUB_TOKEN", value: "Bearer %s",
	unscrubbed: []string{"/gzip"},
	serve:      (*upstream).octokit,
	modes: withModes("", map[string]steps{
		"get": {requests: []string{"GET /user"}},
		"all": {requests: []string{"GET /user", "GET /repos/owner/repo/issues", "POST /repos/owner/repo/issues", "PUT /user/starred/owner/repo"}},
	}),
}

// withModes adds the modes of example, at another path, to those of an SDK's own.
func withModes(path string, modes map[string]steps) map[string]steps {
	for mode, s := range example.modes {
		if _, own := modes[mode]; own {
			continue
		}
		var requests []string
		for _, r := range s.requests {
			requests = append(requests, strings.Replace(r, " /v1/", " "+path+"/", 1))
		}
		modes[mode] = steps{requests, s.verify}
	}
	return modes
}

// sdk answers as the AI providers do, and to all else as example does.
func (u *upstream) sdk(w http.ResponseWriter, r *http.Request) {
	if _, ok := answers[strings.TrimPrefix(r.URL.Path, "/v1")]; ok {
		u.provider(w, r)
		return
	}
	u.example(w, r)
}

// octokit answers as GitHub's REST API does: with an ETag, a second page, 201, 204.
func (u *upstream) octokit(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /user":
		const etag = `W/"of-the-user"`
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		writeJSON(w, map[string]any{"login": "owner"})
	case "GET /repos/owner/repo/issues":
		if r.URL.Query().Get("page") == "" {
			w.Header().Set("Link", fmt.Sprintf(`<https://%s%s&page=2>; rel="next"`, r.Host, r.URL.RequestURI()))
		}
		writeJSON(w, []any{map[string]any{"number": 1}})
	case "POST /repos/owner/repo/issues":
		var issue struct{ Title string }
		if err := json.NewDecoder(r.Body).Decode(&issue); err != nil || issue.Title != "hello" {
			http.Error(w, fmt.Sprintf("the title is %q: %v", issue.Title, err), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
		writeJSON(w, map[string]any{"number": 2, "title": issue.Title})
	case "PUT /user/starred/owner/repo":
		w.WriteHeader(http.StatusNoContent)
	default:
		u.example(w, r)
	}
}
