//go:build clients

package clients

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"keybearer/certs"
)

// upstream stands in for every host: one listener that has a certificate for any
// name it is asked for, speaks HTTP/1.1 and HTTP/2, and one without TLS. It
// remembers what it saw, and refuses a matched host's request over TLS that comes
// without the right credential.
type upstream struct {
	authority    *certs.Authority // throw-away: the origin's
	address      string
	plainAddress string
	repositories string // the directory of git's, bare
	large        *largeFile
	asked        chan struct{} // for /models, by which a stream of the providers goes on
	hungUp       chan struct{} // a client has left /forever

	mu       sync.Mutex
	api      *api        // of the client at work
	output   *syncBuffer // what it prints
	requests []request
}

// request is one that the upstream has seen.
type request struct {
	method, path, host, proto string

	header http.Header
	answer string // what the client has to print of the response, X-Answer unless told otherwise
	note   string // the upstream's

	of *http.Request
}

func (r request) String() string { return r.method + " " + r.path }

// raw is the head of the request as text.
func (r request) raw() []byte {
	var b strings.Builder
	b.WriteString(r.method + " " + r.path + " " + r.host + "\n")
	r.header.Write(&b)
	return []byte(b.String())
}

// bogus reports whether the client's own credential is in the request.
func (r request) bogus() bool {
	raw := string(r.raw())
	return slices.ContainsFunc(forms(bogus), func(f form) bool { return strings.Contains(raw, f.text) })
}

// newUpstream starts it. The repositories are in dir.
func newUpstream(dir string, large *largeFile) (*upstream, error) {
	authority, err := certs.New(nil)
	if err != nil {
		return nil, err
	}
	u := &upstream{authority: authority, large: large, api: &example, asked: make(chan struct{}, 1), hungUp: make(chan struct{}, 1)}
	if u.repositories, err = newRepositories(dir); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u.address, u.plainAddress = l.Addr().String(), plain.Addr().String()
	server := &http.Server{
		Handler:  u,
		ErrorLog: log.New(io.Discard, "", 0), // clients that refuse a certificate, on purpose
		TLSConfig: &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return authority.Leaf(cmp.Or(hello.ServerName, "localhost")) // Java names no server without a dot
		}},
	}
	go server.ServeTLS(l, "", "") // as long as the process
	// Another one: a server that begins without TLS has no HTTP/2 for the listener with it.
	go (&http.Server{Handler: u}).Serve(plain)
	return u, nil
}

// begin prepares for a client that prints to output.
func (u *upstream) begin(a *api, output *syncBuffer) {
	for _, c := range []chan struct{}{u.asked, u.hungUp} {
		select {
		case <-c: // of before
		default:
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.api, u.output, u.requests = a, output, nil
}

// seen returns the requests since begin.
func (u *upstream) seen() []request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.requests)
}

// change lets f alter what is remembered of a request.
func (u *upstream) change(r *http.Request, f func(*request)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range u.requests {
		if u.requests[i].of == r {
			f(&u.requests[i])
		}
	}
}

// note leaves a remark on a request for its check.
func (u *upstream) note(r *http.Request, text string) {
	u.change(r, func(seen *request) { seen.note = text })
}

// shows says what a client has to print of this answer, in place of X-Answer.
func (u *upstream) shows(r *http.Request, text string) {
	u.change(r, func(seen *request) { seen.answer = text })
}

// silent says that clients do not show the head of this answer.
func (u *upstream) silent(r *http.Request) { u.shows(r, "") }

// printed waits until the client has printed text.
func (u *upstream) printed(ctx context.Context, text string) error {
	u.mu.Lock()
	output := u.output
	u.mu.Unlock()
	return output.await(ctx, 0, text)
}

// awaitHangUp waits for the client to leave; see checkHangUp.
func (u *upstream) awaitHangUp(r *http.Request) {
	select {
	case <-r.Context().Done():
		select {
		case u.hungUp <- struct{}{}:
		default:
		}
	case <-time.After(patience):
		u.note(r, fmt.Sprintf("the client was still there after %v", patience))
		panic(http.ErrAbortHandler)
	}
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := request{
		method: r.Method, path: r.URL.Path, host: r.Host, proto: r.Proto,
		header: r.Header.Clone(), answer: "answer-" + rand.Text(), of: r,
	}
	u.mu.Lock()
	u.requests = append(u.requests, seen)
	current := u.api
	u.mu.Unlock()
	serve := current.serve // for hosts of nobody

	w.Header().Set("X-Answer", seen.answer)
	for _, a := range apis {
		if r.Host != a.host {
			continue
		}
		if r.TLS != nil && !a.authorized(r.Header) {
			http.Error(w, `{"error":{"message":"the credential is wrong"}}`, http.StatusUnauthorized)
			return
		}
		if current.host != a.host {
			serve = a.serve
		}
	}
	serve(u, w, r)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
