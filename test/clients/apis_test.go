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
	path   string // of the base
	rule   string // the injecting part of the rule
	name   string // of the injected header
	secret string // the name of the secret
	value  string // of the header, with the secret as %s

	// unscrubbed are paths with a rule of their own that lets compressed answers pass.
	unscrubbed []string

	// serve answers for it, and for the other hosts that its clients ask. What
	// is to be found in what the client prints is the header X-Answer of w.
	serve func(u *upstream, w http.ResponseWriter, r *http.Request)

	modes map[string]steps
}

// steps are what a client does in a mode.
type steps struct {
	// requests that the upstream has to see, as "GET /v1/echo", or with the URL where
	// they go to another host. Equal ones in a row are one.
	requests []string
	// verify looks at what else has to come of it; nil for nothing.
	verify func(outcome) error
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

// rules are the entries of the configuration.
func (a *api) rules() string {
	var b strings.Builder
	add := func(name, more string) {
		fmt.Fprintf(&b, "  - name: %s\n    match_hosts: [%q]\n    %s\n    env_vars: {%s: %s}\n%s", name, a.host, a.rule, a.secret, bogus, more)
	}
	if len(a.unscrubbed) > 0 {
		add(a.host+" unscrubbed", fmt.Sprintf("    match_paths: [%s]\n    scrub_responses: off\n", strings.Join(a.unscrubbed, ", ")))
	}
	add(a.host, "")
	return b.String()
}

// example is the host of the clients that have no protocol of their own.
var example = api{
	host: "api.example.test", path: "/v1",
	rule: `inject_headers: {Authorization: "Bearer ${EXAMPLE_KEY}"}`,
	name: "Authorization", secret: "EXAMPLE_KEY", value: "Bearer %s",
	unscrubbed: []string{"/v1/gzip"},
	serve:      (*upstream).example,
	modes: map[string]steps{
		"get":            {requests: []string{"GET /v1/echo"}},
		"all":            {[]string{"GET /v1/echo", "POST /v1/upload", "GET /v1/download"}, checkDownload},
		"large-upload":   {requests: []string{"POST /v1/large"}},
		"large-download": {[]string{"GET /v1/large"}, checkLargeDownload},
		"stream":         {[]string{"GET /v1/stream"}, checkStreamed},
		"events":         {[]string{"GET /v1/events"}, checkStreamed},
		"websocket":      {[]string{"GET /v1/websocket"}, checkWebSocket},
		"continue":       {[]string{"POST /v1/continue"}, checkContinue},
		"redirect":       {requests: []string{"GET /v1/redirect", "GET https://" + unmatchedHost + "/v1/echo"}},
		"gzip":           {[]string{"GET /v1/gzip"}, checkGzip},
		"trailers":       {[]string{"GET /v1/trailers"}, checkTrailers},
		"hang-up":        {[]string{"GET /v1/forever"}, checkHangUp},
	},
}
