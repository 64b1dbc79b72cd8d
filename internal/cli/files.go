package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keybearer/certs"
	"keybearer/internal/clientenv"
	"keybearer/internal/config"
	"keybearer/rules"
)

// clientFiles are the files that the environment of a client names. They hold
// certificates and settings, all of them public.
type clientFiles struct {
	ca         string // our root alone
	added      string // what a client adds to the roots it has: ours and upstream_ca
	bundle     string // what a client trusts in place of the roots it has
	trustStore string // the bundle for Java
	wgetrc     string
}

func filesIn(dir string) clientFiles {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs // clients change their directory
	}
	return clientFiles{
		ca:         filepath.Join(dir, "ca.pem"), // beside a persisted authority certs writes it
		added:      filepath.Join(dir, "added.pem"),
		bundle:     filepath.Join(dir, "bundle.pem"),
		trustStore: filepath.Join(dir, "truststore.p12"),
		wgetrc:     filepath.Join(dir, "wgetrc"),
	}
}

// write writes all but ca.pem, unless they are there and still right. Extra are
// more roots that clients shall trust, as PEM.
func (f clientFiles) write(a *certs.Authority, extra []byte) error {
	bundle, err := bundle(a, extra)
	if err != nil {
		return err
	}
	if _, err := os.Stat(f.trustStore); err == nil {
		if present, err := os.ReadFile(f.bundle); err == nil && bytes.Equal(present, bundle) {
			return nil
		}
	}
	trustStore, err := clientenv.TrustStore(bundle)
	if err != nil {
		return err
	}
	wgetrc, err := os.ReadFile("/etc/wgetrc")
	if err != nil {
		wgetrc = nil // wget would have read it; without one there is nothing to keep
	}
	// The bundle last: see above.
	return errors.Join(
		replaceFile(f.wgetrc, clientenv.Wgetrc(f.bundle, wgetrc)),
		replaceFile(f.trustStore, trustStore),
		replaceFile(f.added, certs.Bundle(a, nil, extra)),
		replaceFile(f.bundle, bundle))
}

// bundle is what clients shall trust: the system's roots, extra and ours. Where
// the system keeps no roots in a file, it is without them.
func bundle(a *certs.Authority, extra []byte) ([]byte, error) {
	roots, _, err := certs.SystemRoots()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return certs.Bundle(a, roots, extra), nil
}

// replaceFile puts data at path at once, so that a client that starts now reads
// either the old file or the new one.
func replaceFile(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(temp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// params are the parameters of a client's environment that both run and env
// know.
func (f clientFiles) params(c *config.Config, proxyURL string) clientenv.Params {
	return clientenv.Params{
		ProxyURL:       proxyURL,
		NoProxy:        noProxy(c),
		CAFile:         f.added,
		BundleFile:     f.bundle,
		TrustStoreFile: f.trustStore,
		WgetrcFile:     f.wgetrc,
		Placeholders:   placeholders(c.Set),
	}
}

// placeholders are the env_vars of the enabled rules; of two values for one name
// the first counts.
func placeholders(set *rules.Set) map[string]string {
	all := map[string]string{}
	for _, rule := range set.Rules() {
		for name, value := range rule.EnvVars {
			if _, taken := all[name]; !taken {
				all[name] = value
			}
		}
	}
	return all
}

// noProxy is the no_proxy of the policy as clients read it. They do not know
// *.internal.com, but .internal.com; an entry that they do not understand only
// means that they ask keybearer, which tunnels.
//
// This machine itself comes along unless a rule names it: a program's own
// development server is not reached through a proxy that refuses loopback.
func noProxy(c *config.Config) []string {
	var entries []string
	for _, entry := range c.Policy.NoProxy {
		if rest, ok := strings.CutPrefix(entry, "*."); ok {
			entry = "." + rest
		}
		entries = append(entries, entry)
	}
	for _, local := range []string{"localhost", "127.0.0.1", "::1"} {
		if !slices.Contains(entries, local) && !namedByRule(c.Set, local) {
			entries = append(entries, local)
		}
	}
	return entries
}

func namedByRule(set *rules.Set, host string) bool {
	for _, rule := range set.Rules() {
		for _, pattern := range rule.Hosts() {
			if pattern == "*" || strings.Contains(pattern, host) {
				return true
			}
		}
	}
	return false
}
