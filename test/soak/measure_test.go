package soak

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// state is what a process holds.
type state struct {
	rss, heap               float64 // bytes
	goroutines, descriptors int
}

func (s state) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %.1f MiB heap", s.goroutines, s.descriptors, s.heap/(1<<20))
}

// peak is the most of both.
func (s state) peak(t state) state {
	return state{max(s.rss, t.rss), max(s.heap, t.heap), max(s.goroutines, t.goroutines), max(s.descriptors, t.descriptors)}
}

// What is read of the metrics.
const (
	heapBytes     = "go_memstats_alloc_bytes"
	residentBytes = "process_resident_memory_bytes"
	goroutines    = "go_goroutines"
	collections   = "go_gc_duration_seconds_count"
	memoryLimit   = "go_memlimit_bytes"
)

// metrics reads the admin listener. One that is not there would never grow.
func (k *keybearer) metrics() map[string]float64 {
	values := make(map[string]float64)
	resp, err := k.admin.Get("http://admin/metrics")
	if err != nil {
		k.t.Errorf("no metrics: %v", err)
		return values
	}
	defer resp.Body.Close()
	defer func() {
		for _, name := range []string{heapBytes, residentBytes, goroutines, collections, memoryLimit} {
			if _, ok := values[name]; !ok {
				k.t.Errorf("there is no metric %s", name)
			}
		}
	}()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	return values
}

// state measures the process as it is. Descriptors are counted from outside.
func (k *keybearer) state() state {
	m := k.metrics()
	s := state{rss: m[residentBytes], heap: m[heapBytes], goroutines: int(m[goroutines])}
	if entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", k.cmd.Process.Pid)); err == nil {
		s.descriptors = len(entries)
	}
	return s
}

// rest closes what is kept for later, and measures the process after its garbage is
// collected. The upstream has dropped its idle connections before: keybearer finds
// them ended when it looks for one to use.
func (k *keybearer) rest(from ...string) state {
	for _, address := range from {
		for _, url := range []string{"https://api.test/close", "https://other.test/close", "http://plain.test/close"} {
			c := k.client(false, address)
			fetch(c, url)
			c.CloseIdleConnections()
		}
	}
	// Each look at the metrics makes some garbage. Two collections empty the pools.
	begin, s := k.metrics()[collections], k.state()
	for range 5000 {
		now := k.state()
		now.heap = min(now.heap, s.heap)
		if s = now; k.metrics()[collections] >= begin+3 {
			break
		}
	}
	return s
}

// warm makes a few requests of each kind, and returns what the process is at rest after
// them.
func (k *keybearer) warm(u *upstream) state {
	k.t.Helper()
	for _, http2 := range []bool{false, true} {
		k.once(http2, func(c *http.Client) {
			for _, url := range []string{"https://api.test/", "https://other.test/", "https://direct.test/"} {
				expect(k.t, c, url, 200, "ok")
			}
		})
	}
	u.dropIdle()
	return k.rest(localhost)
}

// settles waits for the process to be at rest as it was before, and returns what it
// is. drop makes the upstream close its idle connections.
func (k *keybearer) settles(before state, drop func(), from ...string) (after state) {
	k.t.Helper()
	patience := 20 * time.Second
	if *long {
		patience = 7 * time.Minute // see dropIdle
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		drop()
		after = k.rest(from...)
		if after.grown(before) == "" {
			return after
		}
		if time.Now().After(deadline) {
			k.t.Errorf("%s: before %s, after %s", after.grown(before), before, after)
			return after
		}
	}
}

// heapSlack is what the heap at rest may differ by: where caches and pools stand is
// not the same at any two moments.
const heapSlack = 1 << 20

// grown says what is more than before, "" if nothing is.
func (s state) grown(before state) string {
	switch {
	case s.goroutines > before.goroutines:
		return "goroutines have grown"
	case s.descriptors > before.descriptors:
		return "descriptors have grown"
	case s.heap > before.heap+heapSlack:
		return "the heap has grown"
	}
	return ""
}
