//go:build clients

package clients

import (
	"cmp"
	"path/filepath"
)

var grpcClients = []client{
	{
		name: "grpc-go", command: grpcProgram("grpc-client"), tool: "grpc-go", proto: http2, api: &grpcService,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"}, not: notGRPC,
	},
	{
		name: "python grpcio", command: pythonProgram("client_grpc.py"), tool: "grpcio", proto: http2, api: &grpcService,
		variables: []string{"https_proxy", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"}, not: notGRPC,
	},
	{
		name: "node grpc-js", command: grpcNode, tool: "@grpc/grpc-js", proto: http2, api: &grpcService,
		variables: []string{"https_proxy", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"}, not: notGRPC,
	},
}

var notGRPC = all(
	because("gRPC is HTTP/2 with trailers, and has no such thing", "events", "websocket", "continue", "redirect"),
	because("gRPC without TLS goes through a tunnel, never as plain HTTP", "plain-http"),
)

var grpcTools = []tool{
	{name: "grpc-go", present: []string{"$dir/grpc-client", "version", ""}, build: buildGRPC},
	{name: "grpcio", present: module("grpc"), debian: []string{"python3-grpcio"}},
	npmPackage("@grpc/grpc-js"),
}

var grpcAPIs = []*api{&grpcService}

// grpcService answers the calls of upstream_grpc_test.go. "all" is a unary call, a
// stream of the client's, and one of the server's.
var grpcService = api{
	host: "grpc.example.test",
	rule: `inject_headers: {Authorization: "Bearer ${GRPC_KEY}"}`,
	name: "Authorization", secret: "GRPC_KEY", value: "Bearer %s",
	serve: (*upstream).grpc,
	modes: map[string]steps{
		"get":            {requests: grpcCalls("Echo")},
		"all":            {grpcCalls("Echo", "Upload", "Download"), checkDownload},
		"large-upload":   {requests: grpcCalls("LargeUpload")},
		"large-download": {grpcCalls("LargeDownload"), checkLargeDownload},
		"stream":         {grpcCalls("Stream"), checkStreamed},
		"gzip":           {grpcCalls("Gzip"), checkGzip},
		"trailers":       {grpcCalls("Trailers"), checkTrailers},
		"hang-up":        {grpcCalls("Forever"), checkHangUp},
	},
}

func grpcCalls(methods ...string) []string {
	var requests []string
	for _, m := range methods {
		requests = append(requests, "POST "+grpcPath+m)
	}
	return requests
}

// buildGRPC makes the programs of the module grpc in dir, and grpc-go's own interop
// client and server.
func buildGRPC(dir string) error {
	var err error
	for name, path := range map[string]string{
		"grpc-client":         "./client",
		"grpc-server":         "./server",
		"grpc-calls":          "./calls",
		"grpc-interop-client": "google.golang.org/grpc/interop/client",
		"grpc-interop-server": "google.golang.org/grpc/interop/server",
	} {
		err = cmp.Or(err, quietly("grpc", "go", "build", "-o", filepath.Join(dir, name), path))
	}
	return err
}

func grpcProgram(name string) func(*scene) []string {
	return func(s *scene) []string { return []string{filepath.Join(s.dir, name)} }
}

func grpcNode(s *scene) []string {
	return []string{filepath.Join(s.dir, "node"), testdata("node/grpc.cjs")}
}
