//go:build clients

package clients

import "path/filepath"

var goClients = []client{
	{
		name: "go h1", command: goClient("1.1"), tool: "go", proto: http1, api: &example,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not:       because("net/http has no WebSocket", "websocket"),
	},
	{
		name: "go h2", command: goClient("2"), tool: "go", proto: http2, api: &example,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not:       onlyH2,
	},
}

var goTools = []tool{
	// Go is here: it runs this.
	{name: "go", present: []string{"go", "version"}, build: func(dir string) error {
		return quietly("", "go", "build", "-o", filepath.Join(dir, "client"), "testdata/client.go")
	}},
}

func goClient(version string) func(*scene) []string {
	return func(s *scene) []string { return []string{filepath.Join(s.dir, "client"), version} }
}
