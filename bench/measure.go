package main

import (
	"slices"
	"time"

	"keybearer/bench/load"
)

// values are what one round of a measure found, by the key of the metric.
type values map[string]float64

// measure is one kind of load on a running peer.
type measure struct {
	name string
	only func(*peer) bool // nil: every peer
	bare bool             // of bare peers too
	run  func(e *env, i *instance, d time.Duration) (values, error)
}

func forwards(p *peer) bool { return p.forward }
func speaksH2(p *peer) bool { return p.h2 }

const (
	microseconds = 1e6
	milliseconds = 1e3
	gigabyte     = 1e9
	kilobyte     = 1e3

	newWorkers = 8
	bulkConns  = 4
)

// each is the processor time that one of n took.
func (m *meter) each(n, unit float64) float64 { return m.cpu.Seconds() * unit / n }

func (m *meter) rate(n float64) float64 { return n / m.elapsed.Seconds() }

// measures are made of every peer in turn, in every round.
var measures = []measure{
	{name: "request", bare: true, run: func(e *env, i *instance, d time.Duration) (values, error) {
		m := &meter{p: i.process}
		n, err := i.api().Requests(m, 32, d)
		return values{"request.cpu": m.each(n, microseconds), "request.rate": m.rate(n)}, err
	}},
	{name: "new", run: func(e *env, i *instance, d time.Duration) (values, error) {
		m := &meter{p: i.process}
		t := i.api()
		n, err := t.Connections(m, newWorkers, d, func() string { return t.Host })
		return values{"new.cpu": m.each(n, microseconds), "new.rate": m.rate(n)}, err
	}},
	{name: "classic", run: func(e *env, i *instance, d time.Duration) (values, error) {
		m := &meter{p: i.process}
		t := i.api()
		t.Classic = true
		n, err := t.Connections(m, newWorkers, d*2/3, func() string { return t.Host })
		return values{"classic.cpu": m.each(n, microseconds)}, err
	}},
	{name: "host", only: forwards, run: func(e *env, i *instance, d time.Duration) (values, error) {
		const most = 40
		m := &meter{p: i.process}
		t := i.api()
		last := i.fresh.Load() + most
		n, err := t.Connections(m, newWorkers, 2*d, func() string {
			n := i.fresh.Add(1)
			if n > last || n >= freshHosts {
				return ""
			}
			return freshName(int(n)) + ":" + e.port(e.upstream)
		})
		return values{"host.cpu": m.each(n, microseconds)}, err
	}},
	{name: "download", run: func(e *env, i *instance, d time.Duration) (values, error) {
		m := &meter{p: i.process}
		n, err := i.api().Download(m, "/file/1g", bulkConns, d)
		return values{"download.cpu": m.each(n, gigabyte), "download.rate": m.rate(n) / 1e6}, err
	}},
	{name: "text", run: func(e *env, i *instance, d time.Duration) (values, error) {
		m := &meter{p: i.process}
		n, err := i.api().Download(m, "/text/1g", bulkConns, d*2/3)
		return values{"text.cpu": m.each(n, gigabyte)}, err
	}},
	{name: "upload", run: func(e *env, i *instance, d time.Duration) (values, error) {
		m := &meter{p: i.process}
		n, err := i.upload().Upload(m, bulkConns, d)
		return values{"upload.cpu": m.each(n, gigabyte)}, err
	}},
	{name: "tunnel", only: forwards, run: func(e *env, i *instance, d time.Duration) (values, error) {
		m := &meter{p: i.process}
		n, err := i.raw().Download(m, "/file/1g", bulkConns, d)
		return values{"tunnel.cpu": m.each(n, gigabyte)}, err
	}},
	{name: "h2", only: speaksH2, bare: true, run: func(e *env, i *instance, d time.Duration) (values, error) {
		m := &meter{p: i.process}
		n, err := i.streams().Streams(m, 4, 32, answerSize, d)
		return values{"h2.cpu": m.each(n, microseconds), "h2.rate": m.rate(n)}, err
	}},
	{name: "latency", run: func(e *env, i *instance, d time.Duration) (values, error) {
		// The way without a proxy is measured in the same moment.
		direct, err := e.direct(rawHost, e.upstream).Latencies(d / 4)
		if err != nil {
			return nil, err
		}
		through, err := i.api().Latencies(d / 2)
		return added("latency", direct, through), err
	}},
	{name: "events", run: func(e *env, i *instance, d time.Duration) (values, error) {
		through, err := i.upload().Events(d/3, e.clock)
		return added("events", nil, through), err
	}},
	{name: "ready", run: func(e *env, i *instance, d time.Duration) (values, error) {
		another, err := e.start(i.peer, func(i *instance) { i.hosts = 0 })
		if err != nil {
			return nil, err
		}
		another.stop()
		return values{"ready": another.ready.Seconds() * milliseconds}, nil
	}},
}

// added is by how much the median and the 99th percentile are longer, in
// microseconds.
func added(name string, direct, through []time.Duration) values {
	at := func(all []time.Duration, q float64) float64 {
		if len(all) == 0 {
			return 0
		}
		slices.Sort(all)
		return all[int(q*float64(len(all)-1))].Seconds() * microseconds
	}
	return values{
		name + ".p50": at(through, 0.5) - at(direct, 0.5),
		name + ".p99": at(through, 0.99) - at(direct, 0.99),
	}
}

const settle = 1500 * time.Millisecond

// idle measures what idle connections cost, in an instance of its own: memory
// that other work left behind would hide it.
func (e *env) idle(p *peer, n int) (values, error) {
	v := values{}
	i, err := e.start(p, nil)
	if err != nil {
		return v, err
	}
	memory, _, err := i.grow(i.api(), n)
	i.stop()
	if err != nil {
		return v, err
	}
	v["idle.memory"] = memory / kilobyte
	if !p.forward {
		return v, nil
	}
	i, err = e.start(p, func(i *instance) { i.tunnels = p.split })
	if err != nil {
		return v, err
	}
	defer i.stop()
	memory, descriptors, err := i.grow(i.raw(), n)
	if err == nil {
		v["tunnel.memory"], v["tunnel.descriptors"] = memory/kilobyte, descriptors
	}
	return v, err
}

// grow opens connections, each of which does one request and then rests, and
// returns what one of them costs.
func (i *instance) grow(t load.Target, n int) (memory, descriptors float64, err error) {
	warm, err := t.OpenMany(4, 10*time.Second)
	defer load.Close(warm)
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(settle / 3)
	memory, descriptors = i.memory(), i.descriptors()
	conns, err := t.OpenMany(n, 6*time.Second)
	defer load.Close(conns)
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(settle)
	count := float64(len(conns))
	return (i.memory() - memory) / count, (i.descriptors() - descriptors) / count, nil
}
