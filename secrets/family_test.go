package secrets

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fortune is a TargetFetcher that answers with the target and a number.
type fortune struct {
	teller
	target string
}

func (f fortune) For(target string) Fetcher {
	f.target = target
	return f
}

func (f fortune) Fetch(ctx context.Context, a Access) (Fetched, error) {
	got, err := f.teller.Fetch(ctx, a)
	got.Text = f.target + " " + got.Text
	return got, err
}

func lookupFor(t *testing.T, st *Store, target string) string {
	t.Helper()
	v, err := st.LookupFor("TOKEN", target)
	if err != nil {
		return "error: " + err.Error()
	}
	return v.Reveal()
}

// A secret for each target is fetched when it is needed, kept for its lifetime and not
// renewed before somebody asks; one that is refused is fetched anew for its target.
//
// seen red: member without retired; ReplaceFor returning false; settle without retired.
func TestFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: numbered(time.Hour)}
		var told []error
		st := open(t, Sources{
			Named:  map[string]Source{"TOKEN": {Fetch: fortune{teller: teller{script: s}}}},
			Notice: func(_ string, err error) { told = append(told, err) },
		})
		if !st.Fetches("TOKEN") || !st.PerTarget("TOKEN") || st.Check("TOKEN") != nil {
			t.Error("it is not known for what it is")
		}
		st.Prefetch([]string{"TOKEN"})
		synctest.Wait()
		s.want(t, 0)
		for range 3 {
			if a, b := lookupFor(t, st, "a:443"), lookupFor(t, st, "b:443"); a != "a:443 token-1" || b != "b:443 token-2" {
				t.Fatalf("%q, %q", a, b)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		s.want(t, 2)
		if got := lookupFor(t, st, "a:443"); got != "a:443 token-3" {
			t.Errorf("an hour later: %q", got)
		}
		v, _ := st.LookupFor("TOKEN", "a:443")
		if !st.ReplaceFor("TOKEN", "a:443", v) || lookupFor(t, st, "a:443") != "a:443 token-4" {
			t.Errorf("after a refusal: %q", lookupFor(t, st, "a:443"))
		}
		s.set(broken)
		got := lookupFor(t, st, "c:443")
		synctest.Wait() // it is told when nobody waits any more
		if !strings.HasPrefix(got, "error: ") || len(told) != 1 || told[0] == nil {
			t.Errorf("%q, told %v", got, told)
		}
	})
}

// However many targets a client names, no more than so many are kept.
//
// seen red: member without the bound.
func TestFamilyBounded(t *testing.T) {
	s := &script{answer: numbered(0)}
	st := open(t, Sources{Named: map[string]Source{"TOKEN": {Fetch: fortune{teller: teller{script: s}}}}})
	for n := range 2 * maxTargets {
		lookupFor(t, st, fmt.Sprintf("h%d:443", n))
	}
	if n := len(st.named["TOKEN"].(*family).members); n != maxTargets {
		t.Errorf("%d targets are kept", n)
	}
}

// A reload keeps what was fetched for each target, apart from what failed and what was
// fetched with another secret.
//
// seen red: takeOver without families; family.adopt without digest.
func TestFamilyReload(t *testing.T) {
	s := &script{answer: numbered(0)}
	next := func(key string, before *Store) *Store {
		return open(t, Sources{
			Environ: []string{"KEY=" + key}, After: before,
			Named: map[string]Source{"TOKEN": {Fetch: fortune{teller: teller{needs: "KEY", script: s}}}},
		})
	}
	first := next("a", nil)
	lookupFor(t, first, "a:443")
	s.set(func(context.Context, int, Access) (Fetched, error) { return Fetched{}, errors.New("no") })
	lookupFor(t, first, "b:443")
	s.set(numbered(0))
	second := next("a", first)
	first.Retire(second)
	if a, b := lookupFor(t, second, "a:443"), lookupFor(t, second, "b:443"); a != "a:443 token-1" || b != "b:443 token-3" {
		t.Errorf("%q, %q", a, b)
	}
	if got := lookupFor(t, next("b", second), "a:443"); got != "a:443 token-4" {
		t.Errorf("with another key: %q", got)
	}
}
