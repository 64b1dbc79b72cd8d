//go:build clients

package clients

import "slices"

var jvmClients = []client{
	{
		name: "java HttpClient h1", command: java("Client", "1.1"), tool: "java", proto: http1, api: &example,
		variables: []string{"JAVA_TOOL_OPTIONS"},
		not:       because("HttpClient does not show trailers", "trailers"),
	},
	{
		name: "java HttpClient h2", command: java("Client", "2"), tool: "java", proto: http2, api: &example,
		variables: []string{"JAVA_TOOL_OPTIONS"},
		not:       all(onlyH2, because("HttpClient does not show trailers", "trailers")),
	},
	{
		name: "java HttpURLConnection", command: java("OldClient"), tool: "java", proto: http1, api: &example,
		variables: []string{"JAVA_TOOL_OPTIONS"},
		not: all(
			because("HttpURLConnection does not show trailers", "trailers"),
			because("HttpURLConnection has no WebSocket", "websocket"),
		),
	},
}

var jvmTools = []tool{
	{
		name: "java", present: []string{"javac", "--version"}, debian: []string{"openjdk-17-jdk-headless"},
		build: func(dir string) error {
			return quietly("", "javac", "-d", dir, "testdata/Client.java", "testdata/OldClient.java")
		},
	},
}

func java(class string, option ...string) func(*scene) []string {
	return func(s *scene) []string {
		return slices.Concat([]string{"java", "-Xshare:auto", "-cp", s.dir, class}, option)
	}
}
