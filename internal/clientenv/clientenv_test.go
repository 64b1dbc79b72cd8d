package clientenv

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var full = Params{
	ProxyURL:        "http://127.0.0.1:3128",
	NoProxy:         []string{"localhost", "*.internal.com", "10.0.0.0/8"},
	CAFile:          "/kb/ca.pem",
	BundleFile:      "/kb/bundle.pem",
	TrustStoreFile:  "/kb/trust.p12",
	WgetrcFile:      "/kb/wgetrc",
	PHPIniFile:      "/kb/keybearer.ini",
	APTConfFile:     "/kb/apt.conf",
	JavaToolOptions: "-Xmx64m",
	Placeholders:    map[string]string{"OPENAI_API_KEY": "placeholder", "GH_TOKEN": "x", "NO_PROXY": "*"},
}

// TestVariables pins the whole environment: every name, value and position.
func TestVariables(t *testing.T) {
	const proxy, noProxy, ca, bundle = "http://127.0.0.1:3128", "localhost,*.internal.com,10.0.0.0/8", "/kb/ca.pem", "/kb/bundle.pem"
	want := []Variable{
		{"HTTPS_PROXY", proxy}, {"https_proxy", proxy},
		{"HTTP_PROXY", proxy}, {"http_proxy", proxy}, {"WSS_PROXY", proxy},
		{"NO_PROXY", noProxy}, {"no_proxy", noProxy},
		{"YARN_HTTPS_PROXY", proxy}, {"YARN_HTTP_PROXY", proxy},
		{"NODE_USE_ENV_PROXY", "1"},
		{"NODE_EXTRA_CA_CERTS", ca},
		{"DENO_CERT", ca},
		{"SSL_CERT_FILE", bundle},
		{"REQUESTS_CA_BUNDLE", bundle},
		{"CURL_CA_BUNDLE", bundle},
		{"GIT_SSL_CAINFO", bundle},
		{"PIP_CERT", bundle},
		{"AWS_CA_BUNDLE", bundle},
		{"CARGO_HTTP_CAINFO", bundle},
		{"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", bundle},
		{"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", bundle},
		{"HTTPLIB2_CA_CERTS", bundle},
		{"NIX_SSL_CERT_FILE", bundle},
		{"BUNDLE_SSL_CA_CERT", bundle},
		{"npm_config_cafile", bundle},
		{"PERL_LWP_ENV_PROXY", "1"},
		{"PERL_LWP_SSL_CA_FILE", bundle},
		{"HEX_CACERTS_PATH", bundle},
		{"SYSTEM_WGETRC", "/kb/wgetrc"},
		{"PHP_INI_SCAN_DIR", ":/kb"},
		{"APT_CONFIG", "/kb/apt.conf"},
		{"JAVA_TOOL_OPTIONS", "-Xmx64m" +
			" -Djavax.net.ssl.trustStore=/kb/trust.p12 -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword=changeit" +
			" -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128 -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=3128" +
			" -Dhttp.nonProxyHosts=localhost|*.localhost|*.internal.com|10.*"},
		{"GH_TOKEN", "x"},
		{"OPENAI_API_KEY", "placeholder"},
	}
	if got := Variables(full); !slices.Equal(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}

// TestVariablesLeftOut: without a file there is no variable that would name it,
// for an empty SSL_CERT_FILE is a broken client.
func TestVariablesLeftOut(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Params)
		absent []string
	}{
		{"CA", func(p *Params) { p.CAFile = "" }, []string{"NODE_EXTRA_CA_CERTS", "DENO_CERT"}},
		{"bundle", func(p *Params) { p.BundleFile = "" }, []string{"SSL_CERT_FILE", "npm_config_cafile", "NIX_SSL_CERT_FILE"}},
		{"wgetrc", func(p *Params) { p.WgetrcFile = "" }, []string{"SYSTEM_WGETRC"}},
		{"php ini", func(p *Params) { p.PHPIniFile = "" }, []string{"PHP_INI_SCAN_DIR"}},
		{"apt", func(p *Params) { p.APTConfFile = "" }, []string{"APT_CONFIG"}},
		{"java", func(p *Params) { p.TrustStoreFile, p.ProxyURL = "", "" }, []string{"JAVA_TOOL_OPTIONS", "HTTPS_PROXY", "no_proxy", "NODE_USE_ENV_PROXY"}},
	}
	for _, tt := range tests {
		p := full
		tt.change(&p)
		for _, v := range Variables(p) {
			if slices.Contains(tt.absent, v.Name) {
				t.Errorf("without %s: %s=%q is set", tt.name, v.Name, v.Value)
			}
			if v.Value == "" {
				t.Errorf("without %s: %s is empty", tt.name, v.Name)
			}
		}
	}
}

// TestVariablesOverrideNoProxy: an inherited NO_PROXY would lead clients around
// the proxy, so it is replaced even by nothing.
func TestVariablesOverrideNoProxy(t *testing.T) {
	vars := Variables(Params{ProxyURL: "http://127.0.0.1:3128"})
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		if !slices.Contains(vars, Variable{name, ""}) {
			t.Errorf("%s is not emptied", name)
		}
	}
}

// TestVariablesLeaveAlone: names that must not be touched.
func TestVariablesLeaveAlone(t *testing.T) {
	for _, v := range Variables(full) {
		switch v.Name {
		case "ALL_PROXY", "all_proxy", "NODE_TLS_REJECT_UNAUTHORIZED", "GIT_SSL_NO_VERIFY", "YARN_NO_PROXY", "YARN_HTTPS_CA_FILE_PATH":
			t.Errorf("%s=%q is set", v.Name, v.Value)
		}
	}
}

// TestWgetTrusts has the real wget fetch from a server whose certificate only
// the bundle knows. Debian's wget is built with GnuTLS and reads no variable
// for certificates but this one.
func TestWgetTrusts(t *testing.T) {
	wget, err := exec.LookPath("wget")
	if err != nil {
		t.Skip("wget is not installed")
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // one handshake fails on purpose
	srv.StartTLS()
	defer srv.Close()
	dir := filepath.Join(t.TempDir(), "a dir")
	bundle, rc := filepath.Join(dir, "bundle.pem"), filepath.Join(dir, "wgetrc")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	write(t, rc, Wgetrc(bundle, []byte("# no line end after this")))

	fetch := func(env ...string) (string, error) {
		cmd := exec.Command(wget, "-q", "-O-", "--tries=1", "--no-proxy", srv.URL)
		cmd.Env = append([]string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}, env...)
		out, err := cmd.Output()
		return string(out), err
	}
	if out, err := fetch(); err == nil {
		t.Fatalf("wget trusts the server without the bundle: %q", out)
	}
	for _, v := range Variables(Params{WgetrcFile: rc}) {
		if out, err := fetch(v.Name + "=" + v.Value); err != nil || out != "hello" {
			t.Errorf("with %s: %q, %v", v.Name, out, err)
		}
	}
}

func TestWgetrcKeepsSystem(t *testing.T) {
	for _, system := range []string{"", "tries = 3", "tries = 3\n"} {
		got := string(Wgetrc("/b.pem", []byte(system)))
		want := "ca_certificate = /b.pem\n"
		if system != "" {
			want = "tries = 3\n" + want
		}
		if got != want {
			t.Errorf("Wgetrc with %q = %q, want %q", system, got, want)
		}
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTableNamesOnce: a name that is twice in the table would depend on who
// reads the environment.
func TestTableNamesOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range Variables(full) {
		if seen[v.Name] {
			t.Errorf("%s twice", v.Name)
		}
		seen[v.Name] = true
		if strings.TrimSpace(v.Name) != v.Name || v.check() != nil {
			t.Errorf("bad name %q", v.Name)
		}
	}
}
