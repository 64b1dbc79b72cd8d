package admin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"keybearer/internal/telemetry"
	"keybearer/proxy"
)

// start serves what r tells and returns the address.
func start(t *testing.T, r *telemetry.Recent) (address string) {
	t.Helper()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Recent:  r,
		Metrics: telemetry.NewMetrics(func() proxy.Stats { return proxy.Stats{} }, func() uint64 { return 0 }),
		Explain: func(id uint64) (telemetry.Explanation, bool) {
			return telemetry.Explanation{Result: fmt.Sprint("record ", id)}, id == 7
		},
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// ask returns the response to a GET, and its body.
func ask(t *testing.T, address, host, path string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest("GET", "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// What people look at is served under names that no other site can take: else a page
// of another site whose name leads here could read it (DNS rebinding). Monitoring may
// use any name.
//
// seen red: forPeople without isAddress; isAddress without its port.
func TestHost(t *testing.T) {
	address := start(t, telemetry.NewRecent())
	_, port, _ := net.SplitHostPort(address)
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "localhost:" + port: 200, "localhost": 200, "[::1]:" + port: 200, "192.0.2.1": 200,
		"evil.example:" + port: 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "keybearer": 421,
	} {
		for _, path := range []string{"/", "/page.js", "/explain?id=7"} {
			if resp, body := ask(t, address, host, path); resp.StatusCode != want {
				t.Errorf("%s of %s: %d %s", path, host, resp.StatusCode, body)
			}
		}
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			if resp, body := ask(t, address, host, path); resp.StatusCode != 200 {
				t.Errorf("%s of %s: %d %s", path, host, resp.StatusCode, body)
			}
		}
	}
}

// The page may run its own script and nothing else, and is in no one's frame.
//
// seen red: forPeople without the policy.
func TestPageHeaders(t *testing.T) {
	resp, body := ask(t, start(t, telemetry.NewRecent()), "localhost", "/")
	for name, want := range map[string]string{
		"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Content-Type": "text/html; charset=utf-8", "Referrer-Policy": "no-referrer",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if strings.Contains(body, "<style") || strings.Contains(body, "style=") || strings.Contains(body, "://") {
		t.Error("the page has something that its policy forbids")
	}
}

// Nothing but what is documented is answered, and nothing can be changed.
//
// seen red: bounded without the check of the body (405 needs no breaking: the patterns
// say GET).
func TestMethodsAndPaths(t *testing.T) {
	address := start(t, telemetry.NewRecent())
	for _, tt := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/", "", 405}, {"DELETE", "/events", "", 405}, {"CONNECT", "/", "", 405}, {"GET", "/debug/pprof/", "", 404},
		{"GET", "/page", "", 404}, {"GET", "/admin.go", "", 404}, {"GET", "/explain", "", 400}, {"GET", "/explain?id=8", "", 404},
		{"GET", "/explain?id=-1", "", 400}, {"GET", "/healthz", "body", 400},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", tt.method, tt.path, len(tt.body))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, resp.StatusCode, tt.want)
		}
		conn.Close()
	}
}

// readyz says why a rule cannot act, and that keybearer is about to end.
//
// seen red: State.Problems without secrets; without Draining.
func TestReady(t *testing.T) {
	r := telemetry.NewRecent()
	address := start(t, r)
	for _, tt := range []struct {
		name   string
		state  telemetry.State
		status int
		body   string
	}{
		{"well", telemetry.State{Rules: []telemetry.RuleState{{Name: "a"}}}, 200, "ok\n"},
		{"old configuration", telemetry.State{Rejected: []string{"keybearer.yaml:1:1: x"}}, 200, "ok\n"}, // the one in force works
		{"no secret", telemetry.State{
			Rules:   []telemetry.RuleState{{Name: "a", Problem: "secret KEY cannot be used"}},
			Secrets: []telemetry.SecretState{{Name: "KEY", Problem: "secret KEY: file x: no such file"}},
		}, 503, "secret KEY: file x: no such file\nrule a refuses its requests: secret KEY cannot be used\n"},
		{"draining", telemetry.State{Draining: true}, 503, "keybearer is shutting down\n"},
	} {
		r.SetState(tt.state)
		if resp, body := ask(t, address, "localhost", "/readyz"); resp.StatusCode != tt.status || body != tt.body {
			t.Errorf("%s: %d %q", tt.name, resp.StatusCode, body)
		}
	}
}

// stream reads server-sent events.
type stream struct {
	t    *testing.T
	body *bufio.Reader
}

func watch(t *testing.T, address string) *stream {
	t.Helper()
	resp, err := http.Get("http://" + address + "/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return &stream{t, bufio.NewReader(resp.Body)}
}

// next reads the next message into data and returns its name.
func (s *stream) next(data any) (event string) {
	s.t.Helper()
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
		}
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			if err := json.Unmarshal([]byte(text), data); err != nil {
				s.t.Fatal(err)
			}
			return event
		}
	}
}

// A watcher gets the state and the newest records, then what changes.
//
// seen red: events without most for the first; tell without the state.
func TestEvents(t *testing.T) {
	r := telemetry.NewRecent()
	r.SetState(telemetry.State{Version: "v1"})
	for id := range uint64(firstMost + 5) {
		r.Emit(proxy.Record{ID: id + 1})
	}
	s := watch(t, start(t, r))
	var state telemetry.State
	if event := s.next(&state); event != "state" || state.Version != "v1" {
		t.Fatalf("%s %+v", event, state)
	}
	var got batch
	if event := s.next(&got); event != "records" || got.Missed != 0 || len(got.Records) != firstMost || got.Records[0].ID != 6 {
		t.Fatalf("%s, missed %d, %d records", event, got.Missed, len(got.Records))
	}
	r.Emit(proxy.Record{ID: 1000})
	got = batch{}
	if event := s.next(&got); event != "records" || len(got.Records) != 1 || got.Records[0].ID != 1000 {
		t.Fatalf("%s %+v", event, got)
	}
	r.SetState(telemetry.State{Version: "v2"})
	if event := s.next(&state); event != "state" || state.Version != "v2" {
		t.Fatalf("%s %+v", event, state)
	}
}

// One who watches and does not read costs no memory, stops no record, and loses the
// connection; so many at once and no more.
//
// seen red: send without its deadline (the goroutines stay); events without maxWatchers.
func TestWatcherWhoDoesNotRead(t *testing.T) {
	r := telemetry.NewRecent()
	r.SetState(telemetry.State{Version: strings.Repeat("v", 1<<20)}) // fills the sockets' buffers
	address := start(t, r)
	for range maxWatchers {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.(*net.TCPConn).SetReadBuffer(1024)
		io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := conn.Read(make([]byte, 16)); err != nil {
			t.Fatal(err)
		}
	}
	if resp, body := ask(t, address, "localhost", "/events"); resp.StatusCode != 503 || !strings.Contains(body, "too many") {
		t.Errorf("one more: %d %s", resp.StatusCode, body)
	}
	deadline := time.Now().Add(4 * sendTimeout)
	for n := uint64(1); ; n++ {
		r.Emit(proxy.Record{ID: n})
		r.SetState(telemetry.State{Version: strings.Repeat("w", 1<<20)})
		resp, err := http.Get("http://" + address + "/events")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == 200 {
			return // places are free again
		}
		if time.Now().After(deadline) {
			t.Fatal("those who do not read keep their places")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A Unix socket is for its owner alone, whatever the umask. One that was left behind is
// replaced; one in use, and a file, are not.
//
// seen red: listenUnix without the umask; isAbandoned without the type, and without
// the dial.
func TestUnixSocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions are the directory's there")
	}
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if second, err := Listen("unix:" + path); err == nil {
		second.Close()
		t.Error("a socket in use was taken")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if l, err = Listen("unix:" + path); err != nil {
		t.Fatalf("a socket that was left behind is in the way: %v", err)
	}
	l.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Listen("unix:" + path); err == nil {
		l.Close()
		t.Error("a file was replaced")
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != "precious" {
		t.Errorf("%q %v", kept, err)
	}
}
