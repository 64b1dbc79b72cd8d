package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

func (e *env) startPeers(o options, r *results) []*instance {
	var running []*instance
	peers := all
	if o.before != "" {
		peers = append(slices.Clone(all), &peer{name: "before", binary: o.before, command: keybearer, forward: true, h2: true,
			version: func(*env) string { return "before: " + o.before }})
	}
	for _, p := range peers {
		if !o.wants(o.only, p.name) {
			continue
		}
		if p.program != "" && e.find(p.program) == "" {
			r.leaveOut(p, "not installed")
			continue
		}
		i, err := e.start(p, nil)
		if err != nil {
			r.leaveOut(p, err.Error())
			continue
		}
		r.peers = append(r.peers, p)
		running = append(running, i)
		if p.split {
			if i, err = e.start(p, func(i *instance) { i.tunnels = true }); err == nil {
				running = append(running, i)
			}
		}
	}
	return running
}

// round makes every measure of every peer once, peer by peer for each measure, so
// that what disturbs the machine disturbs all alike.
func (e *env) round(o options, r *results, running []*instance, first bool) {
	for _, m := range measures {
		if !o.wants(o.measures, m.name) {
			continue
		}
		for _, i := range running {
			if m.only != nil && !m.only(i.peer) || i.bare && !m.bare || i.split && i.tunnels != (m.name == "tunnel") {
				continue
			}
			if time.Since(e.begin) > o.limit {
				r.note("time was up: some measures have fewer rounds")
				return
			}
			v, err := m.run(e, i, o.window)
			if err != nil {
				r.note(fmt.Sprintf("%s, %s: %v", i.name, m.name, err))
				continue
			}
			r.add(i.peer, v)
		}
	}
	if o.wants(o.measures, "idle") && (first || !o.quick) {
		e.measureIdle(o, r)
	}
}

// measureIdle measures all peers at once: memory does not depend on the time.
func (e *env) measureIdle(o options, r *results) {
	n := 1000
	if o.quick {
		n = 500
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, p := range r.peers {
		if p.bare {
			continue
		}
		wait.Go(func() {
			v, err := e.idle(p, n)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				r.note(fmt.Sprintf("%s, idle: %v", p.name, err))
			}
			r.add(p, v)
		})
	}
	wait.Wait()
}

// measureGrowth makes one series after the other.
func (e *env) measureGrowth(o options, r *results) {
	p := all[slices.IndexFunc(all, func(p *peer) bool { return p.name == "keybearer" })]
	for _, s := range growth {
		if time.Since(e.begin) > o.limit {
			r.note("time was up: not every series was measured")
			return
		}
		g := grown{series: s, rounds: make([][]float64, len(s.steps))}
		for range s.rounds(o.rounds) {
			if err := e.roundOf(&g, p, o.window/3); err != nil {
				r.note(fmt.Sprintf("%s: %v", s.name, err))
				break
			}
		}
		r.growth = append(r.growth, g)
	}
}

// roundOf makes every step of a series once.
func (e *env) roundOf(g *grown, p *peer, window time.Duration) error {
	for n, s := range g.steps {
		i, err := e.start(p, s.change)
		if err != nil {
			return err
		}
		time.Sleep(settle * 2 / 3) // it reloads a configuration that was written a moment before it started
		v, err := s.run(e, i, window)
		i.stop()
		if err != nil {
			return err
		}
		g.rounds[n] = append(g.rounds[n], v)
	}
	return nil
}
