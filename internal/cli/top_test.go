package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"keybearer/internal/telemetry"
)

// fakeAdmin speaks /events as the admin listener does. It sends what is put into its
// channel; a nil message ends the connection.
type fakeAdmin struct {
	server   *httptest.Server
	messages chan []byte
}

func newFakeAdmin(t *testing.T) *fakeAdmin {
	f := &fakeAdmin{messages: make(chan []byte, 100)}
	f.server = httptest.NewUnstartedServer(http.HandlerFunc(f.events))
	t.Cleanup(func() { f.server.CloseClientConnections(); f.server.Close() })
	return f
}

func (f *fakeAdmin) events(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/events" || r.Host != "localhost" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.(http.Flusher).Flush()
	for {
		select {
		case m := <-f.messages:
			if m == nil {
				return
			}
			w.Write(m)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (f *fakeAdmin) address() string { return f.server.Listener.Addr().String() }

func (f *fakeAdmin) say(event string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // only for types that JSON does not have
	}
	f.messages <- fmt.Appendf(nil, "event: %s\ndata: %s\n\n: alive\n\n", event, text)
}

func (f *fakeAdmin) records(missed uint64, events ...telemetry.Event) {
	f.say("records", adminBatch{Missed: missed, Records: events})
}

var topStart = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func topEvent(id uint64, change func(*telemetry.Event)) telemetry.Event {
	e := telemetry.Event{ID: id, Time: topStart.Add(time.Duration(id) * time.Second), Client: "127.0.0.1:50000", Target: "api.example.com:443",
		Protocol: "h2", Verdict: "intercept", Method: "GET", Path: "/v1/models", Rule: "api", Status: 200, DurationMS: 12.5}
	if change != nil {
		change(&e)
	}
	return e
}

func denied(e *telemetry.Event) {
	e.Target, e.Verdict, e.Rule, e.Status = "evil.example:443", "deny", "", 403
	e.Error, e.Reason = "http_request_denied", "the host may not be reached through this proxy"
}

// follow starts topLines over a stream of the fake, and returns what it writes, line by
// line.
func (f *fakeAdmin) follow(t *testing.T, address string) (out, notes lineWriter) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newAdminStream(address)
	s.silence, s.longest = 500*time.Millisecond, 20*time.Millisecond
	news, ended, done := make(chan adminNews), make(chan error, 1), make(chan error, 1)
	out, notes = make(lineWriter, 1000), make(lineWriter, 1000)
	go func() { ended <- s.follow(ctx, news) }()
	go func() { done <- topLines(ctx, news, ended, out, notes) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("topLines: %v", err)
		}
	})
	return out, notes
}

type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

func (w lineWriter) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-w:
		return line
	case <-time.After(10 * time.Second):
		t.Fatal("no line after 10 s")
		return ""
	}
}

// Into a pipe top writes each record once, also over a lost connection, and again from
// the first when another process answers.
//
// seen red: takeRecords without DeleteFunc, which wrote 2 twice; without the reset on
// another Started, which left out the last.
func TestTopLines(t *testing.T) {
	f := newFakeAdmin(t)
	f.server.Start()
	f.say("state", telemetry.State{Started: topStart})
	f.records(0, topEvent(1, nil), topEvent(2, denied))
	out, notes := f.follow(t, f.address())

	first := out.next(t)
	when := topStart.Add(time.Second).Local().Format("2006-01-02T15:04:05.000Z07:00")
	if want := when + "\tintercept\t200\t12.500\tGET\tapi.example.com/v1/models\tapi\t-\n"; first != want {
		t.Errorf("got  %q\nwant %q", first, want)
	}
	if line := out.next(t); !strings.HasSuffix(line, "\tdeny\t403\t12.500\tGET\tevil.example/v1/models\t-\tthe host may not be reached through this proxy\n") {
		t.Errorf("got %q", line)
	}

	f.messages <- nil
	if note := notes.next(t); !strings.Contains(note, "closed the connection; trying again in ") {
		t.Errorf("note %q", note)
	}
	f.say("state", telemetry.State{Started: topStart})
	f.records(0, topEvent(1, nil), topEvent(2, denied), topEvent(3, nil))
	f.records(7, topEvent(4, nil))
	for _, id := range []int{3, 4} {
		want := topStart.Add(time.Duration(id) * time.Second).Local().Format("15:04:05")
		if line := out.next(t); !strings.Contains(line, want) {
			t.Errorf("record %d: %q", id, line)
		}
	}
	if note := notes.next(t); !strings.Contains(note, "7 more came too fast") {
		t.Errorf("note %q", note)
	}

	f.messages <- nil
	f.say("state", telemetry.State{Started: topStart.Add(time.Hour)})
	f.records(0, topEvent(1, nil))
	if line := out.next(t); line != first {
		t.Errorf("after a restart: %q", line)
	}
}

// A connection over which nothing comes, not even a heartbeat, is given up.
//
// seen red: a timer of an hour.
func TestTopSilence(t *testing.T) {
	f := newFakeAdmin(t)
	f.server.Start()
	_, notes := f.follow(t, f.address())
	if note := notes.next(t); !strings.Contains(note, errSilence.Error()) {
		t.Errorf("note %q", note)
	}
}

// top asks a Unix socket as well.
func TestTopUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skip(err)
	}
	f := newFakeAdmin(t)
	f.server.Listener.Close()
	f.server.Listener = l
	f.server.Start()
	f.records(0, topEvent(1, nil))
	out, _ := f.follow(t, "unix:"+path)
	if line := out.next(t); !strings.Contains(line, "/v1/models") {
		t.Errorf("got %q", line)
	}
}

// Where nobody listens, or somebody else does, top says what to do and ends.
//
// seen red: everConnected true from the start.
func TestTopNobody(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for name, address := range map[string]string{
		"nobody":  "127.0.0.1:1",
		"other":   other.Listener.Addr().String(),
		"no unix": "unix:" + filepath.Join(t.TempDir(), "none"),
		"no port": "localhost",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := newAdminStream(address).follow(ctx, make(chan adminNews))
		cancel()
		if err == nil || !strings.Contains(err.Error(), "start keybearer serve with --admin") || !strings.Contains(err.Error(), strings.TrimPrefix(address, "unix:")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// hostile is text that would move the cursor, set the title, or turn the direction.
const hostile = "a\x1b[2J\x1b]0;title\x07\x9b31m\u202eevil\r\n\tb"

// A server that lies cannot drive the terminal, whatever it says and however long.
//
// seen red: Clean left out in row, in wrong, and in topLine.
func TestTopHostile(t *testing.T) {
	e := telemetry.Event{Target: hostile, Verdict: hostile, Method: hostile, Path: hostile + strings.Repeat("x", 5000), Rule: hostile,
		Error: hostile, Reason: hostile, Protocol: hostile, Client: hostile, Status: 1 << 60, DurationMS: 1e300}
	s := telemetry.State{Version: hostile, Listen: hostile, Rejected: []string{hostile},
		Rules:   []telemetry.RuleState{{Name: hostile, Problem: hostile}},
		Secrets: []telemetry.SecretState{{Name: hostile, Source: hostile, Problem: hostile}}}
	var v topView
	v.take(adminNews{lost: fmt.Errorf("%s", hostile)}, topStart)
	v.take(adminNews{state: &s}, topStart)
	v.take(adminNews{batch: adminBatch{Missed: 1 << 63, Records: []telemetry.Event{e}}}, topStart)
	for _, text := range append(v.frame(120, 40, topStart), strings.TrimSuffix(strings.ReplaceAll(topLine(e), "\t", " "), "\n")) {
		if telemetry.Clean(text) != text {
			t.Errorf("a control character in %q", text)
		}
	}
}

// A frame fits the terminal, however small, and shows the newest first.
//
// seen red: a width of one more in row; Backward replaced by Values.
func TestTopFrame(t *testing.T) {
	var v topView
	v.take(adminNews{connected: true}, topStart)
	v.take(adminNews{state: &telemetry.State{Version: "1.0.0", Listen: "127.0.0.1:3128", Started: topStart.Add(-time.Hour),
		Rules: []telemetry.RuleState{{Name: "api"}}, Rejected: []string{"keybearer.yaml:3:5: wrong"}}}, topStart)
	for id := range uint64(100) {
		v.take(adminNews{batch: adminBatch{Records: []telemetry.Event{topEvent(id, nil)}}}, topStart.Add(time.Duration(id)*100*time.Millisecond))
	}
	v.take(adminNews{batch: adminBatch{Records: []telemetry.Event{topEvent(100, denied)}}}, topStart.Add(9900*time.Millisecond))
	now := topStart.Add(10 * time.Second)
	for _, size := range [][2]int{{200, 60}, {80, 24}, {40, 10}, {7, 3}, {1, 1}, {0, 0}} {
		frame := v.frame(size[0], size[1], now)
		if len(frame) > size[1] {
			t.Errorf("%v: %d lines", size, len(frame))
		}
		for _, line := range frame {
			if n := utf8.RuneCountInString(line); n > size[0] {
				t.Errorf("%v: a line of %d: %q", size, n, line)
			}
		}
	}
	frame := v.frame(110, 24, now)
	for i, want := range []string{
		"keybearer 1.0.0  listens on 127.0.0.1:3128  up 1h0m  rules 1  secrets 0",
		"10/s requests  0.1/s problems  p50 12 ms  p95 12 ms",
		"! the newest configuration is not in force: keybearer.yaml:3:5: wrong",
		"",
		"TIME     VERDICT   STATUS DURATION METHOD  TARGET AND PATH",
		topStart.Add(100*time.Second).Local().Format("15:04:05") + " deny         403    12 ms GET     evil.example/v1/models",
		topStart.Add(99*time.Second).Local().Format("15:04:05") + " intercept    200    12 ms GET     api.example.com/v1/models",
	} {
		if !strings.HasPrefix(frame[i], want) {
			t.Errorf("line %d: %q, want %q", i, frame[i], want)
		}
	}
	if len(frame) != 24 {
		t.Errorf("%d lines of 24", len(frame))
	}
}

// What top keeps does not grow with what it is told.
//
// seen red: takeRecords without slices.Delete.
func TestTopBounded(t *testing.T) {
	var v topView
	batch := make([]telemetry.Event, 700)
	for i := range 20 {
		for j := range batch {
			batch[j] = topEvent(uint64(i*len(batch)+j), nil)
		}
		v.take(adminNews{batch: adminBatch{Records: batch}}, topStart)
	}
	if len(v.records) != topKept || cap(v.records) > 8*topKept {
		t.Errorf("%d records in room for %d", len(v.records), cap(v.records))
	}
	if last := v.records[topKept-1].ID; last != 20*700-1 {
		t.Errorf("the last is %d", last)
	}
}
