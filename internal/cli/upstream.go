package cli

import (
	"keybearer/internal/config"
	"keybearer/proxy"
	"keybearer/secrets"
)

// upstreamProxy returns the proxy on the way to the upstreams, nil if there is
// none. Whether its credentials resolve is for Check to say, which may run commands.
func upstreamProxy(c *config.Config, store *secrets.Store) *proxy.UpstreamProxy {
	written := c.Settings.UpstreamProxy
	if written == nil {
		return nil
	}
	return &proxy.UpstreamProxy{
		Address:     written.Address,
		TLS:         written.TLS,
		Direct:      written.Direct,
		Credentials: written.Credentials(),
		Lookup:      store.Lookup,
	}
}
