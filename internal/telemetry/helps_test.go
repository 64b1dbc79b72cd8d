package telemetry

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"keybearer/proxy"
	"keybearer/rules"
)

// Every metric of ours is written, under a help of one line, and nothing is that has
// none. A name ends in a unit or in what it counts.
//
// seen red: a row left out of helps; keybearer_rules not written.
func TestMetricsDescribed(t *testing.T) {
	m := NewMetrics(func() proxy.Stats { return proxy.Stats{} }, func() uint64 { return 0 })
	m.SetState(State{
		AuthorityExpires: time.Unix(2e9, 0),
		Secrets:          []SecretState{{Name: "KEY", Modified: time.Unix(1e9, 0)}},
	})
	m.Emit(proxy.Record{Rule: "api", Verdict: rules.Intercept, Method: "GET", Status: 200})
	var raw, text bytes.Buffer
	m.set.WritePrometheus(&raw)
	m.state.Load().WritePrometheus(&raw)
	for _, family := range families(raw.String()) {
		if helps[family] == "" {
			t.Errorf("%s has no help, and is not written", family)
		}
	}
	m.Write(&text)
	for name, help := range helps {
		switch {
		case help == "" || strings.ContainsAny(help, "\n\\"):
			t.Errorf("the help of %s is %q", name, help)
		case strings.HasPrefix(name, "keybearer_") && !strings.Contains(text.String(), "# HELP "+name+" "+help+"\n# TYPE "+name+" "):
			t.Errorf("%s is described and not written", name)
		}
	}
	if written := families(text.String()); len(written) < 30 {
		t.Errorf("%d metrics are written: %q", len(written), written)
	}
}

// families are the names after # TYPE.
func families(text string) (names []string) {
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (\S+) `).FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	return names
}

// What is in force is told as Prometheus tells of its own configuration.
//
// seen red: Rejected not asked.
func TestMetricsState(t *testing.T) {
	m := NewMetrics(func() proxy.Stats { return proxy.Stats{} }, func() uint64 { return 0 })
	m.SetState(State{Version: "v1", Rejected: []string{"keybearer.yaml: no rules"}, AuthorityExpires: time.Unix(2e9, 0)})
	expectMetrics(t, m, `keybearer_build_info{version="v1"} 1`, "keybearer_last_reload_successful 0",
		"keybearer_authority_expires_timestamp_seconds 2000000000", `keybearer_connections{verdict="none"} 0`)
	m.SetState(State{})
	expectMetrics(t, m, "keybearer_last_reload_successful 1")
}

func expectMetrics(t *testing.T, m *Metrics, lines ...string) {
	t.Helper()
	var text strings.Builder
	m.Write(&text)
	for _, line := range lines {
		if !strings.Contains("\n"+text.String(), "\n"+line+"\n") {
			t.Errorf("there is no line %s in\n%s", line, text.String())
		}
	}
}

// fullDisk takes two lines at a time.
type fullDisk struct{}

func (fullDisk) Write(b []byte) (int, error) {
	lines := bytes.SplitAfterN(b, []byte("\n"), 3)
	if len(lines) < 3 || len(lines[2]) == 0 {
		return len(b), nil
	}
	return len(b) - len(lines[2]), errors.New("no space left on device")
}

// Lines that cannot be written are counted.
//
// seen red: the error of Write ignored.
func TestWriterCountsWhatCannotBeWritten(t *testing.T) {
	q := NewWriter(fullDisk{})
	q.Write([]byte("one\ntwo\nthree\nfour\n")) // at once, so that it is one write
	q.Close()
	if dropped := q.Dropped(); dropped != 2 {
		t.Errorf("%d lines are counted as dropped, want 2", dropped)
	}
}
