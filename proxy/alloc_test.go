//go:build !race

package proxy

import (
	"io"
	"net"
	"testing"

	"keybearer/rules"
	"keybearer/secrets"
)

// exchangeAllocs is how often memory is allocated for one exchange over a kept
// connection, with a rule that injects and a body that is searched: by the proxy,
// and by crypto/tls on all four ends.
const exchangeAllocs = 7

// The path of a request over HTTP/1.1 allocates what it did when it was measured,
// and not more, also if its secret has a lifetime. (The race detector allocates too, so
// that this is not run under it.)
//
// seen red: lease.go holds always false.
func TestExchangeAllocations(t *testing.T) {
	t.Run("plain", func(t *testing.T) { measureAllocations(t, nil) })
	t.Run("fetched", func(t *testing.T) {
		measureAllocations(t, map[string]secrets.Source{"KEY": {Fetch: minted{&mint{next: coins}}}})
	})
}

func measureAllocations(t *testing.T, named map[string]secrets.Source) {
	response := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"a\": true}")
	request := []byte("GET /v1/models HTTP/1.1\r\nHost: api.test\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	upstream := serveRaw(t, "api.test", nil, func(conn net.Conn) {
		conn = conn.(*keptConn).Conn // what is kept would be allocated
		b := make([]byte, 4096)
		for {
			if _, err := conn.Read(b); err != nil {
				return
			}
			conn.Write(response)
		}
	})
	f := startWith(t, config(), map[string]string{"api.test:443": upstream.addr}, func(p *Proxy) { p.Emit = func(Record) {} })
	if named != nil {
		store, err := secrets.Open(secrets.Sources{Named: named})
		if err != nil {
			t.Fatal(err)
		}
		set, _ := rules.Compile(config(), rules.Tunnel)
		policy, err := NewPolicy(set, store)
		if err != nil {
			t.Fatal(err)
		}
		f.proxy.SetPolicy(policy)
	}
	conn := f.open("api.test:443")
	b := make([]byte, len(response))
	allocs := testing.AllocsPerRun(2000, func() {
		conn.Write(request)
		if _, err := io.ReadFull(conn, b); err != nil {
			t.Fatal(err)
		}
	})
	if t.Logf("%.1f allocations", allocs); allocs > exchangeAllocs {
		t.Errorf("%.1f allocations for an exchange, want at most %d", allocs, exchangeAllocs)
	}
}
