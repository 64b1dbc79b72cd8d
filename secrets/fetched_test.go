package secrets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// teller is a Fetcher that does as it is told. Two with the same id and the same
// answers are equal.
type teller struct {
	id     string
	needs  string // the name of a secret; "" = none
	script *script
}

type script struct {
	mu     sync.Mutex
	calls  int
	answer func(ctx context.Context, call int, a Access) (Fetched, error)
}

func (s *script) set(answer func(ctx context.Context, call int, a Access) (Fetched, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *script) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (f teller) Fetch(ctx context.Context, a Access) (Fetched, error) {
	f.script.mu.Lock()
	f.script.calls++
	call, answer := f.script.calls, f.script.answer
	f.script.mu.Unlock()
	return answer(ctx, call, a)
}

func (f teller) References() []string {
	if f.needs == "" {
		return nil
	}
	return []string{f.needs}
}

func (f teller) String() string { return "teller " + f.id }

// numbered answers token-1, token-2 and so on, each good for a time.
func numbered(lifetime time.Duration) func(context.Context, int, Access) (Fetched, error) {
	return func(_ context.Context, call int, _ Access) (Fetched, error) {
		return Fetched{Text: fmt.Sprintf("token-%d", call), Lifetime: lifetime}, nil
	}
}

func broken(context.Context, int, Access) (Fetched, error) {
	return Fetched{}, errors.New("the server said " + canary)
}

// tell opens a store with one fetched secret, TOKEN.
func tell(t *testing.T, answer func(context.Context, int, Access) (Fetched, error)) (*Store, *script) {
	s := &script{answer: answer}
	st := open(t, Sources{Named: map[string]Source{"TOKEN": {Fetch: teller{script: s}}}, Environ: []string{}})
	t.Cleanup(func() { st.Retire(nil) })
	return st, s
}

func (s *script) want(t *testing.T, calls int) {
	t.Helper()
	if got := s.count(); got != calls {
		t.Errorf("fetched %d times, want %d", got, calls)
	}
}

func wantValue(t *testing.T, st *Store, want string) {
	t.Helper()
	if got := lookup(t, st, "TOKEN"); got != want {
		t.Errorf("TOKEN = %q, want %q", got, want)
	}
}

// Whoever needs the secret at once waits for one fetch, and all get the same Value.
//
// seen red: start without the look at flight.
func TestFetchedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, s := tell(t, func(ctx context.Context, call int, a Access) (Fetched, error) {
			time.Sleep(time.Second)
			return Fetched{Text: "token"}, nil
		})
		var values [20]Value
		var group sync.WaitGroup
		for i := range values {
			group.Go(func() { values[i], _ = st.Lookup("TOKEN") })
		}
		group.Wait()
		s.want(t, 1)
		for _, v := range values {
			if v != values[0] || v.Reveal() != "token" {
				t.Fatalf("%q is not the Value of the others", v.Reveal())
			}
		}
		time.Sleep(1000 * time.Hour) // without a lifetime it stays
		wantValue(t, st, "token")
		s.want(t, 1)
	})
}

// A secret is renewed before it expires, whether or not somebody asks.
//
// seen red: settle without plan; maxAhead of zero.
func TestFetchedAheadOfTime(t *testing.T) {
	for lifetime, ahead := range map[time.Duration]time.Duration{
		time.Minute: 12 * time.Second, 10 * time.Minute: 2 * time.Minute, time.Hour: 5 * time.Minute, 24 * time.Hour: 5 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			st, s := tell(t, numbered(lifetime))
			wantValue(t, st, "token-1")
			time.Sleep(lifetime - ahead - time.Nanosecond)
			synctest.Wait()
			s.want(t, 1)
			time.Sleep(2 * time.Nanosecond)
			synctest.Wait()
			s.want(t, 2)
			wantValue(t, st, "token-2")
			st.Retire(nil)
		})
	}
}

// While it cannot be renewed the old value is used until it has expired, and not
// longer. Attempts become rarer, look-ups do not add any, and it comes back by itself.
//
// seen red: usable without expires; current without resume; settle without plan after
// a failure; Notice not called.
func TestFetchedOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answer: numbered(10 * time.Minute)}
		var told []error
		st := open(t, Sources{
			Named: map[string]Source{"TOKEN": {Fetch: teller{script: s}}}, Environ: []string{},
			Notice: func(name string, err error) { told = append(told, err) },
		})
		wantValue(t, st, "token-1")
		s.set(broken)
		time.Sleep(10*time.Minute - time.Nanosecond)
		synctest.Wait()
		wantValue(t, st, "token-1")
		if calls := s.count(); calls < 5 || calls > 10 {
			t.Errorf("%d attempts in two minutes", calls-1)
		}
		time.Sleep(time.Nanosecond)
		for range 1000 {
			if got := lookup(t, st, "TOKEN"); !strings.HasPrefix(got, "error: ") || strings.Contains(got, canary) {
				t.Fatalf("TOKEN = %q after its end", got)
			}
		}
		if calls := s.count(); calls > 10 {
			t.Errorf("look-ups led to fetches, %d by now", calls)
		}
		s.set(numbered(time.Hour))
		time.Sleep(maxPause)
		synctest.Wait()
		wantValue(t, st, fmt.Sprintf("token-%d", s.count()))
		if len(told) != 2 || told[0] == nil || told[1] != nil {
			t.Errorf("told %v, want one failure and its end", told)
		}
		st.Retire(nil)
	})
}

// What no upstream takes any more is fetched again, once for all who say so, and then
// not for a while, whatever comes back.
//
// seen red: replace without refused; settle without before.value for the same text.
func TestFetchedReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, s := tell(t, numbered(0))
		first, _ := st.Lookup("TOKEN")
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if !st.Replace("TOKEN", first) {
					t.Error("no other value")
				}
			})
		}
		group.Wait()
		s.want(t, 2)
		second, _ := st.Lookup("TOKEN")
		if st.Replace("TOKEN", second) || s.count() != 2 {
			t.Errorf("fetched %d times within a moment", s.count())
		}
		time.Sleep(refusalPause)
		s.set(func(context.Context, int, Access) (Fetched, error) { return Fetched{Text: "token-2"}, nil })
		if st.Replace("TOKEN", second) || s.count() != 3 {
			t.Errorf("the same text counts as another value, or was not asked for (%d)", s.count())
		}
		if third, _ := st.Lookup("TOKEN"); third != second {
			t.Error("the same text is another Value")
		}
		time.Sleep(refusalPause)
		s.set(broken)
		if st.Replace("TOKEN", second) {
			t.Error("a failure counts as another value")
		}
		wantValue(t, st, "token-2") // it may have been refused for another reason
	})
}

// Whatever a fetch brings that is no secret is an error that says why, without a byte
// of it.
//
// seen red: fetchReason with the text of any error; fetch without usable.
func TestFetchedBad(t *testing.T) {
	big := strings.Repeat(canary, maxSecret/len(canary)+1)
	for name, tt := range map[string]struct {
		got  Fetched
		err  error
		want string
	}{
		"empty":             {want: "empty; "},
		"newline only":      {got: Fetched{Text: "\n"}, want: "empty; "},
		"huge":              {got: Fetched{Text: big}, want: "larger than 64 KiB; "},
		"two lines":         {got: Fetched{Text: canary + "\nX-Evil: 1"}, want: "contains a line break"},
		"NUL":               {got: Fetched{Text: canary + "\x00"}, want: "contains a line break or another control byte"},
		"expired":           {got: Fetched{Text: canary, Lifetime: -1}, want: "has expired already; "},
		"unknown error":     {err: errors.New(canary), want: "did not answer as it should; "},
		"problem":           {err: fmt.Errorf("%s: %w", canary, Problem("no; say yes")), want: "no; say yes"},
		"a name":            {err: fmt.Errorf("%s: %w", canary, &net.DNSError{Name: "vault.test", Err: canary}), want: "vault.test does not resolve; "},
		"refused":           {err: &net.OpError{Op: canary, Err: errors.New(canary)}, want: "cannot be reached; "},
		"panic":             {err: nil, want: "keybearer made an error"},
		"slow":              {err: context.DeadlineExceeded, want: "did not answer within 10s; "},
		"needs what is not": {err: &Error{"OTHER", "environment variable OTHER", "not set; set it"}, want: "needs secret OTHER: environment variable OTHER: not set; "},
	} {
		synctest.Test(t, func(t *testing.T) {
			st, _ := tell(t, func(ctx context.Context, _ int, _ Access) (Fetched, error) {
				switch name {
				case "panic":
					panic(canary)
				case "slow":
					<-ctx.Done()
				}
				return tt.got, tt.err
			})
			got := lookup(t, st, "TOKEN")
			if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, tt.want) || strings.Contains(got, canary[:8]) {
				t.Errorf("%s: %q, want %q", name, got, tt.want)
			}
			st.Retire(nil)
		})
	}
}

// A store that takes the place of another takes over what was fetched, if it comes
// from the same place: a reload does not ask every server anew. What goes into it and
// is another secret now has it fetched in the background; what is no longer there is
// left alone.
//
// seen red: takeOver without the old entry; adopt without digest; Retire without next.
func TestFetchedReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slowly := func(ctx context.Context, call int, a Access) (Fetched, error) {
			time.Sleep(time.Second)
			return numbered(time.Hour)(ctx, call, a)
		}
		same, other, gone := &script{answer: slowly}, &script{answer: numbered(time.Hour)}, &script{answer: numbered(time.Hour)}
		sources := func(key, id string) Sources {
			return Sources{Environ: []string{"KEY=" + key}, Named: map[string]Source{
				"TOKEN": {Fetch: teller{needs: "KEY", script: same}}, "OTHER": {Fetch: teller{id: id, script: other}},
			}}
		}
		first := sources("a", "1")
		first.Named["GONE"] = Source{Fetch: teller{script: gone}}
		st := open(t, first)
		st.Prefetch([]string{"TOKEN", "OTHER", "GONE", "KEY"})
		time.Sleep(time.Second)
		synctest.Wait()
		next := sources("a", "2")
		next.After = st
		again := open(t, next)
		st.Retire(again)
		wantValue(t, again, "token-1")
		if got := lookup(t, again, "OTHER"); got != "token-2" { // other settings
			t.Errorf("OTHER = %q", got)
		}
		synctest.Wait()
		same.want(t, 1)

		next = sources("b", "2")
		next.After = again
		third := open(t, next)
		again.Retire(third)
		wantValue(t, third, "token-1") // at once
		time.Sleep(time.Second)
		synctest.Wait()
		wantValue(t, third, "token-2")
		time.Sleep(time.Hour)
		synctest.Wait()
		same.want(t, 3)
		other.want(t, 3)
		gone.want(t, 1)
		third.Retire(nil)
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		same.want(t, 3)
	})
}

// What cannot be renewed is tried again after a reload, without waiting.
//
// seen red: adopt without resume.
func TestFetchedReloadTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, s := tell(t, broken)
		lookup(t, st, "TOKEN")
		s.set(numbered(0))
		again := open(t, Sources{Named: map[string]Source{"TOKEN": {Fetch: teller{script: s}}}, After: st})
		wantValue(t, again, "token-2")
		again.Retire(nil)
	})
}

// A fetcher gets the secrets that it refers to, several lines of them too, the state
// it left, and the environment. Nothing is fetched to describe or check it, or to know
// which variables give it away.
//
// seen red: text with usable; Check with Lookup; EnvNames without Needs.
func TestFetchedAccess(t *testing.T) {
	const key = "-----BEGIN KEY-----\n" + canary + "\n-----END KEY-----"
	var got []string
	s := &script{answer: func(_ context.Context, call int, a Access) (Fetched, error) {
		text, err := a.Lookup("KEY")
		got = append(got, text, a.State, strings.Join(a.Environ, ","))
		return Fetched{Text: fmt.Sprint("token-", call), State: "kept"}, err
	}}
	sources := Sources{Named: map[string]Source{"TOKEN": {Fetch: teller{needs: "KEY", script: s}}}, Environ: []string{"KEY=" + key, "OTHER=x"}}
	st := open(t, sources)
	if err := st.Check("TOKEN"); err != nil || st.Describe("TOKEN") != "teller " || !st.Fetches("TOKEN") || st.Fetches("KEY") {
		t.Errorf("Check: %v, Describe: %s", err, st.Describe("TOKEN"))
	}
	needs := sources.Needs([]string{"TOKEN"})
	if names := st.EnvNames(needs); fmt.Sprint(needs, names) != "[KEY TOKEN] [KEY]" {
		t.Errorf("needs %v, given away by %v", needs, names)
	}
	s.want(t, 0)
	v, err := st.Lookup("TOKEN")
	if err != nil {
		t.Fatal(err)
	}
	st.Replace("TOKEN", v)
	environ := "KEY=" + key + ",OTHER=x"
	if want := []string{key, "", environ, key, "kept", environ}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if value := lookup(t, st, "KEY"); !strings.HasPrefix(value, "error: contains a line break") {
		t.Errorf("a header may have it: %q", value)
	}
	missing := open(t, Sources{Named: sources.Named, Environ: []string{}})
	if err := missing.Check("TOKEN"); err == nil || !strings.Contains(err.Error(), "needs secret KEY: environment variable KEY: not set") {
		t.Errorf("Check without KEY: %v", err)
	}
}

// What is fetched may need what is fetched, and says whose fault it is that it is not
// there.
//
// seen red: text without the case of fetched.
func TestFetchedChain(t *testing.T) {
	base := &script{answer: numbered(0)}
	s := &script{answer: func(_ context.Context, _ int, a Access) (Fetched, error) {
		text, err := a.Lookup("BASE")
		return Fetched{Text: "of " + text}, err
	}}
	st := open(t, Sources{Named: map[string]Source{"TOKEN": {Fetch: teller{needs: "BASE", script: s}}, "BASE": {Fetch: teller{id: "base", script: base}}}})
	st.Prefetch([]string{"BASE", "TOKEN"})
	wantValue(t, st, "of token-1")
	base.want(t, 1)
	base.set(broken)
	st = open(t, Sources{Named: map[string]Source{"TOKEN": {Fetch: teller{needs: "BASE", script: s}}, "BASE": {Fetch: teller{id: "base", script: base}}}})
	wantValue(t, st, "error: needs secret BASE: teller base: the server did not answer as it should; check it, and the address")
	st.Retire(nil)
}

// A secret that needs itself would wait for itself.
//
// seen red: namedSource without InCircle.
func TestFetchedCircle(t *testing.T) {
	_, err := Open(Sources{Named: map[string]Source{
		"A": {Fetch: teller{needs: "B"}}, "B": {Fetch: teller{needs: "C"}}, "C": {Fetch: teller{needs: "B"}}, "SELF": {Fetch: teller{needs: "SELF"}},
	}})
	for _, name := range []string{"B", "C", "SELF"} {
		if err == nil || !strings.Contains(err.Error(), "secret "+name+": teller : needs itself") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "secret A:") {
		t.Errorf("A needs no A: %v", err)
	}
}
