package soak

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sizes of a soak.
type sizes struct {
	warmUp, connections int64 // with ten requests each
	tunnels             int
}

var (
	longSizes  = sizes{warmUp: 5_000, connections: 100_000, tunnels: 9_000}
	shortSizes = sizes{warmUp: 400, connections: 2_000, tunnels: 1_000}
)

// After any number of requests and connections, and with many idle tunnels in between,
// the process holds what it held before; and a normal request is fast all the time.
// seen red: a goroutine left behind by each tunnel; the upstream's connection of each
// plain request kept; 96 bytes kept for each request.
func TestSoak(t *testing.T) {
	size := shortSizes
	if *long {
		size = longSizes
	}
	size.tunnels = min(size.tunnels, tunnelsAllowed())
	up := startChild(t)
	k := start(t, options{ca: up.CA, resolve: map[string]string{
		"api.test:443": up.TLS, "other.test:443": up.TLS, "direct.test:443": up.TLS, "plain.test:80": up.Plain, "idle.test:443": up.Echo}})
	drop := func() {
		for _, url := range []string{"https://direct.test/drop", "http://plain.test/drop"} {
			c := k.client(false, localhost)
			fetch(c, url)
			c.CloseIdleConnections()
		}
	}
	var r report
	// Go keeps what belongs to a goroutine for the next one, and maps keep their size: the
	// most that there will be has to have been before.
	r.load(k, size.warmUp)
	closeAll(r.hold(k, size.tunnels))
	drop()
	before := k.rest(sources...)
	r.add("before", before, k.probe(2000, nil))

	begin := time.Now()
	requests, peak, busy := r.load(k, size.connections)
	elapsed := time.Since(begin)
	r.add("peak under load", peak, busy)

	tunnels := r.hold(k, size.tunnels)
	idle := k.probe(2000, nil)
	r.add("idle tunnels", k.state(), idle)
	closeAll(tunnels)
	after := k.settles(before, drop, sources...)
	r.add("after", after, k.probe(2000, nil))

	r.tell(t)
	if now, was := idle.at(0.5), r.latencies[0].at(0.5); now > 3*was+time.Millisecond {
		t.Errorf("a normal request takes %s with %d idle tunnels, %s without", now, len(tunnels), was)
	}
	fmt.Printf("\n%d requests on %d connections in %s, then %d idle tunnels:\n\n%s\n",
		requests, size.connections, elapsed.Round(time.Second), len(tunnels), r.table())
}

// tunnelsAllowed is how many tunnels fit into the descriptors of a process, with two
// each and some for everything else.
func tunnelsAllowed() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<20)-1000) / 2
}

// load makes so many connections with their requests, and measures meanwhile.
func (r *report) load(k *keybearer, connections int64) (requests int64, peak state, busy latencies) {
	l := &load{k: k, connections: connections, workers: 32}
	stop := make(chan struct{})
	var meters sync.WaitGroup
	meters.Go(func() { busy = k.probe(1<<30, stop) })
	meters.Go(func() {
		for tick := time.NewTicker(200 * time.Millisecond); ; <-tick.C {
			peak = peak.peak(k.state())
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	l.run()
	close(stop)
	meters.Wait()
	r.problems = append(r.problems, l.problems...)
	return l.requests.Load(), peak, busy
}

// hold opens idle tunnels, and tries some of them.
func (r *report) hold(k *keybearer, n int) (tunnels []net.Conn) {
	for i := range n {
		conn, err := k.connect("idle.test:443")
		if err != nil {
			r.problems = append(r.problems, fmt.Sprintf("tunnel %d: %v", i, err))
			break
		}
		tunnels = append(tunnels, conn)
	}
	for i := 0; i < len(tunnels); i += 97 {
		conn, buf := tunnels[i], make([]byte, 4)
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		conn.Write([]byte("ping"))
		if _, err := conn.Read(buf); err != nil || string(buf) != "ping" {
			r.problems = append(r.problems, fmt.Sprintf("tunnel %d answers %q, %v", i, buf, err))
		}
	}
	return tunnels
}

func closeAll(conns []net.Conn) {
	for _, conn := range conns {
		conn.Close()
	}
}
