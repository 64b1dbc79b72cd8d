package cli

import (
	"fmt"
	"net"
	"path"
	"strings"
	"time"

	"keybearer/internal/peer"
)

// identifyTime is how much processor time it may take to look for the program of a
// client. The client waits meanwhile, which is why the proxy does not ask often.
const identifyTime = 50 * time.Millisecond

// identify is for proxy.Proxy.Identify.
func identify(conn net.Conn) (process, advice string) {
	name, pid, err := peer.Process(conn, identifyTime)
	if err != nil {
		return "", ""
	}
	return fmt.Sprintf("%s (pid %d)", plainName(name), pid), trustAdvice(name)
}

// plainName is the name of a file as one short word: a client that chooses the name of
// its program must not write sentences into the log.
func plainName(file string) string {
	const longest = 40
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("._+-", r) || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return '_'
	}, file[:min(len(file), longest)])
}

// trustAdvice says what makes a program trust the CA: a variable, out of all those
// that keybearer env prints, or what to do where there is none.
func trustAdvice(program string) string {
	if strings.HasPrefix(strings.ToLower(program), "chrom") {
		return "import the certificate that keybearer ca path names into its database with certutil"
	}
	return "set " + trustVariables(program) + " to what keybearer env prints"
}

func trustVariables(program string) string {
	for _, kind := range trust {
		for name := range strings.FieldsSeq(kind.programs) {
			if ok, _ := path.Match(name, strings.ToLower(program)); ok {
				return kind.variables
			}
		}
	}
	return "SSL_CERT_FILE, or the variable of its own that it has for that,"
}

// trust is what kinds of programs read, by the names of their files.
var trust = []struct{ programs, variables string }{
	{"python* pypy* pip* uv uvx poetry", "SSL_CERT_FILE and REQUESTS_CA_BUNDLE"},
	{"node* npm* npx* bun* yarn* pnpm* electron* code", "NODE_EXTRA_CA_CERTS"},
	{"deno*", "DENO_CERT"},
	{"java* gradle* mvn* kotlin* scala*", "JAVA_TOOL_OPTIONS"},
	{"git git-*", "GIT_SSL_CAINFO"},
	{"curl*", "CURL_CA_BUNDLE"},
	{"wget*", "SYSTEM_WGETRC or SSL_CERT_FILE"},
	{"cargo* rustup*", "CARGO_HTTP_CAINFO"},
	{"aws*", "AWS_CA_BUNDLE"},
	{"perl*", "PERL_LWP_SSL_CA_FILE or SSL_CERT_FILE"},
	{"nix*", "NIX_SSL_CERT_FILE"},
	{"erl* beam* elixir* mix", "HEX_CACERTS_PATH"},
	{"php*", "PHP_INI_SCAN_DIR"},
	{"ruby* bundle* gem* go gh docker* kubectl* helm*", "SSL_CERT_FILE"},
}
