package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"

	"keybearer/certs"
)

// localAPI is an HTTPS server on loopback that demands a key, on every path. Its
// certificate is from an authority of its own, as that of any API is not from
// keybearer's.
type localAPI struct {
	authority *certs.Authority
	listener  net.Listener

	key    string
	server http.Server

	mu   sync.Mutex
	seen []string // the Authorization field of each request
}

func newLocalAPI(host, key string) (*localAPI, error) {
	authority, err := certs.New(nil)
	if err != nil {
		return nil, err
	}
	leaf, err := authority.Leaf(host)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &localAPI{authority: authority, listener: listener, key: key}
	a.server.Handler = a
	a.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*leaf}}
	a.server.ErrorLog = log.New(io.Discard, "", 0)
	go a.server.ServeTLS(listener, "", "")
	return a, nil
}

func (a *localAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	credential := r.Header.Get("Authorization")
	a.mu.Lock()
	a.seen = append(a.seen, credential)
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if credential != "Bearer "+a.key {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintln(w, `{"error": "that is not the key"}`)
		return
	}
	fmt.Fprintln(w, `{"greeting": "hello, you have the key"}`)
}

func (a *localAPI) received() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen
}

// holdsKey looks for the key as it is, and as it might have been encoded.
func (a *localAPI) holdsKey(text string) bool {
	for _, form := range []string{
		a.key,
		base64.RawStdEncoding.EncodeToString([]byte(a.key)),
		hex.EncodeToString([]byte(a.key)),
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func (a *localAPI) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.authority.PEM())
	return pool
}

func (a *localAPI) close() { a.server.Close() }
