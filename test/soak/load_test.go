package soak

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is many clients, each with one connection after the other, and several requests
// on each.
type load struct {
	k           *keybearer
	connections int64 // to make in all
	workers     int
	requests    atomic.Int64
	next        atomic.Int64

	mu       sync.Mutex
	problems []string
}

const requestsPerConnection = 10

// sources are the addresses that clients come from: connections to upstreams are kept
// for each of them.
var sources = []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"}

// kinds of connections, so often in 20: https requests that are intercepted, or
// tunnelled, and plain ones.
var kinds = []struct {
	share int64
	url   string
	http2 bool
}{
	{7, "https://api.test", false},
	{5, "https://other.test", true},
	{3, "https://direct.test", false},
	{3, "https://direct.test", true},
	{2, "http://plain.test", false},
}

func (l *load) run() {
	var workers sync.WaitGroup
	for range l.workers {
		workers.Go(func() {
			for n := l.next.Add(1); n <= l.connections; n = l.next.Add(1) {
				l.connection(n)
			}
		})
	}
	workers.Wait()
}

// connection makes one client connection and its requests. One in five has requests
// with more in them.
func (l *load) connection(n int64) {
	turn, i := n%20, 0
	for turn >= kinds[i].share {
		turn -= kinds[i].share
		i++
	}
	kind := kinds[i]
	c := l.k.client(kind.http2, sources[n/20%int64(len(sources))])
	defer c.CloseIdleConnections()
	path := func(request int) string {
		if n/20%5 != 0 {
			return "/"
		}
		return []string{"/", "/bytes?65536", "/", "/echo", "/", "/events", "/", "/bytes?100", "/", "/"}[request]
	}
	l.request(c, kind.url, path(0)) // and then several at once, over HTTP/2
	var streams sync.WaitGroup
	for request := 1; request < requestsPerConnection; request++ {
		if !kind.http2 {
			l.request(c, kind.url, path(request))
			continue
		}
		streams.Go(func() { l.request(c, kind.url, path(request)) })
	}
	streams.Wait()
}

func (l *load) request(c *http.Client, origin, path string) {
	l.requests.Add(1)
	if err := exchange(c, origin+path); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.problems = append(l.problems, fmt.Sprintf("%s%s: %v", origin, path, err))
	}
}

// exchange makes a request and checks that its answer came whole.
func exchange(c *http.Client, url string) error {
	var want []byte
	var resp *http.Response
	var err error
	switch path := url[strings.LastIndexByte(url, '/'):]; path {
	case "/echo":
		want = filler[:32<<10]
		resp, err = c.Post(url, "application/octet-stream", io.MultiReader(bytes.NewReader(want))) // of no known length
	case "/events":
		want = []byte(events)
		resp, err = c.Get(url)
	default:
		want = []byte("ok")
		if n := 0; strings.HasPrefix(path, "/bytes?") {
			fmt.Sscanf(path, "/bytes?%d", &n)
			want = filler[:n]
		}
		resp, err = c.Get(url)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != 200:
		return fmt.Errorf("%s %.200s", resp.Status, got)
	case !bytes.Equal(got, want):
		return fmt.Errorf("%d bytes, want %d", len(got), len(want))
	}
	return nil
}

// latencies are those of a normal request: intercepted, small, on an open connection.
type latencies []time.Duration

// probe makes n requests, one after the other, until stop is closed.
func (k *keybearer) probe(n int, stop <-chan struct{}) (times latencies) {
	c := k.client(false, localhost)
	defer c.CloseIdleConnections()
	for range n {
		begin := time.Now()
		if err := exchange(c, "https://api.test/"); err != nil {
			k.t.Errorf("a normal request: %v", err)
			return times
		}
		times = append(times, time.Since(begin))
		select {
		case <-stop:
			return times
		default:
		}
	}
	return times
}

// at is the latency that a share of the requests stays below.
func (l latencies) at(share float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	return sorted[min(int(share*float64(len(l))), len(l)-1)]
}
