package cli

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keybearer/certs"
	"keybearer/internal/config"
	"keybearer/proxy"
	"keybearer/secrets"
)

// The admin listener of a run knows the rules and where the run's proxy listens.
//
// seen red: attend without tell.
func TestAttendTells(t *testing.T) {
	c, store, authority := loaded(t, "rules: [{name: a, match_hosts: [a.example.com], inject_headers: {X-A: a}}]")
	v := &overview{proxy: &proxy.Proxy{Authority: authority, Emit: func(proxy.Record) {}}, address: "127.0.0.1:3128"}
	v.inForce.Store(newInForce(c, store))
	var err error
	v.admin, err = openAdmin("unix:"+filepath.Join(t.TempDir(), "admin.sock"), v.proxy, func() uint64 { return 0 }, v.explainRecord)
	if err != nil {
		t.Fatal(err)
	}
	defer v.admin.close()
	go v.attend() // as long as the process
	state := v.admin.recent.State()
	for deadline := time.Now().Add(5 * time.Second); len(state.Rules) == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		state = v.admin.recent.State()
	}
	if len(state.Rules) != 1 || state.Rules[0].Name != "a" || state.Listen != v.address {
		t.Errorf("told %+v", state)
	}
}

// loaded is a configuration with its secrets, and an authority.
func loaded(t *testing.T, text string) (*config.Config, *secrets.Store, *certs.Authority) {
	t.Helper()
	c, err := config.Load(config.Options{Path: "-", Stdin: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	store, err := sourcing{environ: []string{}}.find(c)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := certs.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, store, authority
}
