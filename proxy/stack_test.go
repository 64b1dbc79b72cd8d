//go:build linux && amd64 && !race

package proxy

import (
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"testing"
)

// An idle connection whose requests a plain header rule has matched has a stack of
// 4 kB: its exchanges need no more, and one that has grown to 8 kB stays so, because
// what waits in TLS is too deep for the collector to halve it. Log lines, signatures
// and the opening of connections to upstreams do need more. (Under the race detector
// stacks are bigger, on other systems they are others, so that this is not run there.)
//
// seen red: record.go begin with a Record as result.
func TestIdleStack(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	upstream := serveRaw(t, "api.test", nil, respondWith(answer))
	f := startWith(t, config(), map[string]string{"api.test:443": upstream.addr}, func(p *Proxy) { p.Emit = func(Record) {} })
	holdsStack(t, 6<<10, func() {
		conn := f.open("api.test:443")
		pass(t, conn, conn, "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", answer)
	})
}

// The two goroutines of an idle tunnel have stacks of 2 kB.
//
// seen red: tunnel.go serveTunnel with a Record as parameter.
func TestIdleTunnelStack(t *testing.T) {
	l := listen(t)
	defer l.Close()
	f := start(t, config(), map[string]string{"direct.test:443": l.Addr().String()})
	holdsStack(t, 4608, func() {
		client := f.connect("direct.test:443")
		upstream, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { upstream.Close() })
		pass(t, client, upstream, "hello", "hello")
		pass(t, upstream, client, "hello", "hello")
	})
}

// pass sends something on one connection and reads what it becomes on another.
func pass(t *testing.T, to, from net.Conn, sent, want string) {
	t.Helper()
	io.WriteString(to, sent)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil || string(got) != want {
		t.Fatalf("received %q, %v, want %q", got, err, want)
	}
}

// holdsStack opens connections, more than the runtime keeps stacks of goroutines that
// have ended, and holds each to that many bytes of stack.
func holdsStack(t *testing.T, most float64, open func()) {
	t.Helper()
	const some, many = 100, 400
	stacks() // leave no holes where the stacks of other tests were
	for range some {
		open() // the runtime learns how big a stack is to begin with
	}
	before := stacks()
	for range many {
		open()
	}
	each := (stacks() - before) / many
	if t.Logf("%.0f bytes", each); each > most {
		t.Errorf("%.0f bytes of stack for each connection, want at most %.0f", each, most)
	}
}

// stacks is how many bytes the stacks of all goroutines take, once the collector has
// taken back what they do not need.
func stacks() float64 {
	for range 3 { // each halves a stack at most
		runtime.GC()
	}
	s := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return float64(s[0].Value.Uint64())
}
