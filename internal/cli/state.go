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
		s.Rules = append(s.Rules, ruleState(r, problems))
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

// fetched is what became of a secret that is fetched.
type fetched struct {
	name   string
	since  time.Time
	usable bool
}

// fetched tells of the secrets that are fetched. It is cheap.
func (f *inForce) fetched() (all []fetched) {
	for _, name := range slices.Sorted(maps.Keys(f.config.Secrets.Named)) {
		if f.store.Fetches(name) {
			all = append(all, fetched{name, f.store.Since(name), f.store.Now(name) == nil})
		}
	}
	return all
}

// ruleState tells of a rule. Problems are those of secrets, by their names.
func ruleState(r *rules.Rule, problems map[string]string) telemetry.RuleState {
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
		if _, err := files.Load(); err != nil {
			why = append(why, clientCertificate+": "+err.Error())
		}
	}
	s.Problem = strings.Join(why, ", ")
	return s
}
