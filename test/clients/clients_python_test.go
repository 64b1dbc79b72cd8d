//go:build clients

package clients

var pythonClients = []client{
	{
		name: "python requests", command: python("requests"), tool: "requests", proto: http1, api: &example,
		variables: []string{"HTTPS_PROXY", "REQUESTS_CA_BUNDLE"},
		not:       all(because("requests has no WebSocket", "websocket"), noTrailers),
	},
	{
		name: "python httpx h1", command: python("httpx"), tool: "httpx", proto: http1, api: &example,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not:       all(because("httpx has no WebSocket", "websocket"), noTrailers),
	},
	{
		name: "python httpx h2", command: python("httpx-h2"), tool: "httpx h2", proto: http2, api: &example,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not:       all(onlyH2, because("httpx has no WebSocket", "websocket"), noTrailers),
	},
	{
		name: "python aiohttp", command: python("aiohttp"), tool: "aiohttp", proto: http1, api: &example,
		variables: []string{"HTTPS_PROXY", "WSS_PROXY", "SSL_CERT_FILE"}, // WSS_PROXY for wss:// alone
		not:       noTrailers,
	},
	{
		name: "python urllib3", command: python("urllib3"), tool: "urllib3", proto: http1, api: &example,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not:       all(because("urllib3 has no WebSocket", "websocket"), noTrailers),
	},
	{
		name: "python urllib", command: python("urllib"), tool: "python", proto: http1, api: &example,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not:       notForUrllib,
	},
	{
		// It verifies certificates as Python 3.13 does by default.
		name: "python urllib strict", command: python("urllib-strict"), tool: "python", proto: http1, api: &example,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not:       notForUrllib,
	},
	{
		name: "python websockets", command: python("websockets"), tool: "websockets", proto: http1, api: &webSocketExample,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"}, not: onlyWebSocket,
	},
	{
		name: "python websocket-client", command: python("websocket-client"), tool: "websocket-client", proto: http1, api: &webSocketExample,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"}, not: onlyWebSocket,
	},
	{
		name: "pip", command: pythonProgram("index.py"), tool: "pip", proto: http1, api: &indexExample,
		variables: []string{"HTTPS_PROXY", "PIP_CERT"},
		not: because("pip reads an index and downloads from it: it has no such request",
			"large-upload", "stream", "events", "websocket", "continue", "trailers", "hang-up"),
	},
}

var notForUrllib = all(because("the standard library has no WebSocket", "websocket"), noTrailers)

var noTrailers = because("the library reads over trailers and shows none", "trailers")

var onlyWebSocket = all(
	because("it speaks WebSocket alone", "large-upload", "large-download", "stream", "events", "continue", "redirect", "gzip", "trailers", "hang-up"),
	because("it opens a tunnel for ws:// as well", "plain-http"),
)

var pythonTools = []tool{
	{name: "python", present: []string{pythonPath, "--version"}, debian: []string{"python3"}},
	{name: "requests", present: module("requests"), debian: []string{"python3-requests"}},
	{name: "httpx", present: module("httpx"), debian: []string{"python3-httpx"}},
	{name: "httpx h2", present: module("httpx", "h2"), debian: []string{"python3-httpx", "python3-h2"}},
	{name: "aiohttp", present: module("aiohttp"), debian: []string{"python3-aiohttp"}},
	{name: "urllib3", present: module("urllib3"), debian: []string{"python3-urllib3"}},
	{name: "websockets", present: module("websockets", "python_socks"), debian: []string{"python3-websockets", "python3-python-socks"}},
	{name: "websocket-client", present: module("websocket"), debian: []string{"python3-websocket"}},
	{name: "pip", present: module("pip"), debian: []string{"python3-pip"}},
}

// webSocketExample is the example's host for libraries of WebSocket.
var webSocketExample = exampleWith((*upstream).example, map[string]steps{
	"get":       webSocketSteps,
	"all":       webSocketSteps,
	"websocket": webSocketSteps,
})

var webSocketSteps = steps{[]string{"GET /v1/websocket"}, checkWebSocket}

// pythonPath is Debian's python3: another one that comes first on PATH does not
// see Debian's packages.
var pythonPath = firstOf("/usr/bin/python3", "python3")

// module is a command that prints the version of the first of Python's modules.
func module(name string, others ...string) []string {
	program := "import " + name
	for _, other := range others {
		program += ", " + other
	}
	return []string{pythonPath, "-c", program + "; print('" + name + "', " + name + ".__version__)"}
}

func python(library string) func(*scene) []string { return pythonProgram("client.py", library) }

// pythonProgram is the command line of a program in testdata/python, beside which
// no compiled modules shall be left.
func pythonProgram(name string, option ...string) func(*scene) []string {
	return func(*scene) []string {
		return append([]string{pythonPath, "-B", testdata("python/" + name)}, option...)
	}
}
