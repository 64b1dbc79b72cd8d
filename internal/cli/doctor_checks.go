package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// The checks of doctor, each on the grounds of those before it. A cure says that
// something is wrong and what to do.

func (p *patient) usedProxy() (found, cure string) {
	switch {
	case len(p.exchanges)+len(p.refused) > 0:
		return "it used the proxy: CONNECT " + p.host.String(), ""
	case len(p.elsewhere) > 0:
		return "it used the proxy, but not for " + p.host.Host(),
			fmt.Sprintf("It called %s. Name one of these with --host, or put {url} into its arguments.", strings.Join(p.elsewhere, ", "))
	case p.unclear != "":
		return "it connected to the proxy, and did not speak to it as to an HTTP proxy",
			"To the proxy that was: " + p.unclear + ".\nThe proxy's URL begins with http://, also for https:// hosts; it is not a SOCKS proxy."
	}
	found = "it did not use the proxy"
	cure = "Its environment had HTTPS_PROXY, HTTP_PROXY and the variables of common clients, see keybearer env.\n" +
		proxyAdvice(p.args[0]) + "\nIf it calls another host than " + p.host.Host() + ", name that one with --host, or put {url} into its arguments."
	if ended, why := p.endedWell(); why != "" { // perhaps before it would have called anything
		found += ": " + ended
		cure += "\nIf it ended before it called anything, what it printed is above. One that wants a key to start may have any,\n" +
			"as in API_KEY=none keybearer doctor -- " + p.args[0] + "."
	}
	return found, cure
}

func (p *patient) trustedCA() (found, cure string) {
	if len(p.exchanges) > 0 {
		return "it trusted the CA", ""
	}
	if why := p.refused[0].Reason; !strings.Contains(why, "trust") {
		return "the TLS handshake did not succeed", why + "."
	}
	reason, advice, ok := strings.Cut(p.refused[0].Reason, ": ")
	if ok {
		reason += ".\nThe cure for such a program is to " + advice + "; this one had them all when it was started"
	}
	return "it did not trust the CA", reason + ".\nLook for what overrides them, or for an option of its own for a CA file."
}

func (p *patient) spoke() (found, cure string) {
	var protocols []string
	for _, e := range p.exchanges {
		name := "HTTP/1.1"
		if e.Protocol == "h2" {
			name = "HTTP/2"
		}
		if name += " over " + tls.VersionName(e.TLS); !slices.Contains(protocols, name) {
			protocols = append(protocols, name)
		}
	}
	return "it spoke " + strings.Join(protocols, ", "), ""
}

func (p *patient) injected() (found, cure string) {
	for _, credential := range p.api.received() {
		if credential == "Bearer "+p.api.key {
			return "the header of the rule arrived: Authorization", ""
		}
	}
	first := p.exchanges[0]
	return "the header of the rule did not arrive", fmt.Sprintf("%s %s got status %d: %s.", first.Method, first.Path, first.Status, first.Reason)
}

func (p *patient) endedWell() (found, cure string) {
	if p.ended == nil {
		return "it ended with exit code 0", ""
	}
	found = p.ended.Error()
	var code *exec.ExitError
	if errors.As(p.ended, &code) {
		found = fmt.Sprintf("it ended with exit code %d", exitCode(code.ProcessState))
	}
	return found, "What it printed is above. It got a line of JSON for every request; a program that\nexpects more of the host may fail here and work with the real one."
}

// proxyAdvice says why a program may have passed over the proxy, by the name of its
// file.
func proxyAdvice(program string) string {
	name := strings.ToLower(path.Base(program))
	for _, kind := range proxyHabits {
		for pattern := range strings.FieldsSeq(kind.programs) {
			if ok, _ := path.Match(pattern, name); ok {
				return kind.advice
			}
		}
	}
	return "Its HTTP client reads none of them, or was told to use none: look for an option or a setting of its own for a proxy."
}

var proxyHabits = []struct{ programs, advice string }{
	{"node* npx* tsx*", "Node reads them from 22.21 and 24.5 on; before, give undici's EnvHttpProxyAgent or an agent of your client the proxy."},
	{"python* uv uvx pytest*", "requests and httpx read them; aiohttp with trust_env=True; urllib3 and websockets have to be given the proxy."},
	{"java* gradle* mvn*", "The JVM reads JAVA_TOOL_OPTIONS; a client built with a ProxySelector of its own, or Apache HttpClient without useSystemProperties, does not."},
	{"php*", "The curl extension reads them; PHP's streams (file_get_contents) have to be given the proxy in a context."},
	{"ruby* bundle* rails*", "Net::HTTP reads them; other clients have a proxy option."},
	{"go", "An http.Transport of your own needs Proxy: http.ProxyFromEnvironment."},
	{"deno* bun*", "Their fetch reads them; node:https in them may not."},
}
