package cli

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"keybearer/internal/config"
	"keybearer/proxy"
)

// I19: whoever has a server of secrets asked many times at once, as each request to a
// callback with full_request does, takes no descriptors for it without end; and asking
// again takes no connections anew. All are answered, over HTTP/2 too.
//
// seen red: transport without MaxConnsPerHost; without MaxIdleConnsPerHost.
func TestFetchConnections(t *testing.T) {
	t.Run("h1", func(t *testing.T) { countConnections(t, false) })
	t.Run("h2", func(t *testing.T) { countConnections(t, true) })
}

func countConnections(t *testing.T, http2 bool) {
	const atOnce = 5 * fetchConns
	var mu sync.Mutex
	var opened, open, most int
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond) // the others have come by then
		io.WriteString(w, r.Proto)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch s {
		case http.StateNew:
			opened, open = opened+1, open+1
			most = max(most, open)
		case http.StateClosed:
			open--
		}
	}
	server.EnableHTTP2 = http2
	server.StartTLS()
	defer server.Close()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &config.Config{}
	c.Settings.UpstreamCA = roots
	transport, err := resolve(nil).transport(c, func() *proxy.UpstreamProxy { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer transport.(*http.Transport).CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	for range 3 {
		var all sync.WaitGroup
		for range atOnce {
			all.Go(func() {
				resp, err := client.Get(server.URL)
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				if got, _ := io.ReadAll(resp.Body); (string(got) == "HTTP/2.0") != http2 {
					t.Errorf("answered over %s", got)
				}
			})
		}
		all.Wait()
	}
	mu.Lock()
	defer mu.Unlock()
	want := fetchConns
	if http2 {
		want *= 2 // net/http finds out that they can be shared when it has them, and closes some
	}
	if most > want || opened > want {
		t.Errorf("%d connections at once, %d in all, want at most %d", most, opened, want)
	}
}
