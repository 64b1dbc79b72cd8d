package cli

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"keybearer/internal/config"
	"keybearer/proxy"
	"keybearer/rules"
	"keybearer/secrets"
)

// sourcing is how secrets are found. The zero value finds those that need no fetching.
type sourcing struct {
	environ   []string // nil: the environment as it is now
	transport http.RoundTripper
	logger    *slog.Logger   // nil: nobody is told of secrets that cannot be renewed
	after     *secrets.Store // whose fetched secrets are taken over; nil: none
}

// find opens the places that the configuration names.
func (s sourcing) find(c *config.Config) (*secrets.Store, error) {
	sources := c.Secrets
	sources.Environ, sources.Transport, sources.After = s.environ, s.transport, s.after
	if s.logger != nil {
		sources.Notice = tellFetches(s.logger)
	}
	store, err := secrets.Open(sources)
	return store, exit(exitSecret, err)
}

// tellFetches tells of failures to fetch. It is no method: bound to a sourcing it would
// hold the store before, which has one of its own, and so on.
func tellFetches(logger *slog.Logger) func(name string, err error) {
	return func(name string, err error) {
		if err != nil {
			logger.Warn("a secret cannot be fetched; requests that need it are refused unless the last one has not expired yet",
				"secret", name, "problem", err.Error())
			return
		}
		logger.Info("a secret can be fetched again", "secret", name)
	}
}

// via is the proxy on the way to the upstreams, nil if there is none.
type via = func() *proxy.UpstreamProxy

// transport reaches the servers of secrets as upstreams are reached: verified by the
// same roots, through the upstream proxy, with --resolve.
func (r resolve) transport(c *config.Config, upstream via) (http.RoundTripper, error) {
	roots, _, err := upstreamRoots(c.Settings.UpstreamCA)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, r.instead(address))
		},
		Proxy: func(req *http.Request) (*url.URL, error) {
			t, ok := targetOf(req.URL)
			if _, overridden := r.address(t); !ok || overridden || !upstream().Serves(t) {
				return nil, nil
			}
			return url.Parse(c.Settings.UpstreamProxy.String())
		},
		GetProxyConnectHeader: func(context.Context, *url.URL, string) (http.Header, error) { return upstream().ConnectHeader() },
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     true,
		IdleConnTimeout:       90 * time.Second,
		MaxConnsPerHost:       fetchConns,
		MaxIdleConnsPerHost:   fetchConns,
	}, nil
}

// instead is the address to connect to for another.
func (r resolve) instead(address string) string {
	t, err := rules.ParseTarget(address, 0)
	if err != nil {
		return address
	}
	other, ok := r.address(t)
	if !ok {
		return address
	}
	if _, _, err := net.SplitHostPort(other); err != nil {
		_, port, _ := net.SplitHostPort(address)
		return net.JoinHostPort(other, port)
	}
	return other
}

func targetOf(u *url.URL) (rules.Target, bool) {
	port := uint16(443)
	if u.Scheme == "http" {
		port = 80
	}
	t, err := rules.ParseTarget(u.Host, port)
	return t, err == nil
}
