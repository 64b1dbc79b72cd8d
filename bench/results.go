package main

import (
	"fmt"
	"slices"
	"strings"
)

// results are what was measured.
type results struct {
	peers  []*peer
	values map[*peer]map[string][]float64 // a value per round
	growth []grown
	left   []string // peers left out, and why
	notes  []string
}

// grown is a series and, for each of its steps, a value per round.
type grown struct {
	series
	rounds [][]float64
}

// beyond is the median over the rounds of by how much a step costs more than the
// first.
func (g grown) beyond(step int) (float64, bool) {
	var more []float64
	for n := range g.rounds[step] {
		more = append(more, g.rounds[step][n]-g.rounds[0][n])
	}
	return median(more), len(more) > 0
}

func newResults() *results { return &results{values: make(map[*peer]map[string][]float64)} }

func (r *results) add(p *peer, v values) {
	if r.values[p] == nil {
		r.values[p] = make(map[string][]float64)
	}
	for key, value := range v {
		r.values[p][key] = append(r.values[p][key], value)
	}
}

func (r *results) note(text string) {
	if !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

func (r *results) leaveOut(p *peer, why string) {
	r.left = append(r.left, p.name+": "+strings.Join(strings.Fields(why), " "))
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

func (r *results) peer(name string) *peer {
	for _, p := range r.peers {
		if p.name == name {
			return p
		}
	}
	return nil
}

func (r *results) value(p *peer, key string) (float64, bool) {
	all := r.values[p][key]
	return median(all), len(all) > 0
}

// ratio is the median of the ratios of each round, which compares what was
// measured at nearly the same time.
func (r *results) ratio(p, base *peer, key string) (float64, bool) {
	a, b := r.values[p][key], r.values[base][key]
	if len(a) == 0 || len(b) == 0 {
		return 0, false
	}
	if len(a) != len(b) {
		return median(a) / median(b), true
	}
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios), true
}

// metric is a row of the table.
type metric struct {
	key, title string
	digits     int
	base       string // the peer that the ratios are to; "" for none
}

var metrics = []metric{
	{"request.cpu", "CPU per request, µs", 1, "nginx"},
	{"request.rate", "requests per second", 0, "nginx"},
	{"new.cpu", "CPU per new connection, µs", 0, "nginx"},
	{"new.rate", "new connections per second", 0, "nginx"},
	{"classic.cpu", "the same, client without post-quantum keys, µs", 0, "nginx"},
	{"host.cpu", "CPU per new host, µs", 0, ""},
	{"download.cpu", "CPU per GB of download, s", 2, "nginx"},
	{"download.rate", "download, MB/s", 0, "nginx"},
	{"text.cpu", "CPU per GB of text/plain, s", 2, "nginx"},
	{"upload.cpu", "CPU per GB of upload, s", 2, "nginx"},
	{"tunnel.cpu", "CPU per GB through a tunnel, s", 2, ""},
	{"h2.cpu", "CPU per HTTP/2 request, µs", 1, "haproxy"},
	{"h2.rate", "HTTP/2 requests per second", 0, "haproxy"},
	{"latency.p50", "added latency, median, µs", 0, ""},
	{"latency.p99", "added latency, 99th percentile, µs", 0, ""},
	{"events.p50", "first byte of an event, median, µs", 0, ""},
	{"events.p99", "first byte of an event, 99th percentile, µs", 0, ""},
	{"idle.memory", "memory per idle connection, kB", 1, ""},
	{"tunnel.memory", "memory per idle tunnel, kB", 1, ""},
	{"tunnel.descriptors", "descriptors per idle tunnel", 1, ""},
	{"ready", "start to ready, ms", 0, ""},
}

func (r *results) cell(m metric, p *peer) string {
	v, ok := r.value(p, m.key)
	if !ok {
		return ""
	}
	text := fmt.Sprintf("%.*f", m.digits, v)
	if base := r.peer(m.base); base != nil && base != p {
		if ratio, ok := r.ratio(p, base, m.key); ok {
			text += fmt.Sprintf(" (%.2f)", ratio)
		}
	}
	return text
}

// table is the comparison, row by row, the head first. Rows that nobody was
// measured for are left out.
func (r *results) table() [][]string {
	head := []string{"ratios in parentheses"}
	for _, p := range r.peers {
		head = append(head, p.name)
	}
	rows := [][]string{head}
	for _, m := range metrics {
		row := []string{m.title}
		for _, p := range r.peers {
			row = append(row, r.cell(m, p))
		}
		if strings.Join(row[1:], "") != "" {
			rows = append(rows, row)
		}
	}
	return rows
}

// growthTable shows each series with the ratio to its first step.
func (r *results) growthTable() [][]string {
	rows := [][]string{{"grows", "to", "cost", "unit"}}
	for _, g := range r.growth {
		name, first := g.name, median(g.rounds[0])
		for n, s := range g.steps {
			v := median(g.rounds[n])
			text := fmt.Sprintf("%.3g", v)
			if v >= 100 {
				text = fmt.Sprintf("%.0f", v)
			}
			if n > 0 && first > 0 && g.unit != "ms/body" {
				text += fmt.Sprintf(" (%.2f)", v/first)
			}
			rows = append(rows, []string{name, s.at, text, g.unit})
			name = ""
		}
	}
	return rows
}

// goal is a target of DESIGN 12.
type goal struct {
	text  string
	limit float64
	value func(r *results) (float64, bool)
}

func (r *results) ours() *peer { return r.peer("keybearer") }

func ratioTo(base, key string) func(*results) (float64, bool) {
	return func(r *results) (float64, bool) { return r.ratio(r.ours(), r.peer(base), key) }
}

// ratioToBest compares with the best of the other peers that intercept.
func ratioToBest(key string) func(*results) (float64, bool) {
	return func(r *results) (float64, bool) {
		best, found := 0.0, false
		for _, p := range r.peers {
			if !p.forward || p == r.ours() {
				continue
			}
			if ratio, ok := r.ratio(r.ours(), p, key); ok {
				best, found = max(best, ratio), true
			}
		}
		return best, found
	}
}

func plain(key string, unit float64) func(*results) (float64, bool) {
	return func(r *results) (float64, bool) {
		v, ok := r.value(r.ours(), key)
		return v / unit, ok
	}
}

var goals = []goal{
	{"CPU per request ≤ 1.25 × nginx", 1.25, ratioTo("nginx", "request.cpu")},
	{"CPU per new connection ≤ 1.3 × nginx", 1.3, ratioTo("nginx", "new.cpu")},
	{"… and below every peer that intercepts (1 × the best)", 1, ratioToBest("new.cpu")},
	{"CPU per GB of download ≤ 1.0 × nginx", 1, ratioTo("nginx", "download.cpu")},
	{"CPU per GB through a tunnel ≤ 1.1 × the best peer", 1.1, ratioToBest("tunnel.cpu")},
	{"CPU per HTTP/2 request ≤ 1.1 × bare net/http", 1.1, ratioTo("net/http", "h2.cpu")},
	{"… and below mitmproxy", 1, ratioTo("mitmproxy", "h2.cpu")},
	{"memory per idle connection ≤ 25 kB", 25, plain("idle.memory", 1)},
	{"memory per idle tunnel ≤ 12 kB", 12, plain("tunnel.memory", 1)},
	{"descriptors per idle tunnel ≤ 2", 2, plain("tunnel.descriptors", 1)},
	{"added latency, median ≤ 0.2 ms", 0.2, plain("latency.p50", 1000)},
	{"first byte of an event < 1 ms later, median", 1, plain("events.p50", 1000)},
	{"10,000 rules add ≤ 1 µs per request", 1, func(r *results) (float64, bool) {
		for _, g := range r.growth {
			if n := slices.IndexFunc(g.steps, func(s step) bool { return s.at == "10,000" }); n > 0 {
				return g.beyond(n)
			}
		}
		return 0, false
	}},
	{"start to ready ≤ 30 ms", 30, plain("ready", 1)},
}

// goalTable says which targets were met.
func (r *results) goalTable(binary float64) [][]string {
	rows := [][]string{{"target", "measured", ""}}
	verdict := func(text string, v, limit float64) {
		word := "met"
		if v > limit {
			word = "**missed**"
		}
		rows = append(rows, []string{text, fmt.Sprintf("%.2f", v), word})
	}
	for _, g := range goals {
		if v, ok := g.value(r); ok {
			verdict(g.text, v, g.limit)
		}
	}
	verdict("binary, stripped, ≤ 15 MB", binary/1e6, 15)
	return rows
}
