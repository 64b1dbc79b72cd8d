//go:build clients

// Package clients sends requests with the HTTP clients that people use through
// the keybearer program, to an upstream on loopback that stands in for the real
// hosts. "make test-clients" runs it and writes docs/clients.md, a table of what
// each client can do in each situation.
//
// A client program is started as PROGRAM [OPTION] MODE BASE in a directory of its
// own. With each request it sends a credential that is bogus, prints the headers
// and bodies it receives, and exits with 0 only if all went well. None is told of
// a proxy or of certificates but by the environment that keybearer gives. The
// modes, see modes_test.go for the upstream's side:
//
//	get             GET BASE/echo
//	all             that; POST the file upload.bin to BASE/upload; save BASE/download as download.bin
//	large-upload    POST the file large.bin, 64 MiB, to BASE/large
//	large-download  save BASE/large as large-download.bin
//	stream          GET BASE/stream; print each line as soon as it is there
//	events          GET BASE/events, server-sent events; print each line as soon as it is there
//	websocket       a text and 100,000 binary bytes to the echo of BASE/websocket; close with 1000
//	continue        POST upload.bin to BASE/continue with Expect: 100-continue
//	redirect        GET BASE/redirect and follow it, to another host
//	gzip            GET BASE/gzip with Accept-Encoding: gzip; print what is decoded
//	trailers        GET BASE/trailers; print each trailer as "trailer Name: value"
//	hang-up         GET BASE/forever; print the first line, close the connection, exit with 0
//
// The official SDKs, git and others of a protocol of their own do in each of these
// modes what comes nearest.
//
// Each family of clients has a file, clients_FAMILY_test.go, that lists its clients,
// the tools they need, and the hosts that they are for.
package clients

import (
	"bytes"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// client is a program and what is expected of it.
type client struct {
	name      string
	command   func(*scene) []string          // without the last two arguments, mode and base
	tool      string                         // what has to be installed for it, see tools
	proto     string                         // what the upstream shall be spoken to in, over TLS
	api       *api                           // the matched host that it is for
	variables []string                       // of keybearer's environment, all that it needs to work on a matched host
	not       reasons                        // why it is not tried in a situation, by the situation's name
	checks    map[string]func(outcome) error // in place of the situation's check, by its name
}

const (
	http1 = "HTTP/1.1"
	http2 = "HTTP/2.0"
)

// reasons say why a situation is not applicable to a client, by the situation's
// name: they end a sentence "not applicable because …".
type reasons map[string]string

// because gives several situations one reason.
func because(reason string, situations ...string) reasons {
	r := reasons{}
	for _, name := range situations {
		r[name] = reason
	}
	return r
}

// all joins reasons. Of two for one situation the later holds.
func all(list ...reasons) reasons {
	joined := reasons{}
	for _, r := range list {
		maps.Copy(joined, r)
	}
	return joined
}

// onlyH2 is for the rows of clients that have another one for HTTP/1.1.
var onlyH2 = all(
	because("plain HTTP is HTTP/1.1, see the row of the client's h1", "plain-http"),
	because("WebSocket is offered over HTTP/1.1 alone, see the row of the client's h1", "websocket"),
)

// clients, tools and apis are those of all families.
var (
	clients []client
	tools   []tool
	apis    []*api
)

// joinFamilies fills them. It is no initialiser, because the families' checks use them.
func joinFamilies() {
	clients = slices.Concat(shellClients, pythonClients, nodeClients, goClients, jvmClients,
		scriptsClients, packagesClients, cloudClients, browserClients, grpcClients)
	tools = slices.Concat(shellTools, pythonTools, nodeTools, goTools, jvmTools,
		scriptsTools, packagesTools, cloudTools, browserTools, grpcTools)
	apis = slices.Concat([]*api{&example}, shellAPIs, nodeAPIs, packagesAPIs, cloudAPIs, browserAPIs, grpcAPIs)
	makeCanaries()
}

// situation is a way to start a client, and what has to come of it.
type situation struct {
	name    string
	mode    string                       // for the client
	scheme  string                       // of the base
	host    func(*scene, client) string  // that it asks for
	environ func(*scene, client) environ // that it gets
	run     bool                         // as the child of keybearer run
	check   func(o outcome) error
}

var situations = slices.Concat(credentialSituations, featureSituations)

var credentialSituations = []situation{
	{"matched", "all", "https", matchedHost, clientEnv, false, checkInjected},
	{"run", "all", "https", matchedHost, runEnv, true, checkRun},
	{"variables", "all", "https", matchedHost, variablesEnv, false, checkInjected},

	// In these the client trusts the origin's authority alone, not keybearer's:
	// if it is content, it saw the origin's certificate.
	{"unmatched", "get", "https", always(unmatchedHost), originEnv, false, checkUntouched},
	{"no_proxy", "get", "https", always(noProxyHost), originEnv, false, checkUntouched},
	{"direct", "get", "https", directHost, originEnv, false, checkUntouched},

	// The same with the environment as keybearer gives it: upstream_ca is the origin's.
	{"upstream_ca", "get", "https", always(unmatchedHost), clientEnv, false, checkUpstreamCA},

	// A client of the origin's looks at certificates indeed.
	{"untrusted", "get", "https", matchedHost, originEnv, false, checkRefused},

	{"plain-http", "get", "http", matchedHost, clientEnv, false, checkPlain},
}

var featureSituations = []situation{
	feature("large-upload"), feature("large-download"), feature("stream"), feature("events"), feature("websocket"),
	feature("continue"), feature("redirect"), feature("gzip"), feature("trailers"), feature("hang-up"),
}

// feature is the situation of a mode, on a matched host.
func feature(mode string) situation {
	return situation{mode, mode, "https", matchedHost, clientEnv, false, checkInjected}
}

// Only --resolve leads to these hosts.
const (
	unmatchedHost = "unmatched.example.test"
	noProxyHost   = "files-7.example.test" // by a glob that no client understands, so that it asks the proxy
)

// TestClients plays as many cells at once as there are scenes.
func TestClients(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range situations {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					testCell(t, c, s)
				})
			}
		})
	}
}

func testCell(t *testing.T, c client, s situation) {
	if reason := c.not[s.name]; reason != "" {
		theTable.set(c.name, s.name, cell{state: notApplicable, text: reason})
		return
	}
	if reason := installed(c.tool); reason != "" {
		theTable.set(c.name, s.name, cell{state: skipped, text: reason})
		if os.Getenv("CI") != "" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	scene := <-theScenes
	defer func() { theScenes <- scene }()
	theTable.set(c.name, s.name, cell{state: failed})
	o := scene.play(t, c, s)
	if err := o.verify(); err != nil {
		t.Fatalf("%v\n\n%s", err, o.report())
	}
	theTable.set(c.name, s.name, cell{state: works})
}

// Each reason belongs to a situation, each situation that a client is tried in has
// requests to expect, and each variable is one of keybearer's.
func TestClientsAreComplete(t *testing.T) {
	names := map[string]bool{}
	for _, s := range situations {
		names[s.name] = true
	}
	for _, c := range clients {
		for name := range c.not {
			if !names[name] {
				t.Errorf("%s: not: %q is no situation", c.name, name)
			}
		}
		for _, s := range situations {
			_, ok := c.api.modes[s.mode]
			if !ok && c.not[s.name] == "" && c.checks[s.name] == nil {
				t.Errorf("%s: %s: neither does the api %s say what requests this makes nor the client why not", c.name, s.name, c.api.host)
			}
		}
		if len(c.variables) == 0 && c.not["variables"] == "" {
			t.Errorf("%s: it lists no variables", c.name)
		}
		for _, name := range c.variables {
			if !slices.ContainsFunc(theScene.client, func(entry string) bool { return strings.HasPrefix(entry, name+"=") }) {
				t.Errorf("%s: keybearer env gives no variable %s", c.name, name)
			}
		}
	}
}

// Whatever the clients did, the logs of keybearer serve tell no secret.
func TestLogHoldsNoSecret(t *testing.T) {
	log := theLogs()
	if !bytes.Contains(log, []byte(`"injected":`)) {
		t.Skip("the log tells of no injection yet: this test comes after the clients'")
	}
	if found := leak(log); found != "" {
		t.Errorf("the log of keybearer serve holds a secret, %s; see internal/telemetry:\n%s", found, tail(log, 10000))
	}
}
