package soak

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// network is a way to an address on which things go wrong when a test says so.
type network struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

func newNetwork(t *testing.T, to string) *network {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), quiet())
	n := &network{t: t, proxy: toxiproxy.NewProxy(server, "network", "127.0.0.1:0", to)}
	if err := n.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.proxy.Stop)
	return n
}

// quiet is a log of toxiproxy that nobody reads. Its toxics log to the global one.
func quiet() zerolog.Logger {
	zerolog.SetGlobalLevel(zerolog.Disabled)
	return zerolog.Nop()
}

func (n *network) address() string { return n.proxy.Listen }

// breaks adds a toxic, as toxiproxy writes it in JSON.
func (n *network) breaks(toxic string) {
	n.t.Helper()
	if _, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		n.t.Fatal(err)
	}
}

func (n *network) heals() { n.proxy.Toxics.ResetToxics(context.Background()) }

// behind makes other.test be reached by a network of its own.
func behind(n *network) func(*options) {
	return func(o *options) { o.resolve["other.test:443"] = n.address() }
}

// undisturbed checks that requests to another host are as fast as ever.
func (k *keybearer) undisturbed(t *testing.T) {
	t.Helper()
	for _, http2 := range []bool{false, true} {
		k.once(http2, func(c *http.Client) {
			c.Timeout = 2 * time.Second
			for range 20 {
				expect(t, c, "https://api.test/", 200, "ok")
			}
			expect(t, c, "https://direct.test/", 200, "ok")
		})
	}
}
