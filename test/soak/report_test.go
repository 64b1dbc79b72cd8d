package soak

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// report collects what is measured.
type report struct {
	names     []string
	states    []state
	latencies []latencies
	problems  []string
}

func (r *report) add(name string, s state, l latencies) {
	r.names, r.states, r.latencies = append(r.names, name), append(r.states, s), append(r.latencies, l)
}

// tell fails the test for each problem, up to a number that people read.
func (r *report) tell(t *testing.T) {
	t.Helper()
	for _, p := range r.problems[:min(len(r.problems), 10)] {
		t.Error(p)
	}
	if len(r.problems) > 10 {
		t.Errorf("%d problems in all", len(r.problems))
	}
}

// table is what is measured, for people.
func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| | %s |\n|---|%s\n", strings.Join(r.names, " | "), strings.Repeat("---:|", len(r.names)))
	row := func(name string, value func(i int) string) {
		fmt.Fprintf(&b, "| %s |", name)
		for i := range r.names {
			fmt.Fprintf(&b, " %s |", value(i))
		}
		b.WriteString("\n")
	}
	mib := func(bytes float64) string { return fmt.Sprintf("%.1f", bytes/(1<<20)) }
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/1e6) }
	row("resident memory, MiB", func(i int) string { return mib(r.states[i].rss) })
	row("heap, MiB", func(i int) string { return mib(r.states[i].heap) })
	row("goroutines", func(i int) string { return fmt.Sprint(r.states[i].goroutines) })
	row("descriptors", func(i int) string { return fmt.Sprint(r.states[i].descriptors) })
	row("normal request p50, ms", func(i int) string { return ms(r.latencies[i].at(0.5)) })
	row("normal request p99, ms", func(i int) string { return ms(r.latencies[i].at(0.99)) })
	return b.String()
}
