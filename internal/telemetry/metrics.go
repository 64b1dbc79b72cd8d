package telemetry

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"keybearer/proxy"
)

// Metrics are the counts of all records, and of what is open, in the text format of
// Prometheus. Their names and meanings are in docs/operations.md.
//
// No label holds what a client or an upstream chooses freely: hosts and paths are not
// labels, and a status that has no name is "other", as is a rule beyond the first
// hundred. It is safe for concurrent use.
type Metrics struct {
	stats   func() proxy.Stats
	dropped func() uint64
	set     *metrics.Set
	state   atomic.Pointer[metrics.Set]

	received, sent     [3]*metrics.Counter // by verdict
	connect, handshake *metrics.PrometheusHistogram

	mu       sync.RWMutex
	requests map[requestKey]*metrics.Counter
	rules    map[string]*ruleMetrics
}

// requestKey is what requests are counted by.
type requestKey struct {
	rule, verdict string
	status        int
	kind          string // RFC 9209 error type
}

type ruleMetrics struct {
	label               string
	duration, firstByte *metrics.PrometheusHistogram
	masked              *metrics.Counter
}

const (
	maxRuleLabels  = 100 // each has two histograms
	maxRequestKeys = 2000
	maxSecrets     = 1000

	other = "other"
)

// NewMetrics returns metrics without a count. Stats and dropped, which is how many
// lines the log has lost, are asked when the metrics are written.
func NewMetrics(stats func() proxy.Stats, dropped func() uint64) *Metrics {
	metrics.ExposeMetadata(true)
	m := &Metrics{
		stats: stats, dropped: dropped, set: metrics.NewSet(),
		requests: make(map[requestKey]*metrics.Counter), rules: make(map[string]*ruleMetrics),
	}
	for i, verdict := range []string{"deny", "tunnel", "intercept"} {
		m.received[i] = m.set.NewCounter(series("received_bytes_total", "verdict", verdict))
		m.sent[i] = m.set.NewCounter(series("sent_bytes_total", "verdict", verdict))
	}
	m.connect = m.histogram("keybearer_upstream_connect_seconds")
	m.handshake = m.histogram("keybearer_upstream_handshake_seconds")
	m.reloads(false)
	m.reloads(true)
	m.state.Store(metrics.NewSet())
	return m
}

// series is the name of a metric with one label (Prometheus exposition formats).
func series(name, label, value string) string {
	return "keybearer_" + name + "{" + label + `="` + escape(value) + `"}`
}

func escape(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(Clean(value))
}

func (m *Metrics) histogram(name string) *metrics.PrometheusHistogram {
	return m.set.GetOrCreatePrometheusHistogramExt(name, bounds)
}

// bounds are the upper bounds of the buckets, in seconds. LLM calls are slow.
var bounds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

// Emit is for [proxy.Proxy.Emit].
func (m *Metrics) Emit(r proxy.Record) {
	rule := m.rule(r.Rule)
	m.request(requestKey{rule.label, r.Verdict.String(), r.Status, r.Error}).Inc()
	m.received[r.Verdict].AddInt64(r.BytesReceived)
	m.sent[r.Verdict].AddInt64(r.BytesSent)
	rule.masked.Add(r.Masked)
	if r.Method != http.MethodConnect { // that of a tunnel is no latency
		observe(rule.duration, r.Duration)
	}
	observe(rule.firstByte, r.FirstByte)
	observe(m.connect, r.Connect)
	observe(m.handshake, r.Handshake)
}

// observe adds d to a histogram, unless it is 0: then there was nothing to measure.
func observe(h *metrics.PrometheusHistogram, d time.Duration) {
	if d > 0 {
		h.Update(d.Seconds())
	}
}

// rule returns the metrics of a rule; as long as there are not too many, those of its
// own: over the months a configuration may have had any number of rules.
func (m *Metrics) rule(name string) *ruleMetrics {
	m.mu.RLock()
	known, count := m.rules[name], len(m.rules)
	m.mu.RUnlock()
	switch {
	case known != nil:
		return known
	case count >= maxRuleLabels && name != other:
		return m.rule(other)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known = m.rules[name]; known == nil {
		known = &ruleMetrics{
			label:     escape(name),
			duration:  m.histogram(series("request_duration_seconds", "rule", name)),
			firstByte: m.histogram(series("first_byte_seconds", "rule", name)),
			masked:    m.set.GetOrCreateCounter(series("masked_total", "rule", name)),
		}
		m.rules[name] = known
	}
	return known
}

func (m *Metrics) request(k requestKey) *metrics.Counter {
	m.mu.RLock()
	known, count := m.requests[k], len(m.requests)
	m.mu.RUnlock()
	switch {
	case known != nil:
		return known
	case count >= maxRequestKeys:
		k = requestKey{rule: other, verdict: k.verdict, status: -1, kind: k.kind} // a status without a name
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known = m.requests[k]; known == nil {
		// Two statuses without a name share one.
		known = m.set.GetOrCreateCounter(`keybearer_requests_total{rule="` + k.rule + `",verdict="` + k.verdict +
			`",status="` + statusLabel(k.status) + `",error="` + k.kind + `"}`)
		m.requests[k] = known
	}
	return known
}

// statusLabel keeps an upstream from making up labels: it may answer with any three
// digits.
func statusLabel(status int) string {
	switch {
	case status == 0:
		return ""
	case http.StatusText(status) == "":
		return other
	}
	return strconv.Itoa(status)
}

// Reloaded counts an attempt to put another configuration in force.
func (m *Metrics) Reloaded(ok bool) { m.reloads(ok).Inc() }

func (m *Metrics) reloads(ok bool) *metrics.Counter {
	result := map[bool]string{true: "ok", false: "rejected"}[ok]
	return m.set.GetOrCreateCounter(series("reloads_total", "result", result))
}

// SetState says what is in force.
func (m *Metrics) SetState(s State) {
	set := metrics.NewSet()
	gauge := func(name string, value int64) { set.GetOrCreateGauge(name, nil).Set(float64(value)) }
	gauge(series("build_info", "version", s.Version), 1)
	gauge("keybearer_last_reload_successful", truth(len(s.Rejected) == 0))
	if !s.AuthorityExpires.IsZero() {
		gauge("keybearer_authority_expires_timestamp_seconds", s.AuthorityExpires.Unix())
	}
	gauge("keybearer_rules", int64(len(s.Rules)))
	gauge("keybearer_rules_refusing", int64(s.refusing()))
	gauge("keybearer_policy_loaded_timestamp_seconds", s.Loaded.Unix())
	for _, secret := range s.Secrets[:min(len(s.Secrets), maxSecrets)] {
		gauge(series("secret_usable", "secret", secret.Name), truth(secret.Problem == ""))
		if !secret.Modified.IsZero() {
			gauge(series("secret_modified_timestamp_seconds", "secret", secret.Name), secret.Modified.Unix())
		}
	}
	m.state.Store(set)
}

// truth is a boolean as Prometheus has it.
func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Write writes all metrics, those of the process and of Go's runtime among them.
func (m *Metrics) Write(w io.Writer) {
	s := m.stats()
	for name, value := range map[string]int{
		series("connections", "verdict", "none"):      s.Connections - s.Tunnels - s.Intercepts,
		series("connections", "verdict", "intercept"): s.Intercepts,
		series("connections", "verdict", "tunnel"):    s.Tunnels,
		"keybearer_upstream_idle_connections":         s.IdleUpstreams,
	} {
		m.set.GetOrCreateGauge(name, nil).Set(float64(max(value, 0))) // they are not of one moment
	}
	for name, value := range map[string]uint64{
		series("connections_opened_total", "verdict", "intercept"): s.InterceptsOpened,
		series("connections_opened_total", "verdict", "tunnel"):    s.TunnelsOpened,
		"keybearer_leaves_minted_total":                            s.LeavesMinted,
		"keybearer_leaves_reused_total":                            s.LeavesReused,
		"keybearer_log_lines_dropped_total":                        m.dropped(),
	} {
		m.set.GetOrCreateCounter(name).Set(value)
	}
	var text bytes.Buffer
	m.set.WritePrometheus(&text)
	m.state.Load().WritePrometheus(&text)
	writeProcess(&text)
	metrics.WriteGoMetrics(&text)
	describe(w, text.Bytes())
}
