package cli

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"keybearer/internal/config"
	"keybearer/secrets"
)

// Where the kernel does not tell whose a connection is, the proxy of a run wants
// the password that is in its URL, and nobody else has.
func TestRunWithPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keybearer.yaml")
	if err := os.WriteFile(file, []byte("unmatched_hosts: deny\nclient_auth: {username: a, password: b}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Options{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	owner := ownUserOnly(c, false)
	logs, err := openLogs(new(cobra.Command), c)
	if err != nil {
		t.Fatal(err)
	}
	defer logs.close()
	s, err := new(runOptions).open(c, logs, owner)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	policy, err := newPolicy(c.Set, openNone(t))
	if err != nil {
		t.Fatal(err)
	}
	s.proxy.SetPolicy(policy)
	go s.proxy.Serve(s.listener)

	other, _ := url.Parse(s.url())
	other.User = url.UserPassword("a", "b")
	nobody, _ := url.Parse(s.url())
	nobody.User = nil
	for _, test := range []struct {
		name, proxy string
		want        int
	}{
		{"its own URL", s.url(), http.StatusForbidden}, // all hosts are denied, which is as far as it goes
		{"the credentials of client_auth", other.String(), http.StatusProxyAuthRequired},
		{"none", nobody.String(), http.StatusProxyAuthRequired},
	} {
		t.Run(test.name, func(t *testing.T) {
			proxy, err := url.Parse(test.proxy)
			if err != nil {
				t.Fatal(err)
			}
			client := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}
			resp, err := client.Get("http://api.invalid/")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != test.want {
				t.Errorf("status %d, want %d", resp.StatusCode, test.want)
			}
		})
	}
}

// Where the kernel tells, it is asked, and no password is in anybody's way.
func TestRunAsksTheKernel(t *testing.T) {
	c := &config.Config{}
	o := ownUserOnly(c, true)
	if o.admit == nil || o.password != nil || c.Policy.ClientAuth != nil {
		t.Errorf("%+v, client_auth %v", o, c.Policy.ClientAuth)
	}
}

func openNone(t *testing.T) *secrets.Store {
	t.Helper()
	store, err := secrets.Open(secrets.Sources{Environ: []string{"NONE="}})
	if err != nil {
		t.Fatal(err)
	}
	return store
}
