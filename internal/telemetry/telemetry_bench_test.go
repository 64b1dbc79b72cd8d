package telemetry

import (
	"io"
	"testing"
	"time"

	"keybearer/proxy"
	"keybearer/rules"
)

// The log line of a usual request.
func BenchmarkLog(b *testing.B) {
	l, err := NewLogger(io.Discard, "json", "info")
	if err != nil {
		b.Fatal(err)
	}
	log := Log(l)
	r := proxy.Record{
		ID: 123456, Start: time.Now(), Duration: 1500 * time.Microsecond,
		Client: "127.0.0.1:40000", Target: "api.example.com:443", Protocol: "http/1.1", Verdict: rules.Intercept,
		Method: "GET", Path: "/v1/chat/completions", Rule: "api", Injected: []string{"Authorization"},
		Status: 200, BytesReceived: 3, BytesSent: 5,
	}
	b.ReportAllocs()
	for b.Loop() {
		log(r)
	}
}
