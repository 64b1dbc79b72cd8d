package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"keybearer/internal/config"
	"keybearer/proxy"
	"keybearer/secrets"
)

// reloader puts a new policy in force, or leaves the old one and says why.
type reloader struct {
	overview
	options *serveOptions
	started config.Settings
	config  *config.Config                // the newest that is valid
	store   atomic.Pointer[secrets.Store] // for the credentials of upstream_proxy
	secrets *secrets.Store                // the newest
	found   sourcing                      // how
	watch   *watch
	manager manager
	logger  *slog.Logger
	once    bool // the configuration cannot be read again
	warned  bool // that changes may go unseen
}

// inputs are the files that a policy is made of.
func inputs(c *config.Config) []string {
	var files []string
	if c.File != "-" {
		files = append(files, c.File)
	}
	if c.Secrets.EnvFile != "" {
		files = append(files, c.Secrets.EnvFile)
	}
	if c.Secrets.Dir != "" {
		files = append(files, c.Secrets.Dir)
	}
	for _, rule := range c.Set.Rules() {
		if certificate, ok := certificateFiles(rule); ok {
			files = append(files, certificate.Cert, certificate.Key)
		}
	}
	for _, name := range c.References() {
		source, named := c.Secrets.Named[name]
		switch {
		case source.File != "":
			files = append(files, source.File)
		case !named && c.Secrets.Dir != "": // it may turn up there
			files = append(files, filepath.Join(c.Secrets.Dir, name))
		}
	}
	return files
}

// begin makes the first policy, which has to be without problems, and finds the
// proxy on the way to the upstreams. Then it takes the secrets out of the
// environment.
func (r *reloader) begin() (*proxy.Policy, *proxy.UpstreamProxy, error) {
	c := r.config
	r.once = isStream(c.File)
	r.follow()
	provided, err := provide(c, r.options.resolve, r.options.environ, r.logger)
	if err != nil {
		return nil, nil, err
	}
	if provided.via != nil {
		provided.via.Lookup = r.lookup
	}
	r.store.Store(provided.store)
	r.via = provided.via
	r.inForce.Store(newInForce(c, provided.store))
	r.secrets, r.found = provided.store, provided.sourcing
	forget(provided.store, c.References())
	return provided.policy, provided.via, nil
}

// lookup finds a secret of upstream_proxy, which asks at each use.
func (r *reloader) lookup(name string) (secrets.Value, error) { return r.store.Load().Lookup(name) }

// reloadChanged reloads if one of the files is other than it was.
func (r *reloader) reloadChanged() {
	if r.watch.look() {
		r.load()
	}
}

// reload does so whether or not a change was seen.
func (r *reloader) reload() {
	r.watch.look()
	if r.once {
		r.logger.Warn("only secrets are read again: the configuration came from standard input or a pipe; restart, or use a file")
	}
	r.load()
}

// isStream reports whether a configuration is gone once it was read, as that of
// --config <(COMMAND) is.
func isStream(file string) bool {
	info, err := os.Stat(file)
	return file == "-" || err == nil && !info.Mode().IsRegular()
}

// load puts in force what configuration and secrets say now, unless they are wrong.
func (r *reloader) load() {
	r.manager.reloading()
	defer r.manager.ready()
	c, err := r.read()
	if err == nil {
		err = r.options.checkListen(c, r.address) // client_auth may be gone
	}
	if err != nil {
		r.reject(err)
		return
	}
	r.config = c
	r.follow()
	r.found.after = r.secrets
	store, err := r.found.find(c)
	if err != nil {
		r.reject(err)
		return
	}
	for _, p := range c.Warnings {
		r.logger.Warn(p.String())
	}
	for _, w := range certificateWarnings(c.Set) {
		r.logger.Warn(w)
	}
	store.Prefetch(c.References())
	policy, err := newPolicy(c.Set, store)
	if err != nil {
		r.lines("a rule refuses its requests until its secrets are there", err)
	}
	if c.Settings.UpstreamProxy.Equal(r.started.UpstreamProxy) { // else the one in use goes on with what it has
		r.store.Store(store)
	}
	r.proxy.SetPolicy(policy)
	r.secrets.Retire(store)
	r.secrets = store
	r.logger.Info("reloaded", "rules", len(c.Set.Rules()))
	r.admin.reloaded(true)
	r.enforce(newInForce(c, store))
	r.checkSettings(c.Settings)
}

// read reads the configuration again, if it can be.
func (r *reloader) read() (*config.Config, error) {
	if r.once {
		return r.config, nil
	}
	return r.options.load(nil, false)
}

// follow watches the files of the configuration, and says once if changes of them
// may go unseen. It comes before secrets are read, so that no change is missed.
func (r *reloader) follow() {
	r.watch.follow(inputs(r.config))
	if err := r.watch.blind; err != nil && !r.warned {
		r.warned = true
		r.logger.Warn("not every change of configuration and secrets will be noticed; send SIGHUP after one", "problem", err.Error())
	}
}

// lines logs an error that lists several things, one a line.
func (r *reloader) lines(message string, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		r.logger.Error(message, "problem", line)
	}
}

// checkSettings says which settings are other than at the start. The policy has
// taken unmatched_hosts along, and the secrets their places.
func (r *reloader) checkSettings(now config.Settings) {
	old := r.started
	for _, setting := range []struct {
		name    string
		changed bool
	}{
		{"listen", old.Listen != now.Listen},
		{"allow_private", !slices.Equal(old.AllowPrivate, now.AllowPrivate)},
		{"ca_dir", old.CADir != now.CADir},
		{"client_dir", old.ClientDir != now.ClientDir},
		{"upstream_ca", old.UpstreamCA != now.UpstreamCA},
		{"upstream_proxy", !old.UpstreamProxy.Equal(now.UpstreamProxy)},
		{"drain", old.Drain != now.Drain},
		{"admin", old.Admin != now.Admin},
		{"access_log", old.AccessLog != now.AccessLog},
		{"log_format", old.LogFormat != now.LogFormat},
		{"log_level", old.LogLevel != now.LogLevel},
	} {
		if setting.changed {
			r.logger.Warn("a changed setting takes effect at the next start", "setting", setting.name)
		}
	}
}
