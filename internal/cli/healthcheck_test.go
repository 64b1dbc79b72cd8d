package cli

import (
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A proxy that serves is well, and being asked leaves nothing in its log.
//
// seen red: probe with a request for /, which is one line in the log.
func TestHealthcheck(t *testing.T) {
	s := startServe(t, rulesWith("${API_KEY}"))
	proxy, err := s.client.Transport.(*http.Transport).Proxy(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if out, err := exec.Command("keybearer", "healthcheck", "--listen", proxy.Host).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("healthcheck: %v, %q", err, out)
		}
	}
	s.signal(syscall.SIGTERM)
	for s.log.Scan() {
		if line := s.log.Text(); !strings.Contains(line, "draining") {
			t.Errorf("in the log: %s", line)
		}
	}
}

// A process whose kernel accepts connections that nobody serves is not well.
//
// seen red: probe without the read.
func TestHealthcheckHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := probe(l.Addr().String(), 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "does not serve them") {
		t.Errorf("probe: %v", err)
	}
}
