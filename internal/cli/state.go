package cli

import (
	"maps"
	"slices"
	"strings"
	"time"

	"keybearer/internal/config"
	"keybearer/internal/telemetry"
	"keybearer/rules"
	"keybearer/secrets"
)

// inForce is what the proxy acts by. It never changes.
type inForce struct {
	config *config.Config
	store  *secrets.Store
	loaded time.Time

	// certificates are those that rules show to upstreams: as they were loaded, since
	// that is what is shown, whatever the files are by now.
	certificates map[secrets.CertificateFiles]certificate
}

// certificate is until when one is valid, or why it cannot be used.
type certificate struct {
	until time.Time
	err   error
}

// newInForce is for what has just been loaded.
func newInForce(c *config.Config, store *secrets.Store) *inForce {
	f := &inForce{config: c, store: store, loaded: time.Now(), certificates: make(map[secrets.CertificateFiles]certificate)}
	for _, r := range c.Set.Rules() {
		if files, ok := certificateFiles(r); ok {
			loaded, err := files.Load()
			f.certificates[files] = certificate{loaded.NotAfter(), err}
		}
	}
	return f
}

// state is what the admin listener tells of it. Started is for secrets whose place
// keeps no time: they are what they were then.
func (f *inForce) state(started time.Time) telemetry.State {
	s := telemetry.State{
		Version: buildVersion(), Started: started, Loaded: f.loaded,
		Rules: []telemetry.RuleState{}, Secrets: []telemetry.SecretState{}, // as JSON no null
	}
	problems := make(map[string]string)
	direct := slices.Concat(f.config.Set.References(), f.config.Settings.UpstreamProxy.References())
	slices.Sort(direct)
	for _, name := range f.config.References() {
		since := f.store.Since(name)
		if since.IsZero() {
			since = started
		}
		secret := telemetry.SecretState{Name: name, Source: f.store.Describe(name), Modified: since}
		_, isDirect := slices.BinarySearch(direct, name)
		if err := f.problem(name, isDirect); err != nil {
			secret.Problem = err.Error()
			problems[name] = "secret " + name + " cannot be used"
		}
		s.Secrets = append(s.Secrets, secret)
	}
	for _, r := range f.config.Set.Rules() {
		s.Rules = append(s.Rules, f.ruleState(r, problems))
	}
	return s
}

// problem is why a secret cannot be used. Only what nothing but the fetching of others
// needs may have several lines.
func (f *inForce) problem(name string, isDirect bool) error {
	err := f.store.Now(name)
	if err == nil && isDirect && !f.store.Fetches(name) {
		_, err = f.store.Lookup(name)
	}
	return err
}

// transient is what may be usable now and not in a moment, or the other way round, with
// no reload between: a secret that is fetched, the client certificate of a rule.
type transient struct {
	name   string
	since  time.Time // it is the same
	usable bool
}

// transients tells of all that there are. It is cheap.
func (f *inForce) transients() (all []transient) {
	for _, name := range slices.Sorted(maps.Keys(f.config.Secrets.Named)) {
		if f.store.Fetches(name) {
			all = append(all, transient{name, f.store.Since(name), f.store.Now(name) == nil})
		}
	}
	if len(f.certificates) == 0 {
		return all
	}
	now := time.Now()
	for _, r := range f.config.Set.Rules() {
		if files, ok := certificateFiles(r); ok {
			all = append(all, transient{r.Name, f.loaded, !now.After(f.certificates[files].until)})
		}
	}
	return all
}

// ruleState tells of a rule. Problems are those of secrets, by their names.
func (f *inForce) ruleState(r *rules.Rule, problems map[string]string) telemetry.RuleState {
	s := telemetry.RuleState{
		Name: r.Name, Description: r.Description,
		Hosts: r.Hosts(), Paths: r.Paths(), Methods: r.Methods(),
		Injects: injects(r), Removes: r.Remove, Secrets: r.References(),
	}
	var why []string
	for _, name := range s.Secrets {
		if p := problems[name]; p != "" && !slices.Contains(why, p) {
			why = append(why, p)
		}
	}
	if files, ok := certificateFiles(r); ok {
		loaded := f.certificates[files]
		if s.Expires = loaded.until; loaded.err != nil {
			why = append(why, clientCertificate+": "+loaded.err.Error())
		}
	}
	s.Problem = strings.Join(why, ", ")
	s.Problem = s.ProblemAt(time.Now())
	return s
}
