//go:build clients

package clients

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"keybearer/certs"
)

// upstream stands in for every host: one listener that has a certificate for any
// name it is asked for, speaks HTTP/1.1 and HTTP/2, and remembers what it saw.
// It refuses a matched host's request that comes without the right credential.
type upstream struct {
	authority  *certs.Authority // throw-away: the origin's
	address    string
	repository string        // of git, bare
	asked      chan struct{} // for /models, by which a stream goes on

	mu       sync.Mutex
	requests []request
}

// request is one that the upstream has seen. The answer is a word that was in
// the headers of the response.
type request struct {
	method, path, host, proto, answer string

	header http.Header
}

func (r request) String() string { return r.method + " " + r.path }

// raw is the head of the request as text.
func (r request) raw() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\n", r.method, r.path, r.host)
	r.header.Write(&b)
	return []byte(b.String())
}

// bogus reports whether the client's own credential is in the request.
func (r request) bogus() bool {
	raw := string(r.raw())
	for _, form := range forms(bogus) {
		if strings.Contains(raw, form.text) {
			return true
		}
	}
	return false
}

// Random, so that no compression hides a lost or doubled byte.
var (
	uploadData   = randomBytes(2 << 20) // above git's http.postBuffer
	downloadData = randomBytes(8 << 20)
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// newUpstream starts it. The repository is in dir.
func newUpstream(dir string) (*upstream, error) {
	authority, err := certs.New(nil)
	if err != nil {
		return nil, err
	}
	u := &upstream{authority: authority, asked: make(chan struct{}, 1)}
	if u.repository, err = newRepository(dir); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u.address = l.Addr().String()
	server := &http.Server{
		Handler:  u,
		ErrorLog: log.New(io.Discard, "", 0), // clients that refuse a certificate, on purpose
		TLSConfig: &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return authority.Leaf(hello.ServerName)
		}},
	}
	go server.ServeTLS(l, "", "") // as long as the process
	return u, nil
}

// take returns the requests since the last call.
func (u *upstream) take() []request {
	u.mu.Lock()
	defer u.mu.Unlock()
	requests := u.requests
	u.requests = nil
	return requests
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := request{
		method: r.Method, path: r.URL.Path, host: r.Host, proto: r.Proto,
		answer: "answer-" + rand.Text(), header: r.Header.Clone(),
	}
	u.mu.Lock()
	u.requests = append(u.requests, seen)
	u.mu.Unlock()

	w.Header().Set("X-Answer", seen.answer)
	for _, a := range apis {
		if r.Host == a.host && !a.authorized(r.Header) {
			http.Error(w, `{"error":{"message":"the credential is wrong"}}`, http.StatusUnauthorized)
			return
		}
	}
	switch path := strings.TrimPrefix(r.URL.Path, "/v1"); {
	case path == "/echo":
		// The whole request, as many a service does it: keybearer masks the secret.
		writeJSON(w, map[string]any{"host": r.Host, "protocol": r.Proto, "headers": r.Header})
	case path == "/upload":
		u.upload(w, r)
	case path == "/download":
		w.Write(downloadData)
	case strings.Contains(path, "/repo.git/"):
		u.git(w, r)
	default:
		u.answer(w, r, path)
	}
}

// upload answers with 400 if it did not get what the clients send.
func (u *upstream) upload(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil || sha256.Sum256(data) != sha256.Sum256(uploadData) {
		http.Error(w, fmt.Sprintf("%d bytes came of %d, or others: %v", len(data), len(uploadData), err), http.StatusBadRequest)
		return
	}
	writeJSON(w, map[string]int{"bytes": len(data)})
}

// answer is the AI providers'.
func (u *upstream) answer(w http.ResponseWriter, r *http.Request, path string) {
	var question struct{ Stream bool }
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	switch answer, ok := answers[path]; {
	case !ok:
		http.NotFound(w, r)
	case question.Stream:
		u.stream(w, r, answer.events)
	default:
		if path == "/models" {
			select {
			case u.asked <- struct{}{}:
			default:
			}
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer.document)
	}
}

// stream sends the first event and the others once it is asked for /models,
// which the client does when it has the first.
func (u *upstream) stream(w http.ResponseWriter, r *http.Request, events []string) {
	select {
	case <-u.asked: // of before
	default:
	}
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, events[0])
	http.NewResponseController(w).Flush()
	select {
	case <-u.asked:
	case <-r.Context().Done():
		return
	case <-time.After(20 * time.Second):
		panic(http.ErrAbortHandler) // the client has not seen the event: nor shall it see the end
	}
	for _, event := range events[1:] {
		io.WriteString(w, event)
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
