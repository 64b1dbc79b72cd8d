package soak

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// version is a policy whose two fields say which one a request was given.
func version(v string) string {
	return strings.ReplaceAll(policy, "}\n", fmt.Sprintf(", X-First: %s, X-Second: %s}\n", v, v))
}

// replace puts a file in the place of another in one step.
func (k *keybearer) replace(name, content string) {
	k.t.Helper()
	k.write(name+".new", content)
	if err := os.Rename(k.file(name+".new"), k.file(name)); err != nil {
		k.t.Fatal(err)
	}
}

// clients are some that make one request after the other until stop.
func (k *keybearer) clients(t *testing.T, stop <-chan struct{}) *sync.WaitGroup {
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Go(func() {
			k.once(i%2 == 0, func(c *http.Client) {
				for {
					select {
					case <-stop:
						return
					default:
						expect(t, c, "https://api.test/", 200, "ok")
					}
				}
			})
		})
	}
	return &clients
}

// With a hundred reloads a second, each request is served, and by one whole policy.
// seen red: proxy.go SetPolicy, an empty policy first.
func TestFaultReloadStorm(t *testing.T) {
	storm := 2 * time.Second
	if *long {
		storm = 30 * time.Second
	}
	up := newUpstream()
	var seen [2]atomic.Int64
	up.expect(func(r *http.Request) bool {
		first, second := r.Header.Get("X-First"), r.Header.Get("X-Second")
		if first == "a" {
			seen[0].Add(1)
		} else if first == "b" {
			seen[1].Add(1)
		}
		return r.Header.Get("X-Key") == canary && first == second && (first == "a" || first == "b")
	})
	k := inFront(t, up, func(o *options) { o.config = version("a") })
	before := k.warm(up)
	stop := make(chan struct{})
	clients := k.clients(t, stop)
	begin, reloads := time.Now(), 0
	for tick := time.NewTicker(10 * time.Millisecond); time.Since(begin) < storm; <-tick.C {
		k.replace("keybearer.yaml", version([]string{"b", "a"}[reloads%2]))
		k.signal(syscall.SIGHUP)
		reloads++
	}
	close(stop)
	clients.Wait()
	done := strings.Count(k.log.String(), "msg=reloaded")
	if a, b := seen[0].Load(), seen[1].Load(); a == 0 || b == 0 || done < reloads/4 {
		t.Errorf("%d and %d requests by the policies, %d signals, %d reloads", a, b, reloads, done)
	}
	t.Logf("%d requests, %d signals, %d reloads", up.requests.Load(), reloads, done)
	k.settles(before, up.dropIdle, localhost)
}

// A configuration that is written in pieces, emptied, replaced by a directory or gone
// changes nothing; when it is whole again it is in force.
// seen red: reload.go load, an empty policy for a file of a few bytes.
func TestFaultHalfWrittenConfiguration(t *testing.T) {
	up := newUpstream()
	k := inFront(t, up, func(o *options) { o.config = version("old") })
	var now atomic.Value
	now.Store("old")
	up.expect(func(r *http.Request) bool {
		first := r.Header.Get("X-First")
		return r.Header.Get("X-Key") == canary && first == r.Header.Get("X-Second") && (first == "old" || first == now.Load())
	})
	before := k.warm(up)
	stop := make(chan struct{})
	clients := k.clients(t, stop)
	config, rejected := k.file("keybearer.yaml"), 0
	refused := func() {
		k.signal(syscall.SIGHUP)
		rejected++
		k.awaitLog("msg=\"not reloaded, the old configuration stays\"", rejected)
	}
	whole := version("old")
	for _, length := range []int{0, 1, len("rules:"), len(whole) / 3, len(whole) / 2, len(whole) - 3} {
		k.write("keybearer.yaml", whole[:length])
		refused()
	}
	os.Remove(config)
	refused()
	os.Mkdir(config, 0o700)
	refused()
	os.Remove(config)
	os.Symlink("nowhere", config)
	refused()
	os.Remove(config)
	now.Store("new")
	reloads := strings.Count(k.log.String(), "msg=reloaded")
	k.replace("keybearer.yaml", version("new")) // seen without a signal
	k.awaitLog("msg=reloaded", reloads+1)
	close(stop)
	clients.Wait()
	up.expect(func(r *http.Request) bool { return r.Header.Get("X-First") == "new" })
	k.undisturbed(t)
	k.settles(before, up.dropIdle, localhost)
}

// While the file of a secret is away, its rule refuses; nothing goes out without it, or
// with the old one. When it is back, with another value, that is sent.
// seen red: reload.go load, the old policy kept.
func TestFaultSecretVanishes(t *testing.T) {
	up := newUpstream()
	var key atomic.Value
	key.Store(canary)
	up.expect(func(r *http.Request) bool { return r.Header.Get("X-Key") == key.Load() })
	k := inFront(t, up, func(o *options) {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/API_KEY", []byte(canary), 0o600); err != nil {
			t.Fatal(err)
		}
		o.args = append(o.args, "--secrets-dir", dir)
		o.env = append(o.env, "API_KEY=", "SECRETS="+dir)
	})
	secret := strings.TrimPrefix(k.cmd.Env[len(k.cmd.Env)-1], "SECRETS=") + "/API_KEY"
	before := k.warm(up)
	for round := range 3 {
		if err := os.Remove(secret); err != nil {
			t.Fatal(err)
		}
		k.awaitLog("a rule refuses its requests until its secrets are there", round+1)
		requests := up.requests.Load()
		overBoth(t, k, func(t *testing.T, c *http.Client) {
			expect(t, c, "https://api.test/", 502, "keybearer: a secret of the rule is not available")
			expect(t, c, "https://direct.test/", 200, "ok")
		})
		if got := up.requests.Load(); got != requests+2 {
			t.Errorf("%d requests reached the upstream without a secret", got-requests-2)
		}
		value := fmt.Sprint(canary, "-", round)
		key.Store(value)
		if err := os.WriteFile(secret, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "the secret is back", func() (back bool) {
			k.once(false, func(c *http.Client) {
				status, _, _ := fetch(c, "https://api.test/")
				back = status == 200
			})
			return back
		})
		k.undisturbed(t)
	}
	k.settles(before, up.dropIdle, localhost)
}
