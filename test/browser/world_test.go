//go:build browser

package browser

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keybearer/certs"
)

// canaries are the secrets of the rules. They may be in what the upstream receives, and
// nowhere else.
var canaries = map[string]string{"API_KEY": "canary-api-8c1f27e4d0", "FILE_KEY": "canary-file-5b90aa6713"}

// configuration has an API that answers, one with its secret in a file, and one that
// nobody serves. What is added to its end is another rule or another key.
const configuration = `no_proxy: [tunnel.example.com]
unmatched_hosts: deny
secrets:
  FILE_KEY: {file: file-key}
rules:
  - name: example-api
    description: models and responses
    match_hosts: [api.example.com]
    match_paths: ["/v1/*"]
    inject_headers: {X-Key: "${API_KEY}"}
  - name: files
    match_hosts: [files.example.com, "*.files.example.com"]
    match_methods: [GET]
    inject_headers: {Authorization: "Bearer ${FILE_KEY}"}
    remove_headers: [Cookie]
  - name: broken
    match_hosts: [broken.example.com]
    inject_headers: {X-Key: "${API_KEY}"}
`

// world is an upstream, a keybearer serve with an admin listener in front of it, a client,
// and a server by which the browser's program has something happen.
type world struct {
	t        *testing.T
	dir      string
	upstream string // address
	admin    string // address
	listen   string // address
	serve    *exec.Cmd
	client   *http.Client
	control  *http.Server
	address  string // of control

	mu  sync.Mutex
	log strings.Builder
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), admin: freeAddress(t), listen: freeAddress(t)}
	w.startUpstream()
	w.write("keybearer.yaml", configuration)
	w.write("file-key", canaries["FILE_KEY"]+"\n")
	w.start()
	w.client = w.newClient()
	l := w.listenLoopback()
	w.address = l.Addr().String()
	w.control = &http.Server{Handler: w.routes()}
	go w.control.Serve(l)
	t.Cleanup(func() { w.control.Close() })
	return w
}

// routes are what can be asked for.
func (w *world) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /request", func(rw http.ResponseWriter, r *http.Request) { // ?url=&n=
		for range intOf(r, "n") {
			fmt.Fprintln(rw, w.get(r.URL.Query().Get("url")))
		}
	})
	mux.HandleFunc("POST /load", func(rw http.ResponseWriter, r *http.Request) { // ?rate=&seconds=
		fmt.Fprintln(rw, w.load(intOf(r, "rate"), time.Duration(intOf(r, "seconds"))*time.Second).Seconds())
	})
	mux.HandleFunc("POST /config", func(_ http.ResponseWriter, r *http.Request) { // ?text= is added
		w.write("keybearer.yaml", configuration+r.URL.Query().Get("text"))
	})
	mux.HandleFunc("POST /secret/remove", func(http.ResponseWriter, *http.Request) {
		if err := os.Remove(filepath.Join(w.dir, "file-key")); err != nil {
			w.t.Error(err)
		}
	})
	mux.HandleFunc("POST /secret/restore", func(http.ResponseWriter, *http.Request) {
		w.write("file-key", canaries["FILE_KEY"]+"\n")
	})
	mux.HandleFunc("POST /stop", func(http.ResponseWriter, *http.Request) { w.stop() })
	mux.HandleFunc("POST /start", func(http.ResponseWriter, *http.Request) { w.start() })
	return mux
}

func intOf(r *http.Request, name string) int {
	n := 1
	if text := r.URL.Query().Get(name); text != "" {
		fmt.Sscan(text, &n)
	}
	return n
}

// startUpstream starts an HTTPS server that gives back the credentials that it was sent.
// Its path /status/N answers N.
func (w *world) startUpstream() {
	authority, err := certs.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			status := http.StatusOK
			fmt.Sscanf(r.URL.Path, "/v1/status/%d", &status)
			rw.WriteHeader(status)
			fmt.Fprintf(rw, "%s %s", r.Header.Get("X-Key"), r.Header.Get("Authorization"))
		}),
		TLSConfig: &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return authority.Leaf(hello.ServerName)
		}},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	l := w.listenLoopback()
	w.upstream = l.Addr().String()
	go server.ServeTLS(l, "", "")
	w.t.Cleanup(func() { server.Close() })
	w.write("upstream.pem", string(authority.PEM()))
}

// start starts keybearer serve, always at the same addresses, and waits until it is
// ready.
func (w *world) start() {
	args := []string{"serve", "-c", filepath.Join(w.dir, "keybearer.yaml"), "--listen", w.listen, "--admin", w.admin,
		"--ca-dir", filepath.Join(w.dir, "ca"), "--upstream-ca", filepath.Join(w.dir, "upstream.pem"), "--log-format", "json"}
	for _, host := range []string{"api", "files", "markup", "tunnel"} {
		args = append(args, "--resolve", host+".example.com:443:"+w.upstream)
	}
	args = append(args, "--resolve", "broken.example.com:443:127.0.0.1:1")
	w.serve = exec.Command(program(), args...)
	w.serve.Env = append(os.Environ(), "API_KEY="+canaries["API_KEY"])
	w.serve.Stderr = w
	stdout, err := w.serve.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.serve.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.stop)
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		w.t.Errorf("serve did not start: %v: %s", err, w.logged())
	}
}

// stop ends it at once.
func (w *world) stop() {
	w.serve.Process.Signal(syscall.SIGKILL)
	w.serve.Wait()
}

func (w *world) newClient() *http.Client {
	roots := x509.NewCertPool()
	for _, name := range []string{"ca/ca.pem", "upstream.pem"} { // tunnels end at the upstream
		pem, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			w.t.Fatal(err)
		}
		roots.AppendCertsFromPEM(pem)
	}
	transport := &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: w.listen}),
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// get is one request, and what became of it.
func (w *world) get(address string) string {
	response, err := w.client.Get(address)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err.Error()
	}
	if strings.HasPrefix(address, "https://tunnel.") {
		defer w.client.CloseIdleConnections() // a tunnel is told of when it ends
	}
	return response.Status
}

// load sends requests at a rate for a time, as evenly as it can, and returns how long
// that took: more, if the machine is too slow.
func (w *world) load(rate int, d time.Duration) time.Duration {
	const workers = 32
	orders := make(chan int, workers)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for n := range orders {
				w.one(n)
			}
		})
	}
	start, total := time.Now(), int(d.Seconds()*float64(rate))
	for sent := 0; sent < total; time.Sleep(5 * time.Millisecond) {
		for due := min(total, int(time.Since(start).Seconds()*float64(rate))); sent < due; sent++ {
			orders <- sent
		}
	}
	close(orders)
	group.Wait()
	return time.Since(start)
}

// one is the request number n of a load.
func (w *world) one(n int) {
	address, want := fmt.Sprintf("https://api.example.com/v1/models/%d", n), "200"
	switch {
	case n%50 == 7:
		address, want = "https://api.example.com/v1/status/429", "429"
	case n%5 == 3:
		address = fmt.Sprintf("https://files.example.com/reports/%d.csv", n)
	}
	if got := w.get(address); !strings.HasPrefix(got, want) {
		w.t.Errorf("%s: %s", address, got)
	}
}

// write puts a file in place, whole.
func (w *world) write(name, text string) {
	temp := filepath.Join(w.dir, "new-"+name)
	err := errors.Join(os.WriteFile(temp, []byte(text), 0o600), os.Rename(temp, filepath.Join(w.dir, name)))
	if err != nil {
		w.t.Error(err)
	}
}

// Write is for the log of serve.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func (w *world) listenLoopback() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// freeAddress is one on which nobody listens now: serve is started there twice.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
