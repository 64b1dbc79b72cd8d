package main

import (
	"sync/atomic"
	"time"
)

// A series shows how one cost of keybearer grows. Each round starts an instance
// for each step, since instances differ by more than some steps do.
type series struct {
	name, unit string
	rounds     func(given int) int // of the rounds that were asked for
	steps      []step
}

// step is one point of a series.
type step struct {
	at     string
	change func(*instance)
	run    func(e *env, i *instance, d time.Duration) (float64, error)
}

// growth are the series, all of keybearer.
var growth = []series{
	{"rules, the last of which matches", "µs/request", thrice, []step{
		{"1", rulesBefore(1), requestsOver(32)},
		{"100", rulesBefore(100), requestsOver(32)},
		{"10,000", rulesBefore(10_000), requestsOver(32)},
	}},
	{"open connections, 32 requests in flight", "µs/request", asGiven, []step{
		{"1", nil, requestsOver(1)},
		{"100", nil, requestsOver(100)},
		{"5,000", nil, requestsOver(5000)},
	}},
	{"size of the body", "ms/body", asGiven, []step{
		{"1 KiB", nil, downloads("/file/1k", 1<<10)},
		{"64 KiB", nil, downloads("/file/64k", 64<<10)},
		{"1 MiB", nil, downloads("/file/1m", 1<<20)},
		{"64 MiB", nil, downloads("/file/64m", 64<<20)},
		{"1 GiB", nil, downloads("/file/1g", 1<<30)},
	}},
	{"hosts that new connections go to in turn", "µs/connection", asGiven, []step{
		{"1", resolves(1000), connectionsTo(1)},
		{"100", resolves(1000), connectionsTo(100)},
		{"1,000", resolves(1000), connectionsTo(1000)},
	}},
	{"hosts that are new, a leaf minted for each", "µs/connection", once, []step{
		{"100", resolves(100), firstConnectionsTo(100)},
		{"1,000", resolves(1000), firstConnectionsTo(1000)},
		{"5,000", resolves(5000), firstConnectionsTo(5000)},
	}},
	{"log", "µs/request", thrice, []step{
		{"level warn", nil, requestsOver(32)},
		{"a line per request, to a file", func(i *instance) { i.logs = true }, requestsOver(32)},
	}},
}

func asGiven(n int) int { return n }
func thrice(n int) int  { return 3 * n }
func once(int) int      { return 1 }

func requestsOver(conns int) func(*env, *instance, time.Duration) (float64, error) {
	return func(e *env, i *instance, d time.Duration) (float64, error) {
		m := &meter{p: i.process}
		n, err := i.api().RequestsOver(m, conns, 32, d)
		return m.each(n, microseconds), err
	}
}

func downloads(path string, size float64) func(*env, *instance, time.Duration) (float64, error) {
	return func(e *env, i *instance, d time.Duration) (float64, error) {
		m := &meter{p: i.process}
		n, err := i.api().Download(m, path, bulkConns, d)
		return m.each(n/size, milliseconds), err
	}
}

// connectionsTo opens connections to so many hosts in turn, all of them known.
func connectionsTo(hosts int) func(*env, *instance, time.Duration) (float64, error) {
	return func(e *env, i *instance, d time.Duration) (float64, error) {
		t := i.api()
		if _, err := t.Connections(&meter{p: i.process}, 1, 30*time.Second, e.inTurn(hosts, hosts)); err != nil {
			return 0, err
		}
		m := &meter{p: i.process}
		n, err := t.Connections(m, newWorkers, d, e.inTurn(hosts, 1<<30))
		return m.each(n, microseconds), err
	}
}

// firstConnectionsTo opens one connection to each of so many hosts, as fast as
// keybearer's limit on new leaves for one client lets it.
func firstConnectionsTo(hosts int) func(*env, *instance, time.Duration) (float64, error) {
	const burst, perSecond = 1000, 90
	return func(e *env, i *instance, _ time.Duration) (float64, error) {
		m := &meter{p: i.process}
		next, begin := e.inTurn(hosts, hosts), time.Now()
		var opened atomic.Int64
		n, err := i.api().Connections(m, newWorkers, 2*time.Minute, func() string {
			if ahead := opened.Add(1) - burst; ahead > 0 {
				time.Sleep(time.Until(begin.Add(time.Duration(ahead) * time.Second / perSecond)))
			}
			return next()
		})
		return m.each(n, microseconds), err
	}
}

// inTurn returns the names of so many hosts one after the other, most of them in
// all, and "" then.
func (e *env) inTurn(hosts, most int) func() string {
	var asked atomic.Int64
	return func() string {
		n := int(asked.Add(1)) - 1
		if n >= most {
			return ""
		}
		return freshName(n%hosts) + ":" + e.port(e.upstream)
	}
}

func rulesBefore(n int) func(*instance) { return func(i *instance) { i.rules, i.hosts = n-1, 0 } }

// resolves has the instance find so many hosts.
func resolves(n int) func(*instance) { return func(i *instance) { i.hosts = n } }
