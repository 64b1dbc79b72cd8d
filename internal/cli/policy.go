package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"keybearer/internal/config"
	"keybearer/proxy"
	"keybearer/rules"
	"keybearer/secrets"
)

// provisions are what a start has to have found: without problems, or it is none.
type provisions struct {
	store  *secrets.Store
	policy *proxy.Policy
	via    *proxy.UpstreamProxy // on the way to the upstreams; nil if there is none

	sourcing sourcing // how the secrets were found
}

// provide finds them. Environ is as for sourcing.
func provide(c *config.Config, r resolve, environ []string, logger *slog.Logger) (p provisions, err error) {
	p.sourcing = sourcing{environ: environ, logger: logger}
	if p.sourcing.transport, err = r.transport(c, func() *proxy.UpstreamProxy { return p.via }); err != nil {
		return p, err
	}
	if p.store, err = p.sourcing.find(c); err != nil {
		return p, err
	}
	for _, w := range append(p.store.Warnings(c.References()), certificateWarnings(c.Set)...) {
		logger.Warn(w)
	}
	if p.via = upstreamProxy(c, p.store); p.via != nil {
		if err := p.via.Check(); err != nil {
			return p, exit(exitSecret, err)
		}
	}
	p.store.Prefetch(c.References())
	p.policy, err = newPolicy(c.Set, p.store)
	return p, err
}

// newPolicy expands the rules with their secrets. An error with a policy is for
// a start to refuse and for a reload to tell: the rules concerned refuse their
// requests, the others act.
func newPolicy(set *rules.Set, store *secrets.Store) (*proxy.Policy, error) {
	policy, err := proxy.NewPolicy(set, store)
	return policy, exit(exitSecret, err)
}

// forget takes the secrets of these names out of keybearer's own environment: from
// here on nothing that it starts or reports can hold them.
func forget(store *secrets.Store, names []string) {
	for _, name := range store.EnvNames(names) {
		os.Unsetenv(name)
	}
}

// upstreamRoots returns the roots for upstreams, nil for the system's alone, and
// the PEM text of upstream_ca: clients of tunnelled hosts need those as well.
func upstreamRoots(file string) (*x509.CertPool, []byte, error) {
	if file == "" {
		return nil, nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, exit(exitConfig, fmt.Errorf("upstream_ca: %w; correct the path", err))
	}
	roots, err := x509.SystemCertPool()
	if errors.Is(err, os.ErrNotExist) || roots == nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, nil, exit(exitConfig, fmt.Errorf("upstream_ca: %s holds no certificate; give it in PEM form", file))
	}
	return roots, pem, nil
}
