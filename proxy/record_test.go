package proxy

import (
	"io"
	"net/http"
	"testing"
	"time"
)

// A record tells how long it took to reach the upstream, on the first exchange of a
// connection alone, and how long the upstream took to answer.
//
// seen red: opening.tell without told; FirstByte not set in h1.send, and in
// h2.roundTrip.
func TestRecordDurations(t *testing.T) {
	const thinking = 20 * time.Millisecond
	overBoth(t, func(t *testing.T, http2 bool) {
		addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(thinking) // the upstream's time, which is what is measured
		}))
		f := start(t, config(), map[string]string{"api.test:443": addr})
		client := f.client(http2)
		for n := range 2 {
			resp, err := client.Get("https://api.test/")
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			r := f.record()
			if first := n == 0; (r.Connect > 0) != first || (r.Handshake > 0) != first {
				t.Errorf("request %d: connect %v, handshake %v", n, r.Connect, r.Handshake)
			}
			if r.FirstByte < thinking || r.FirstByte > r.Duration {
				t.Errorf("request %d: first byte after %v of %v", n, r.FirstByte, r.Duration)
			}
		}
	})
}

// The record of a tunnel tells how long the dial took; its exchanges are not ours.
//
// seen red: tunnel.go, Connect not set.
func TestRecordTunnelConnect(t *testing.T) {
	upstream := serveRaw(t, "other.test", nil, respondWith("HTTP/1.1 204 No Content\r\n\r\n"))
	f := start(t, config(), map[string]string{"other.test:443": upstream.addr})
	conn := f.open("other.test:443")
	f.do(conn, "GET", "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
	conn.Close()
	if r := f.record(); r.Connect <= 0 || r.Handshake != 0 || r.FirstByte != 0 {
		t.Errorf("record %+v", r)
	}
}

// A record counts what was masked: in fields, in the body across pieces, and of a
// value inside another one only the larger.
//
// seen red: scrub.go mask, the count without i >= end; h1_respond.go and
// h2_respond.go, the masker's hits not added.
func TestRecordMasked(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			secret := r.Header.Get("Authorization")
			w.Header().Set("X-Echo", secret)
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, "a "+secret+" b "+secret[:10])
			http.NewResponseController(w).Flush()
			io.WriteString(w, secret[10:]+" c")
		}))
		f := start(t, config(), map[string]string{"api.test:443": addr})
		f.ask(http2, "api.test:443", get("/")...)
		if r := f.record(); r.Masked != 3 {
			t.Errorf("masked %d times, want once in a field and twice in the body", r.Masked)
		}
	})
}

// Stats tell what is open and what was.
//
// seen red: conn.go Close without census.leave.
func TestStats(t *testing.T) {
	addr := serveHTTP(t, "api.test", http.NotFoundHandler())
	other := serveRaw(t, "other.test", nil, respondWith("HTTP/1.1 204 No Content\r\n\r\n"))
	f := start(t, config(), map[string]string{"api.test:443": addr, "other.test:443": other.addr})
	intercepted, again, tunnel := f.open("api.test:443"), f.open("api.test:443"), f.open("other.test:443")
	f.do(intercepted, "GET", "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
	want := Stats{Connections: 3, Tunnels: 1, Intercepts: 2, TunnelsOpened: 1, InterceptsOpened: 2, IdleUpstreams: 1, LeavesMinted: 1, LeavesReused: 1}
	f.await(func() bool { return f.proxy.Stats() == want }) // the client's handshake ends before ours
	intercepted.Close()
	again.Close()
	tunnel.Close()
	want.Connections, want.Tunnels, want.Intercepts = 0, 0, 0
	f.await(func() bool { return f.proxy.Stats() == want })
}
