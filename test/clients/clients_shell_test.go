//go:build clients

package clients

import "slices"

var shellClients = []client{
	{
		name: "curl h1", command: shell("curl.sh", "1.1"), tool: "curl", proto: http1, api: &example,
		variables: []string{"HTTPS_PROXY", "CURL_CA_BUNDLE"},
		not:       because("the curl command has no WebSocket", "websocket"),
	},
	{
		name: "curl h2", command: shell("curl.sh", "2"), tool: "curl", proto: http2, api: &example,
		variables: []string{"HTTPS_PROXY", "CURL_CA_BUNDLE"},
		not:       onlyH2,
	},
	{
		name: "wget", command: shell("wget.sh"), tool: "wget", proto: http1, api: &example,
		variables: []string{"https_proxy", "SYSTEM_WGETRC"},
		not: all(
			because("wget has no WebSocket", "websocket"),
			because("wget does not show trailers", "trailers"),
		),
	},
	{
		name: "git h1", command: shell("git.sh", "HTTP/1.1"), tool: "git", proto: http1, api: &github,
		variables: []string{"HTTPS_PROXY", "GIT_SSL_CAINFO"},
		not:       notForGit,
	},
	{
		name: "git h2", command: shell("git.sh", "HTTP/2"), tool: "git", proto: http2, api: &github,
		variables: []string{"HTTPS_PROXY", "GIT_SSL_CAINFO"},
		not:       all(notForGit, onlyH2),
	},
}

var notForGit = because("git's protocol has no such request",
	"stream", "events", "websocket", "continue", "redirect", "gzip", "trailers", "hang-up")

var shellTools = []tool{
	{name: "curl", present: []string{"curl", "--version"}, debian: []string{"curl"}},
	{name: "wget", present: []string{"wget", "--version"}, debian: []string{"wget"}},
	{name: "git", present: []string{"git", "--version"}, debian: []string{"git"}},
}

var shellAPIs = []*api{&github}

var github = api{
	host: "github.com", path: "/owner",
	rule: `basic_auth: {username: x-access-token, password: "${GITHUB_TOKEN}"}`,
	name: "Authorization", secret: "GITHUB_TOKEN", value: "basic x-access-token:%s",
	serve: (*upstream).git,
	modes: map[string]steps{
		"get": {requests: cloneOf("repo.git")},
		"all": {slices.Concat(cloneOf("repo.git"), pushTo("repo.git")), checkPushed},

		// A pack of 200 MB each.
		"large-upload":   {pushTo("empty.git"), checkLargePushed},
		"large-download": {cloneOf("large.git"), checkLargeCloned},
	},
}

func cloneOf(repository string) []string {
	return []string{"GET /owner/" + repository + "/info/refs", "POST /owner/" + repository + "/git-upload-pack"}
}

func pushTo(repository string) []string {
	return []string{"GET /owner/" + repository + "/info/refs", "POST /owner/" + repository + "/git-receive-pack"}
}

// shell is the command line of a script in testdata.
func shell(script string, option ...string) func(*scene) []string {
	return func(*scene) []string { return slices.Concat([]string{"sh", testdata(script)}, option) }
}
