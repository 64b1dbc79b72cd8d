//go:build clients

package clients

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keybearer/certs"
	"keybearer/proxy"
	"keybearer/rules"
	"keybearer/secrets"
)

// h2specKnown are the strict cases of h2spec that an intercepted host may fail, by
// section and name, each with its reason in docs/threat-model.md.
var h2specKnown = []string{
	"http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE",
	"http2/8.1.2.2: Sends a HEADERS frame that contains the connection-specific header field",
	`http2/8.1.2.2: Sends a HEADERS frame that contains the TE header field with any value other than "trailers"`,
}

// h2specModule is h2spec's command, pinned.
const h2specModule = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"

// buildModule makes the program of a module in dir, by GOBIN, so that its dependencies
// stay out of go.mod. Without it its test is skipped.
func buildModule(dir, module string) {
	cmd := exec.Command("go", "install", module)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Printf("%s could not be built: %v\n%s", module, err, out)
	}
}

// TestH2spec runs h2spec, strict, against an intercepted host. h2spec knows no
// proxy: a listener of the test sends CONNECT in its place.
func TestH2spec(t *testing.T) {
	h2spec := filepath.Join(theDir, "h2spec")
	if _, err := os.Stat(h2spec); err != nil && os.Getenv("CI") == "" {
		t.Skip("h2spec could not be built: ", err)
	}
	shim, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer shim.Close()
	target := shim.Addr().String() // what h2spec puts into :authority
	proxyAddr := startH2specProxy(t, target)
	go serveShim(shim, proxyAddr, target)

	report := filepath.Join(t.TempDir(), "report.xml")
	_, port, _ := net.SplitHostPort(target)
	out, err := exec.Command(h2spec, "--strict", "--tls", "--insecure", "--host", "127.0.0.1", "--port", port,
		"--timeout", "3", "--junit-report", report).CombinedOutput()
	cases, failed := readReport(t, report, out)
	t.Logf("h2spec: %d cases, %d failed: %q (%v)", cases, len(failed), failed, err)
	if cases < 146 {
		t.Errorf("only %d cases ran:\n%s", cases, out)
	}
	for _, name := range failed {
		if !slices.Contains(h2specKnown, name) {
			t.Errorf("failed: %s", name)
		}
	}
}

// startH2specProxy starts a proxy that intercepts target, and an HTTP/2 upstream
// behind it.
func startH2specProxy(t *testing.T, target string) (addr string) {
	t.Helper()
	authority, issuer := newAuthority(t), newAuthority(t)
	leaf, err := issuer.Leaf("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	upstream := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, strings.Repeat("answer ", 100))
		}),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*leaf}},
	}
	go upstream.ServeTLS(l, "", "")
	t.Cleanup(func() { upstream.Close() })

	override, err := proxy.ParseOverride(target + ":" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	set, problems := rules.Compile(rules.Config{Rules: []rules.RuleConfig{{
		Name: "h2spec", MatchHosts: []string{target}, InjectHeaders: map[string]string{"Authorization": "Bearer ${KEY}"},
	}}}, rules.Deny)
	if set == nil {
		t.Fatal(problems)
	}
	store, err := secrets.Open(secrets.Sources{Environ: []string{"KEY=sk-h2spec-0123456789"}})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := proxy.NewPolicy(set, store)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(issuer.PEM())
	p := &proxy.Proxy{Authority: authority, UpstreamRoots: roots, Overrides: []proxy.Override{override}}
	p.SetPolicy(policy)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go p.Serve(listener)
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

func newAuthority(t *testing.T) *certs.Authority {
	t.Helper()
	a, err := certs.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// serveShim connects whoever comes to target through the proxy.
func serveShim(l net.Listener, proxyAddr, target string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()
			conn, err := net.DialTimeout("tcp", proxyAddr, 5*time.Second)
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
			r := bufio.NewReader(conn)
			if resp, err := http.ReadResponse(r, &http.Request{Method: "CONNECT"}); err != nil || resp.StatusCode != 200 {
				return
			}
			go func() {
				io.Copy(conn, client)
				conn.(*net.TCPConn).CloseWrite()
			}()
			io.Copy(client, r)
		}()
	}
}

// readReport returns how many cases ran, and which failed.
func readReport(t *testing.T, file string, out []byte) (cases int, failed []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var report struct {
		Suites []struct {
			Package string `xml:"package,attr"`
			Cases   []struct {
				Name    string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			cases++
			if c.Failure != nil || c.Error != nil {
				failed = append(failed, suite.Package+": "+c.Name)
			}
		}
	}
	return cases, failed
}
