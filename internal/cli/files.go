package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

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
	phpIni     string
	aptConf    string
}

// filesOf are the files for the clients of serve.
func filesOf(s config.Settings) clientFiles {
	if s.ClientDir != "" {
		return filesIn(s.ClientDir)
	}
	return filesIn(s.CADir)
}

func filesIn(dir string) clientFiles {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs // clients change their directory
	}
	return filesAt(dir, filepath.Join)
}

func filesAt(dir string, join func(...string) string) clientFiles {
	return clientFiles{
		ca:         join(dir, "ca.pem"), // certs writes the same beside a persisted authority
		added:      join(dir, "added.pem"),
		bundle:     join(dir, "bundle.pem"),
		trustStore: join(dir, "truststore.p12"),
		wgetrc:     join(dir, "wgetrc"),
		phpIni:     join(dir, "keybearer.ini"),
		aptConf:    join(dir, "apt.conf"),
	}
}

// mounted is the directory in which clients find their files, when that is not
// where keybearer writes them: another container mounts them elsewhere.
type mounted string

func (m *mounted) register(cmd *cobra.Command) {
	cmd.Flags().StringVar((*string)(m), "mounted-at", "", "clients find their certificates in `DIR`, as a container may")
}

// seen returns f as clients find it.
func (m mounted) seen(f clientFiles) clientFiles {
	switch {
	case m == "":
		return f
	case path.IsAbs(string(m)):
		return filesAt(string(m), path.Join) // in a container it is /, whatever it is here
	}
	return filesIn(string(m))
}

// write writes them, unless they are there and still right. Extra are more roots
// that clients shall trust, as PEM; seen is where clients find the files.
func (f clientFiles) write(a *certs.Authority, extra []byte, seen clientFiles) error {
	bundle, err := bundle(a, extra)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(f.ca), 0o755); err != nil {
		return err
	}
	wgetrc, err := os.ReadFile("/etc/wgetrc")
	if err != nil {
		wgetrc = nil // wget would have read it; without one there is nothing to keep
	}
	err = errors.Join(
		replaceFile(f.ca, a.PEM()),
		replaceFile(f.wgetrc, clientenv.Wgetrc(seen.bundle, wgetrc)),
		replaceFile(f.phpIni, clientenv.PHPIni(seen.bundle)),
		replaceFile(f.aptConf, clientenv.APTConf(seen.bundle)),
		replaceFile(f.added, certs.Bundle(a, nil, extra)))
	if err != nil {
		return err
	}
	if _, err := os.Stat(f.trustStore); err == nil {
		if holds(f.bundle, bundle) {
			return nil
		}
	}
	trustStore, err := clientenv.TrustStore(bundle)
	if err != nil {
		return err
	}
	// The bundle last: see above.
	return errors.Join(
		replaceFile(f.trustStore, trustStore),
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
// either the old file or the new one. What is the same it leaves alone, also where
// it could not write.
func replaceFile(path string, data []byte) error {
	if holds(path, data) {
		return nil
	}
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

// holds reports whether the file at path is data. It reads no more than that, and not
// from a pipe: client_dir may be one that a client has written to.
func holds(path string, data []byte) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(data)) {
		return false
	}
	present, err := os.ReadFile(path)
	return err == nil && bytes.Equal(present, data)
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
		PHPIniFile:     f.phpIni,
		APTConfFile:    f.aptConf,
		Placeholders:   placeholders(c.Set),
	}
}

// placeholders are those of the enabled rules, as far as a variable can have the name of
// the secret, and their env_vars; of two values for one name the first counts.
func placeholders(set *rules.Set) map[string]string {
	all := set.Placeholders()
	maps.DeleteFunc(all, func(name, _ string) bool { return !isVariableName(name) })
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
