//go:build clients

// Package clients sends requests with the HTTP clients that people use through
// the keybearer program, to an upstream on loopback that stands in for the real
// hosts. "make test-clients" runs it; a table at the end says how each client
// fared in each situation.
//
// A client program is started as PROGRAM [OPTION] get|all BASE. For "get" it
// gets BASE/echo; for "all" it also posts the file upload.bin to BASE/upload
// and saves BASE/download as download.bin. With each request it sends a
// credential that is bogus; it prints the headers and bodies it receives, and
// exits with 0 only if every status was 200. The official SDKs and git do the
// like with the requests of their protocols. None is told of a proxy or of
// certificates but by the environment that keybearer gives.
package clients

import (
	"bytes"
	"os"
	"testing"
)

// client is a program and what is expected of it.
type client struct {
	name    string
	command func(*scene) []string // without the last two arguments, mode and base
	tool    string                // what has to be installed for it, see tools
	proto   string                // what the upstream shall be spoken to in
	api     *api                  // the matched host that it is for
}

const (
	http1 = "HTTP/1.1"
	http2 = "HTTP/2.0"
)

var clients = []client{
	{"curl h1", shell("curl.sh", "1.1"), "curl", http1, &example},
	{"curl h2", shell("curl.sh", "2"), "curl", http2, &example},
	{"wget", shell("wget.sh"), "wget", http1, &example},
	{"git h1", shell("git.sh", "HTTP/1.1"), "git", http1, &github},
	{"git h2", shell("git.sh", "HTTP/2"), "git", http2, &github},
	{"python requests", python("requests"), "requests", http1, &example},
	{"python httpx h1", python("httpx"), "httpx", http1, &example},
	{"python httpx h2", python("httpx-h2"), "httpx h2", http2, &example},
	{"python aiohttp", python("aiohttp"), "aiohttp", http1, &example},
	{"node fetch", node("client.cjs", "fetch"), "node", http1, &example},
	{"node undici h1", node("client.cjs", "undici"), "node", http1, &example},
	{"node undici h2", node("client.cjs", "undici-h2"), "node", http2, &example},
	{"node axios", node("client.cjs", "axios"), "node", http1, &example},
	{"openai", node("sdk.cjs", "openai"), "node", http1, &openai},
	{"@anthropic-ai/sdk", node("sdk.cjs", "anthropic"), "node", http1, &anthropic},
	{"go h1", goClient("1.1"), "go", http1, &example},
	{"go h2", goClient("2"), "go", http2, &example},
	{"java h1", java("1.1"), "java", http1, &example},
	{"java h2", java("2"), "java", http2, &example},
}

// situation is a way to start a client, and what has to come of it.
type situation struct {
	name    string
	mode    string                      // for the client: get or all
	host    func(*scene, client) string // that it asks for
	environ func(*scene) environ        // that it gets
	run     bool                        // as the child of keybearer run
	check   func(o outcome) error
}

var situations = []situation{
	{"matched", "all", matchedHost, (*scene).clientEnv, false, checkInjected},
	{"run", "all", matchedHost, (*scene).runEnv, true, checkRun},

	// In these the client trusts the origin's authority alone, not keybearer's:
	// if it is content, it saw the origin's certificate.
	{"unmatched", "get", always(unmatchedHost), (*scene).originEnv, false, checkUntouched},
	{"no_proxy", "get", always(noProxyHost), (*scene).originEnv, false, checkUntouched},
	{"direct", "get", directHost, (*scene).originEnv, false, checkUntouched},

	// The same with the environment as keybearer gives it: upstream_ca is the origin's.
	{"upstream_ca", "get", always(unmatchedHost), (*scene).clientEnv, false, checkUpstreamCA},

	// A client of the origin's looks at certificates indeed.
	{"untrusted", "get", matchedHost, (*scene).originEnv, false, checkRefused},
}

// Only --resolve leads to these hosts.
const (
	unmatchedHost = "unmatched.example.test"
	noProxyHost   = "files-7.example.test" // by a glob that no client understands, so that it asks the proxy
)

func TestClients(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			for _, s := range situations {
				t.Run(s.name, func(t *testing.T) {
					if reason := theScene.missing(c.tool); reason != "" {
						theTable.set(c.name, s.name, "skipped: "+reason)
						if os.Getenv("CI") != "" {
							t.Fatal(reason)
						}
						t.Skip(reason)
					}
					theTable.set(c.name, s.name, "FAILED")
					o := theScene.play(t, c, s)
					if err := o.verify(); err != nil {
						t.Fatalf("%v\n\n%s", err, o.report())
					}
					theTable.set(c.name, s.name, "ok")
				})
			}
		})
	}
}

// Whatever the clients did, the log of keybearer serve tells no secret.
func TestLogHoldsNoSecret(t *testing.T) {
	log := theScene.log.Bytes()
	if !bytes.Contains(log, []byte(`"injected":`)) {
		t.Skip("the log tells of no injection yet: this test comes after the clients'")
	}
	if found := leak(log); found != "" {
		t.Errorf("the log of keybearer serve holds a secret, %s; see internal/telemetry:\n%s", found, tail(log, 10000))
	}
}
