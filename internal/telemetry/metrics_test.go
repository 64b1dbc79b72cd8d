package telemetry

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"keybearer/proxy"
	"keybearer/rules"
)

func newMetrics() *Metrics {
	return NewMetrics(func() proxy.Stats { return proxy.Stats{Connections: 5, Tunnels: 1, Intercepts: 2, LeavesMinted: 3} }, func() uint64 { return 4 })
}

// written are the metrics of keybearer as lines.
func written(m *Metrics) (lines []string) {
	var b bytes.Buffer
	m.Write(&b)
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "keybearer_") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	all := "\n" + strings.Join(got, "\n") + "\n"
	for _, line := range want {
		if !strings.Contains(all, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if t.Failed() {
		t.Log(all)
	}
}

// Records are counted by rule, verdict, status and error, with their bytes, times and
// maskings; tunnels have no latency.
//
// seen red: Emit without masked; with the duration of CONNECT observed.
func TestMetricsOfRecords(t *testing.T) {
	m := newMetrics()
	exchange := proxy.Record{
		Verdict: rules.Intercept, Method: "GET", Rule: `a "quoted\ rule`, Status: 200, BytesReceived: 3, BytesSent: 5, Masked: 2,
		Duration: 20 * time.Millisecond, FirstByte: 10 * time.Millisecond, Connect: time.Millisecond,
	}
	m.Emit(exchange)
	m.Emit(exchange)
	m.Emit(proxy.Record{Verdict: rules.Tunnel, Method: "CONNECT", Status: 200, Duration: time.Hour, BytesSent: 7})
	m.Emit(proxy.Record{Verdict: rules.Deny, Method: "CONNECT", Status: 403, Error: "http_request_denied"})
	m.Reloaded(false)
	wantLines(t, written(m),
		`keybearer_requests_total{rule="a \"quoted\\ rule",verdict="intercept",status="200",error=""} 2`,
		`keybearer_requests_total{rule="",verdict="tunnel",status="200",error=""} 1`,
		`keybearer_requests_total{rule="",verdict="deny",status="403",error="http_request_denied"} 1`,
		`keybearer_received_bytes_total{verdict="intercept"} 6`,
		`keybearer_sent_bytes_total{verdict="tunnel"} 7`,
		`keybearer_masked_total{rule="a \"quoted\\ rule"} 4`,
		`keybearer_request_duration_seconds_bucket{rule="a \"quoted\\ rule",le="0.01"} 0`,
		`keybearer_request_duration_seconds_bucket{rule="a \"quoted\\ rule",le="0.025"} 2`,
		`keybearer_request_duration_seconds_count{rule=""} 0`,
		`keybearer_first_byte_seconds_bucket{rule="a \"quoted\\ rule",le="0.01"} 2`,
		`keybearer_upstream_connect_seconds_count 2`,
		`keybearer_upstream_handshake_seconds_count 0`,
		`keybearer_reloads_total{result="rejected"} 1`,
		`keybearer_reloads_total{result="ok"} 0`,
		`keybearer_connections{verdict="none"} 2`,
		`keybearer_connections{verdict="intercept"} 2`,
		`keybearer_leaves_minted_total 3`,
		`keybearer_log_lines_dropped_total 4`,
	)
}

// Neither upstreams, nor clients, nor years of reloads make series without end.
//
// seen red: rule without its limit; request without its; statusLabel of any number.
func TestMetricsBounded(t *testing.T) {
	m := newMetrics()
	for n := range 10 * maxRuleLabels {
		m.Emit(proxy.Record{Verdict: rules.Intercept, Rule: fmt.Sprint("rule-", n), Status: 100 + n%900, Path: fmt.Sprint("/", n), Target: fmt.Sprint("h", n, ":443"), Duration: 1})
	}
	for n := range 900 * maxRuleLabels {
		m.Emit(proxy.Record{Verdict: rules.Intercept, Rule: fmt.Sprint("rule-", n%maxRuleLabels), Status: 100 + n/maxRuleLabels%900, Duration: 1})
	}
	lines := written(m)
	requests := 0
	for _, line := range lines {
		if strings.HasPrefix(line, "keybearer_requests_total") {
			requests++
		}
	}
	if most := maxRequestKeys + 200; requests > most || len(lines) > most+(maxRuleLabels+2)*45 {
		t.Errorf("%d series of requests, %d in all", requests, len(lines))
	}
	if all := strings.Join(lines, "\n"); !strings.Contains(all, `rule="other"`) || !strings.Contains(all, `status="other"`) ||
		strings.Contains(all, `status="599"`) {
		t.Error("what has no label of its own is not called other")
	}
}

// The state is what is in force now, not what once was.
//
// seen red: SetState adding to the set that is there.
func TestMetricsOfState(t *testing.T) {
	m := newMetrics()
	loaded := time.Unix(1_700_000_000, 0)
	m.SetState(State{Rules: []RuleState{{Name: "a"}}, Secrets: []SecretState{{Name: "OLD"}}})
	m.SetState(State{
		Version: "v1.2.3", Loaded: loaded, Rules: []RuleState{{Name: "a"}, {Name: "b", Problem: "no secret"}},
		Secrets: []SecretState{{Name: "KEY", Modified: loaded}, {Name: "GONE", Problem: "gone"}},
	})
	lines := written(m)
	wantLines(t, lines,
		`keybearer_build_info{version="v1.2.3"} 1`,
		`keybearer_rules 2`,
		`keybearer_rules_refusing 1`,
		`keybearer_policy_loaded_timestamp_seconds 1700000000`,
		`keybearer_secret_usable{secret="KEY"} 1`,
		`keybearer_secret_usable{secret="GONE"} 0`,
		`keybearer_secret_modified_timestamp_seconds{secret="KEY"} 1700000000`,
	)
	if all := strings.Join(lines, "\n"); strings.Contains(all, "OLD") || strings.Contains(all, `timestamp_seconds{secret="GONE"`) {
		t.Error("it tells of what is not there")
	}
}
