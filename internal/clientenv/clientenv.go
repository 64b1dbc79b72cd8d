// Package clientenv knows what a program needs in its environment to use a
// keybearer proxy: where the proxy is, and whom to trust.
//
// There is no one variable for either. [Variables] returns those that the
// common HTTP clients, languages and package managers read, with the reason
// for each beside it in the table; [Write] renders them for a shell, a
// container, a CI job or a program; [TrustStore] makes the file that the Java
// virtual machine wants.
//
// The package writes no file and sets no variable. ALL_PROXY is left alone:
// clients use it for any protocol, and keybearer speaks HTTP.
package clientenv

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Params say which proxy to use and where its certificates are. An empty file
// leaves out the variables that would name it. Paths should be absolute, as
// programs change their directory.
type Params struct {
	ProxyURL string   // http://host:port, with user:password@ if it wants them
	NoProxy  []string // hosts that clients connect to directly; may be empty

	CAFile         string // PEM: our certificate authority alone
	BundleFile     string // PEM: the system's roots and ours
	TrustStoreFile string // PKCS#12: what BundleFile holds, see TrustStore
	WgetrcFile     string // see Wgetrc
	PHPIniFile     string // see PHPIni; the only file *.ini in its directory
	APTConfFile    string // see APTConf

	// JavaToolOptions is the present value of JAVA_TOOL_OPTIONS. It is kept, in
	// front of ours: where both set an option the JVM takes the last.
	JavaToolOptions string

	// Placeholders are dummies for tools that refuse to start without a
	// credential: name to value. A name that the package itself sets is ignored.
	Placeholders map[string]string
}

// A Variable is an environment variable.
type Variable struct{ Name, Value string }

// Variables returns the environment of a client, always in the same order and
// each name once; on systems that fold the case of names the two spellings of
// the proxy variables are one, with the same value. It replaces what a client
// has under these names already: an inherited NO_PROXY would lead around the
// proxy, so NO_PROXY is there even if it is empty.
func Variables(p Params) []Variable {
	var vars []Variable
	taken := map[string]bool{}
	for _, entry := range table {
		value, ok := entry.value(p)
		if !ok {
			continue
		}
		vars = append(vars, Variable{entry.name, value})
		taken[entry.name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(p.Placeholders)) {
		if !taken[name] {
			vars = append(vars, Variable{name, p.Placeholders[name]})
		}
	}
	return vars
}

// table lists the variables in the order they are written. Almost every one
// that names a bundle makes the client forget the roots it came with, hence
// BundleFile; the few that add to them get CAFile.
var table = []struct {
	name  string
	value func(Params) (value string, ok bool)
}{
	{"HTTPS_PROXY", proxyURL}, // Go, Node, Python, Rust's reqwest, Deno; the spelling that documentation uses
	{"https_proxy", proxyURL}, // wget and gRPC know this spelling alone; curl, git, Python and Ruby prefer it
	{"HTTP_PROXY", proxyURL},  // plain http:// in the same clients, where upper case is read
	{"http_proxy", proxyURL},  // curl and git read no other for http://: in CGI the upper-case one is the client's Proxy header
	{"WSS_PROXY", proxyURL},   // Python aiohttp: looks at no other for wss://
	{"NO_PROXY", noProxy},     // Go, Node, Python
	{"no_proxy", noProxy},     // wget and gRPC know this spelling alone; curl, git, Python and Ruby prefer it
	// Yarn 2 and later looks at nothing but its settings. (Its other YARN_ variables
	// are left alone: it refuses to start for one that its version does not know.)
	{"YARN_HTTPS_PROXY", proxyURL},
	{"YARN_HTTP_PROXY", proxyURL},

	{"NODE_USE_ENV_PROXY", one},                    // Node (22.21, 24.5 and later) ignores all of the above without it
	{"NODE_EXTRA_CA_CERTS", caFile},                // Node (so Yarn 2) and Bun: added to the compiled-in roots
	{"DENO_CERT", caFile},                          // Deno: added to its roots as well
	{"SSL_CERT_FILE", bundle},                      // OpenSSL and what asks it (Python's ssl, httpx, Ruby, PHP streams); Go and rustls-native-certs on Unix
	{"REQUESTS_CA_BUNDLE", bundle},                 // Python requests: looks at certifi's roots, never at OpenSSL's
	{"CURL_CA_BUNDLE", bundle},                     // the curl command; R's curl; requests as second choice
	{"GIT_SSL_CAINFO", bundle},                     // git: libcurl as a library does not read CURL_CA_BUNDLE
	{"PIP_CERT", bundle},                           // pip: its own copy of requests, which may use the system's store instead
	{"AWS_CA_BUNDLE", bundle},                      // AWS command line and SDKs: botocore has roots of its own
	{"CARGO_HTTP_CAINFO", bundle},                  // cargo: http.cainfo, as its libcurl is often built in with foreign paths
	{"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", bundle},   // gRPC core (C++, Python, Ruby, PHP) and grpc-js: compiled-in roots otherwise
	{"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", bundle}, // gcloud: property core/custom_ca_certs_file
	{"HTTPLIB2_CA_CERTS", bundle},                  // Python httplib2, under older Google API clients
	{"NIX_SSL_CERT_FILE", bundle},                  // Nix and what it builds: its OpenSSL prefers this to SSL_CERT_FILE
	{"BUNDLE_SSL_CA_CERT", bundle},                 // Ruby's bundler: setting ssl_ca_cert
	{"npm_config_cafile", bundle},                  // npm, pnpm, Yarn 1: setting cafile, which replaces the compiled-in roots
	{"PERL_LWP_ENV_PROXY", one},                    // Perl's LWP ignores the proxy variables without it
	{"PERL_LWP_SSL_CA_FILE", bundle},               // Perl's LWP: looks at Mozilla::CA otherwise
	{"HEX_CACERTS_PATH", bundle},                   // Elixir's hex: compiled-in roots otherwise
	{"SYSTEM_WGETRC", wgetrc},                      // wget with GnuTLS (Debian) knows no variable for certificates, only this one for its settings
	{"PHP_INI_SCAN_DIR", phpDirs},                  // PHP's curl extension knows no variable for certificates, only settings
	{"APT_CONFIG", aptConf},                        // apt: no variable for certificates either, only this one for settings, read before the machine's
	{"JAVA_TOOL_OPTIONS", javaOptions},             // the JVM reads none of the above; this one reaches every JVM, also under Maven and Gradle
}

func proxyURL(p Params) (string, bool) { return p.ProxyURL, p.ProxyURL != "" }
func noProxy(p Params) (string, bool)  { return strings.Join(p.NoProxy, ","), p.ProxyURL != "" }
func one(p Params) (string, bool)      { return "1", p.ProxyURL != "" }
func caFile(p Params) (string, bool)   { return p.CAFile, p.CAFile != "" }
func bundle(p Params) (string, bool)   { return p.BundleFile, p.BundleFile != "" }
func wgetrc(p Params) (string, bool)   { return p.WgetrcFile, p.WgetrcFile != "" }
func aptConf(p Params) (string, bool)  { return p.APTConfFile, p.APTConfFile != "" }

// phpDirs adds our directory to the one that PHP was built with, which the empty
// entry stands for.
func phpDirs(p Params) (string, bool) {
	return string(filepath.ListSeparator) + filepath.Dir(p.PHPIniFile), p.PHPIniFile != ""
}

// Wgetrc returns the content for WgetrcFile: the settings in system, which is
// what the machine's /etc/wgetrc holds (nil if it has none), with the bundle
// added. The user's own ~/.wgetrc is still read, after it.
func Wgetrc(bundleFile string, system []byte) []byte {
	rc := slices.Clone(system)
	if len(rc) > 0 && rc[len(rc)-1] != '\n' {
		rc = append(rc, '\n')
	}
	return append(rc, "ca_certificate = "+bundleFile+"\n"...)
}

// PHPIni returns the content for PHPIniFile: what PHP's curl extension and its
// streams trust.
func PHPIni(bundleFile string) []byte {
	return fmt.Appendf(nil, "curl.cainfo = %[1]q\nopenssl.cafile = %[1]q\n", bundleFile)
}

// APTConf returns the content for APTConfFile. What the machine's own settings in
// /etc/apt say is read after it and counts more. Started by root, apt reads the
// bundle as the user _apt.
func APTConf(bundleFile string) []byte {
	return fmt.Appendf(nil, "Acquire::https::CaInfo %q;\n", bundleFile)
}
