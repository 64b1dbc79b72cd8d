package cli

import (
	"slices"
	"sync/atomic"
	"time"

	"keybearer/certs"
	"keybearer/internal/telemetry"
	"keybearer/proxy"
)

// overview is what the admin listener is told of, and asks about in goroutines of its
// own. The methods are one goroutine's, apart from explainRecord.
type overview struct {
	admin    *adminListener // nil: off
	proxy    *proxy.Proxy
	address  string               // where it listens, whatever the configuration says by now
	via      *proxy.UpstreamProxy // nil: none
	inForce  atomic.Pointer[inForce]
	since    time.Time // of the process
	rejected []string  // why the newest configuration is not in force
	draining bool
	told     []transient // what it was told of them
}

// attend serves the admin listener where nothing but time changes what it is told.
func (v *overview) attend() {
	if v.admin == nil {
		return
	}
	v.tell()
	v.admin.serve()
	for range v.look() { // as long as the process
		v.lookAgain()
	}
}

// explainRecord is for the admin page.
func (v *overview) explainRecord(record proxy.Record) telemetry.Explanation {
	now := v.inForce.Load()
	e := explainer{config: now.config, set: now.config.Set, store: now.store, via: v.via}.explainRecord(record)
	e.Reloaded = now.loaded.After(record.Start)
	return e
}

// tell tells the admin listener what is in force, and why that is not the newest
// configuration.
func (v *overview) tell() {
	if v.admin == nil {
		return
	}
	v.told = v.inForce.Load().transients()
	s := v.inForce.Load().state(v.since)
	s.Listen, s.Rejected, s.Draining = v.address, v.rejected, v.draining
	s.AuthorityExpires = expiry(v.proxy.Authority)
	v.admin.setState(s)
}

// lookTime is how often it is looked whether what has an end can still be used.
const lookTime = time.Second

// look returns what says when to call lookAgain; it never does if nobody is told.
func (v *overview) look() <-chan time.Time {
	if v.admin == nil {
		return nil
	}
	return time.Tick(lookTime)
}

// lookAgain tells the admin listener of secrets that were fetched anew, and of secrets and
// certificates that have expired.
func (v *overview) lookAgain() {
	if !slices.Equal(v.told, v.inForce.Load().transients()) {
		v.tell()
	}
}

// expiry is when the first of an authority's certificates expires.
func expiry(a *certs.Authority) (first time.Time) {
	for _, c := range a.Certificates() {
		if first.IsZero() || c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}
