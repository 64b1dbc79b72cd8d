package telemetry

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"keybearer/proxy"
	"keybearer/rules"
)

// line is what the log says of one record.
func line(t *testing.T, format string, r proxy.Record) string {
	t.Helper()
	var b bytes.Buffer
	l, err := NewLogger(&b, format, "info")
	if err != nil {
		t.Fatal(err)
	}
	Log(l)(r)
	return b.String()
}

func TestLogOneLine(t *testing.T) {
	r := proxy.Record{
		ID: 7, Start: time.Now(), Duration: 1500 * time.Microsecond,
		Client: "127.0.0.1:40000", Target: "api.example.com:443", Protocol: "h2", Verdict: rules.Intercept,
		Method: "GET", Path: "/v1/models", Rule: "api", Injected: []string{"Authorization", "X-Key"},
		Status: 200, BytesReceived: 3, BytesSent: 5,
	}
	text := line(t, "text", r)
	_, text, _ = strings.Cut(text, " ") // the time
	want := `level=INFO msg=request id=7 client=127.0.0.1:40000 target=api.example.com:443 protocol=h2 verdict=intercept ` +
		`method=GET path=/v1/models rule=api injected=Authorization,X-Key status=200 received=3 sent=5 duration_ms=1.5` + "\n"
	if text != want {
		t.Errorf("got  %swant %s", text, want)
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(line(t, "json", r)), &object); err != nil {
		t.Fatal(err)
	}
	if object["status"] != 200.0 || object["duration_ms"] != 1.5 || object["injected"] != "Authorization,X-Key" {
		t.Errorf("got %v", object)
	}
}

func TestLogLevel(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		record     proxy.Record
	}{
		{"exchange", "level=INFO msg=request", proxy.Record{Method: "GET", Status: 500}},
		{"tunnel", "level=INFO msg=connection", proxy.Record{Method: "CONNECT", Verdict: rules.Tunnel, Status: 200}},
		{"refused", "level=WARN msg=connection", proxy.Record{Method: "CONNECT", Status: 403, Error: "http_request_denied"}},
		{"failed", "level=WARN msg=request", proxy.Record{Method: "GET", Status: 502, Error: "dns_error"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := line(t, "text", tt.record); !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// Nothing that a client chose can break out of its line or speak to the terminal.
func TestLogHostileText(t *testing.T) {
	hostile := "/a\nb\r\x1b[31m\x00\x7f\u009b2J\u202e\xff\" level=ERROR"
	r := proxy.Record{
		Method: hostile, Path: hostile, Target: hostile, Client: hostile, Rule: hostile,
		Protocol: hostile, Error: hostile, Reason: hostile, Injected: []string{hostile},
	}
	for _, format := range []string{"text", "json"} {
		got := line(t, format, r)
		if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
			t.Errorf("%s: %q is not one line", format, got)
		}
		if i := strings.IndexFunc(strings.TrimSuffix(got, "\n"), func(c rune) bool {
			return c < ' ' || c >= 0x7f && c <= 0x9f || c == '\u202e'
		}); i >= 0 {
			t.Errorf("%s: control character in %q", format, got[i:])
		}
	}
}

func TestNewLogger(t *testing.T) {
	pipe, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	l, err := NewLogger(pipe, "auto", "warn")
	if err != nil {
		t.Fatal(err)
	}
	l.Info("not shown")
	l.Warn("shown")
	data, err := os.ReadFile(pipe.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(data) || !bytes.Contains(data, []byte(`"msg":"shown"`)) {
		t.Errorf("auto on a file wrote %q, want one JSON line", data)
	}
	for _, tt := range []struct{ format, level, want string }{
		{"yaml", "info", "use auto, text or json"},
		{"text", "loud", "use debug, info, warn or error"},
		{"", "info", "use auto"},
		{"text", "", "use debug"},
	} {
		if _, err := NewLogger(pipe, tt.format, tt.level); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("format %q, level %q: error %v, want %q", tt.format, tt.level, err, tt.want)
		}
	}
}
