// Package admin serves the admin listener: what keybearer does right now, for people
// and for monitoring.
//
//	s := &admin.Server{Recent: recent, Metrics: metrics, Explain: explain}
//	l, err := admin.Listen("127.0.0.1:9901")
//	err = s.Serve(l)
//
//	GET /          a page that shows traffic as it happens
//	GET /events    the same as server-sent events
//	GET /explain   why one of them was or was not given a header
//	GET /metrics   counts for Prometheus
//	GET /healthz   200 as long as the process serves
//	GET /readyz    200 if every rule can act, else 503 and why not
//
// Nothing can be changed through it, and nothing that it tells is a secret: it has
// [telemetry.Event], [telemetry.State] and [telemetry.Explanation], which hold names
// and never values. It has a listener of its own, which the proxy never dials; who can
// reach it sees hosts and paths of all clients, so that it belongs on loopback or on a
// Unix socket.
package admin

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"keybearer/internal/telemetry"
)

// Server answers on the admin listener. Its fields are set before Serve and not changed
// after.
type Server struct {
	Recent  *telemetry.Recent
	Metrics *telemetry.Metrics

	// Explain explains the record with that ID, with the policy in force now. It
	// reports false if the record is no longer kept. It is called concurrently.
	Explain func(id uint64) (telemetry.Explanation, bool)

	setup    sync.Once
	server   http.Server
	watching atomic.Int32
}

const (
	maxConns    = 64
	maxWatchers = 16
	headTimeout = 10 * time.Second
	idleTimeout = 90 * time.Second
	sendTimeout = 5 * time.Second // for a piece of an answer, to one who does not read
)

// Serve answers the clients of l until Close. It always returns an error.
func (s *Server) Serve(l net.Listener) error {
	s.setup.Do(s.init)
	return s.server.Serve(netutil.LimitListener(l, maxConns))
}

// Close ends all connections, those of watchers too.
func (s *Server) Close() error {
	s.setup.Do(s.init)
	return s.server.Close()
}

func (s *Server) init() {
	s.server = http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
}

//go:embed page
var page embed.FS

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.Handle("GET /explain", forPeople(http.HandlerFunc(s.explain)))
	mux.Handle("GET /events", forPeople(http.HandlerFunc(s.events)))
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // only for a name that is no path
	}
	mux.Handle("GET /", forPeople(http.FileServerFS(files)))
	return bounded(mux)
}

// bounded has every answer end, also if nobody reads it or a body is announced that
// never comes.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * sendTimeout))
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close")
			http.Error(w, "no request here has a body", http.StatusBadRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// policy of the page: it is made of its own files and of what they fetch here.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// forPeople keeps other sites from what is for eyes only: a name that leads to this
// address, so that a page of theirs may read it (DNS rebinding), is refused.
func forPeople(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isAddress(r.Host) {
			http.Error(w, "the page is served under localhost and IP addresses only; open it as http://127.0.0.1:PORT/", http.StatusMisdirectedRequest)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		h.ServeHTTP(w, r)
	})
}

// isAddress reports whether a Host field is an IP address or localhost, which no
// other site can make its own name.
func isAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost"
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	s.Metrics.Write(w)
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	state := s.Recent.State()
	problems := state.Problems(time.Now())
	if len(problems) == 0 {
		io.WriteString(w, "ok\n")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	io.WriteString(w, strings.Join(problems, "\n")+"\n")
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.URL.Query().Get("id"), 10, 64)
	if err != nil {
		http.Error(w, "id is not the number of a record, as in /explain?id=7", http.StatusBadRequest)
		return
	}
	e, ok := s.Explain(id)
	if !ok {
		http.Error(w, fmt.Sprintf("the record %d is not kept any more", id), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(e)
}
