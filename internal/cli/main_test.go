package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"keybearer/certs"
)

// canary is the secret of every test. It may be in what the upstream receives and
// in nothing else: see watched.
const canary = "canary-4f1d8a77e2"

// quickRace lets the programs end at once: with the race detector each would stay
// for a second longer, to see the races of its end.
const quickRace = "atexit_sleep_ms=0"

// TestMain makes the test binary the programs that the stories run as well, so
// that they are processes with arguments, an environment and signals of their own.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", quickRace)
	testscript.Main(m, map[string]func(){
		"keybearer":  func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
		"get":        func() { os.Exit(get(os.Args[1:])) },
		"interrupts": func() { countInterrupts() },
	})
}

// get is a client: it prints status and body of each URL, over one connection per
// host. GET_BEARER names a variable with a token to send, as those of SDKs do.
func get(urls []string) int {
	roots := x509.NewCertPool()
	if pem, err := os.ReadFile(os.Getenv("CURL_CA_BUNDLE")); err == nil {
		roots.AppendCertsFromPEM(pem)
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
	for _, url := range urls {
		request, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if name := os.Getenv("GET_BEARER"); name != "" {
			request.Header.Set("Authorization", "Bearer "+os.Getenv(name))
		}
		response, err := client.Do(request)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		fmt.Printf("%d %s\n", response.StatusCode, body)
		if err != nil {
			return 1
		}
	}
	return 0
}

// countInterrupts prints a line for each SIGINT and ends with SIGTERM.
func countInterrupts() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	fmt.Println("ready")
	for n := 1; <-signals == syscall.SIGINT; n++ {
		fmt.Println("interrupt", n)
	}
	fmt.Println("terminated")
}

// upstream is an HTTPS server for api.example.com that says whether it was sent
// the canary, what X-Second was, and whose certificate it was shown. Its path /wait answers after release.
type upstream struct {
	address string
	ca      []byte
	waiting chan struct{} // one value for each request to /wait
	release chan struct{}
	close   func()
}

func newUpstream() (*upstream, error) {
	authority, err := certs.New(nil)
	if err != nil {
		return nil, err
	}
	leaf, err := authority.Leaf("api.example.com")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{
		address: l.Addr().String(),
		ca:      authority.PEM(),
		waiting: make(chan struct{}, 1),
		release: make(chan struct{}),
	}
	server := &http.Server{
		Handler:   u,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*leaf}, ClientAuth: tls.RequestClientCert},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	go server.ServeTLS(l, "", "")
	u.close = func() { server.Shutdown(canceled()) }
	return u, nil
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/wait" {
		u.waiting <- struct{}{}
		<-u.release
	}
	header := r.Header.Get("X-Key")
	if header == canary {
		header = "welcome"
	}
	fmt.Fprintf(w, "key=%s", header)
	if second := r.Header.Get("X-Second"); second != "" {
		fmt.Fprintf(w, " second=%s", second)
	}
	if shown := r.TLS.PeerCertificates; len(shown) > 0 {
		fmt.Fprintf(w, " certificate=%s", shown[0].Subject.CommonName)
	}
}

// watched is a test that fails when the canary is in any output of a story.
type watched struct{ *testing.T }

func (w watched) Run(name string, f func(testscript.T)) {
	w.T.Run(name, func(t *testing.T) { f(watched{t}) })
}

func (w watched) Verbose() bool { return true } // all output, also of what went well

func (w watched) Log(args ...any) {
	text := fmt.Sprint(args...)
	if strings.Contains(text, canary) {
		w.T.Errorf("the secret is in the output")
	}
	w.T.Log(text)
}
