package cli

import (
	"keybearer/internal/config"
	"keybearer/proxy"
	"keybearer/secrets"
)

// upstreamProxy returns the proxy on the way to the upstreams, nil if there is
// none. The error, of credentials that do not resolve, comes with the proxy.
func upstreamProxy(c *config.Config, store *secrets.Store) (*proxy.UpstreamProxy, error) {
	written := c.Settings.UpstreamProxy
	if written == nil {
		return nil, nil
	}
	v := &proxy.UpstreamProxy{
		Address:     written.Address,
		TLS:         written.TLS,
		Direct:      written.Direct,
		Credentials: written.Credentials(),
		Lookup:      store.Lookup,
	}
	return v, exit(exitSecret, v.Check())
}
