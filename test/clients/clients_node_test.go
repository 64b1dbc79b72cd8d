//go:build clients

package clients

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

var nodeClients = []client{
	{
		name: "node fetch", command: node("fetch"), tool: "node", proto: http1, api: &example,
		variables: nodeProxy,
		not: all(
			because("Node's WebSocket has a row of its own", "websocket"),
			notForFetch,
		),
		checks: tunnelledHTTP,
	},
	{
		name: "node https", command: node("https"), tool: "node", proto: http1, api: &example,
		variables: nodeProxy,
		not: all(
			because("node:https has no WebSocket", "websocket"),
			because("node:https follows no redirects", "redirect"),
		),
	},
	{
		name: "node WebSocket", command: node("WebSocket"), tool: "node", proto: http1, api: &sockets,
		variables: nodeProxy, not: notForWebSocket,
		checks: map[string]func(outcome) error{"plain-http": checkUntouched, "untrusted": checkRefusedUnsaid},
	},
	{
		name: "node undici h1", command: node("undici-h1"), tool: "undici", proto: http1, api: &example,
		variables: ownProxy,
		not:       because("undici refuses Expect", "continue"),
	},
	{
		name: "node undici h2", command: node("undici-h2"), tool: "undici", proto: http2, api: &example,
		variables: ownProxy,
		not:       all(onlyH2, because("undici refuses Expect", "continue")),
	},
	{
		name: "node axios", command: node("axios"), tool: "axios", proto: http1, api: &example,
		variables: ownProxy,
		not:       because("axios has no WebSocket", "websocket"),
	},
	{
		name: "node got", command: node("got"), tool: "got", proto: http1, api: &example,
		variables: nodeProxy,
		not:       because("got has no WebSocket", "websocket"),
	},
	{
		name: "node got, hpagent", command: node("got-hpagent"), tool: "hpagent", proto: http1, api: &example,
		variables: ownProxy,
		not: all(
			because("got has no WebSocket", "websocket"),
			because("hpagent does not look at NO_PROXY", "direct"),
		),
		checks: tunnelledHTTP,
	},
	{
		name: "node ws", command: node("ws"), tool: "ws", proto: http1, api: &sockets,
		variables: ownProxy,
		not: all(
			notForWebSocket,
			because("https-proxy-agent does not look at NO_PROXY", "direct"),
		),
		checks: tunnelledHTTP,
	},
	{
		name: "openai", command: node("openai"), tool: "openai", proto: http1, api: &openai,
		variables: append([]string{"OPENAI_API_KEY"}, nodeProxy...),
		not:       all(because("the SDK leaves WebSocket to ws", "websocket"), notForFetch),
		checks:    tunnelledHTTP,
	},
	{
		name: "@anthropic-ai/sdk", command: node("anthropic"), tool: "@anthropic-ai/sdk", proto: http1, api: &anthropic,
		variables: append([]string{"ANTHROPIC_API_KEY"}, nodeProxy...),
		not:       all(because("the SDK has no WebSocket", "websocket"), notForFetch),
		checks:    tunnelledHTTP,
	},
	{
		name: "@octokit/rest", command: node("octokit"), tool: "@octokit/rest", proto: http1, api: &githubREST,
		variables: append([]string{"GITHUB_TOKEN"}, nodeProxy...),
		not:       all(because("GitHub's API has no WebSocket", "websocket"), notForFetch),
		checks:    tunnelledHTTP,
	},
	{
		name: "npm", command: npm("npm"), tool: "npm", proto: http1, api: &npmRegistry,
		variables: []string{"HTTPS_PROXY", "npm_config_cafile"},
		not:       notForNpm,
	},
	{
		name: "pnpm", command: npm("pnpm"), tool: "pnpm", proto: http1, api: &npmInstalls,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not:       all(notForNpm, because("pnpm is tried as one that installs", "large-upload")),
	},
	{
		name: "yarn 1", command: npm("yarn"), tool: "yarn", proto: http1, api: &npmInstalls,
		variables: []string{"HTTPS_PROXY", "npm_config_cafile"},
		not:       all(notForNpm, because("yarn is tried as one that installs", "large-upload"), because("yarn 1 does not look at NO_PROXY", "direct")),
		checks:    map[string]func(outcome) error{"untrusted": checkRefusedUnsaid},
	},
	{
		name: "bun fetch", command: bun, tool: "bun", proto: http1, api: &example,
		variables: ownProxy,
		not: all(
			because("Bun's WebSocket takes a proxy from the program alone", "websocket"),
			notForFetch,
		),
	},
	{
		name: "deno fetch h2", command: deno("fetch"), tool: "deno", proto: http2, api: &example,
		variables: []string{"HTTPS_PROXY", "DENO_CERT"},
		not:       all(onlyH2, notForFetch),
	},
	{
		name: "deno WebSocket", command: deno("WebSocket"), tool: "deno", proto: http1, api: &sockets,
		variables: []string{"HTTPS_PROXY", "DENO_CERT"},
		not:       notForWebSocket,
	},
}

// What Node's own clients need, and what those that find the proxy without Node's help need.
var (
	nodeProxy = []string{"NODE_USE_ENV_PROXY", "HTTPS_PROXY", "NODE_EXTRA_CA_CERTS"}
	ownProxy  = []string{"HTTPS_PROXY", "NODE_EXTRA_CA_CERTS"}
)

var notForFetch = all(
	because("fetch refuses Expect", "continue"),
	because("fetch does not show trailers", "trailers"),
)

var notForWebSocket = because("it is for WebSocket alone",
	"large-upload", "large-download", "stream", "events", "continue", "redirect", "gzip", "trailers", "hang-up")

// tunnelledHTTP is for clients that ask for a tunnel for plain HTTP too: keybearer
// does not see their requests, which is as good, but its log cannot tell of them.
var tunnelledHTTP = map[string]func(outcome) error{"plain-http": checkUntouched}

// checkRefusedUnsaid: as checkRefused, for a client that does not say why it failed.
// Keybearer does.
func checkRefusedUnsaid(o outcome) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	switch {
	case o.err == nil:
		return errors.New("the client accepted keybearer's certificate without trusting it")
	case len(o.requests) > 0:
		return fmt.Errorf("the upstream saw %s; nothing may be sent before the client's handshake has ended", o.requests)
	}
	return o.scene.log.await(ctx, o.logged, "if it does not trust keybearer's CA")
}

var notForNpm = because("the registry's protocol has no such request",
	"stream", "events", "websocket", "continue", "trailers", "hang-up")

var nodeAPIs = []*api{&sockets, &openai, &anthropic, &githubREST, &npmRegistry}

// sockets is the host of clients that have nothing but WebSocket.
var sockets = api{
	host: "live.example.test", path: "/v1",
	rule: example.rule, name: example.name, secret: example.secret, value: example.value,
	serve: (*upstream).example,
	modes: map[string]steps{"get": example.modes["websocket"], "all": example.modes["websocket"], "websocket": example.modes["websocket"]},
}

func node(client string) func(*scene) []string {
	return func(s *scene) []string {
		return []string{filepath.Join(s.dir, "node"), testdata("node/client.cjs"), client}
	}
}

func npm(program string) func(*scene) []string {
	return shell("node/npm.sh", program)
}

func bun(s *scene) []string {
	return []string{filepath.Join(s.dir, "bun"), "run", testdata("node/client.cjs"), "fetch"}
}

func deno(client string) func(*scene) []string {
	return func(s *scene) []string {
		return []string{filepath.Join(s.dir, "deno"), "run", "--allow-all", testdata("node/client.cjs"), client}
	}
}
