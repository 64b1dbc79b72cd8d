package cli

import (
	"log/slog"
	"os"
	"slices"
	"strings"

	"keybearer/internal/config"
	"keybearer/proxy"
)

// reloader puts a new policy in force, or leaves the old one and says why.
type reloader struct {
	options *serveOptions
	started config.Settings
	proxy   *proxy.Proxy
	logger  *slog.Logger
}

func (r *reloader) reload() {
	if r.options.path == "-" || r.options.path == "" && os.Getenv("KEYBEARER_CONFIG") == "-" {
		r.logger.Error("not reloaded: the configuration came from standard input; restart, or use a file")
		return
	}
	c, err := r.options.load(nil, false)
	if err != nil {
		r.lines("not reloaded, the old configuration stays", err)
		return
	}
	store, err := findSecrets(c, r.options.environ)
	if err != nil {
		r.lines("not reloaded, the old configuration stays", err)
		return
	}
	for _, p := range c.Warnings {
		r.logger.Warn(p.String())
	}
	policy, err := newPolicy(c.Set, store)
	if err != nil {
		r.lines("a rule refuses its requests until its secrets are there and keybearer is reloaded", err)
	}
	r.proxy.SetPolicy(policy)
	r.logger.Info("reloaded", "rules", len(c.Set.Rules()))
	r.checkSettings(c.Settings)
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
		{"log_format", old.LogFormat != now.LogFormat},
		{"log_level", old.LogLevel != now.LogLevel},
	} {
		if setting.changed {
			r.logger.Warn("a changed setting takes effect at the next start", "setting", setting.name)
		}
	}
}
