//go:build clients

package clients

import "path/filepath"

// Chromium's certificates come from the database that certutil writes: of the
// variables the program in testdata reads NODE_EXTRA_CA_CERTS, not the browser.
var browserClients = []client{
	{
		name: "chromium h1, certutil", command: chromium("h1"), tool: "chromium", proto: http1, api: &browserExample,
		variables: []string{"https_proxy", "NODE_EXTRA_CA_CERTS"},
		not:       notForBrowser,
	},
	{
		name: "chromium h2, certutil", command: chromium("h2"), tool: "chromium", proto: http2, api: &browserExample,
		variables: []string{"https_proxy", "NODE_EXTRA_CA_CERTS"},
		not:       all(because("plain HTTP is HTTP/1.1, see the row of the client's h1", "plain-http"), notForBrowser),
	},
}

var notForBrowser = all(
	because("browsers never send Expect", "continue"),
	because("browsers do not show trailers", "trailers"),
	because("Chromium understands the glob by which NO_PROXY names this host, and does not ask the proxy: see direct", "no_proxy"),
)

var browserTools = []tool{
	{
		name: "chromium", present: []string{"sh", "-c", "command -v certutil >&2 && chromium --version"},
		debian: []string{"chromium", "libnss3-tools"},
	},
}

var browserAPIs []*api

// chromium is the command line of the browser's program, which Node runs.
func chromium(protocol string) func(*scene) []string {
	return func(s *scene) []string {
		return []string{filepath.Join(s.dir, "node"), testdata("browser/client.cjs"), protocol}
	}
}
