package secrets

import (
	"io/fs"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// defaultTimeout is how long a Fetch may take if its [Source] does not say.
	defaultTimeout = 10 * time.Second

	// maxAhead is how long before its end a secret is renewed, at the most; a fifth
	// of a short lifetime is enough.
	maxAhead = 5 * time.Minute

	// After a failure the next attempt waits, twice as long each time.
	firstPause = time.Second
	maxPause   = time.Minute

	// refusalPause is the least time between two fetches because an upstream
	// refused the value: one that refuses all of them shall not have us hammer the
	// place that hands them out.
	refusalPause = 30 * time.Second
)

// fetched is a source that is asked ahead of time and not at each look-up. One
// fetch is under way at most. While fetches fail, what the last good one got is
// used until it expires.
type fetched struct {
	name    string
	fetcher Fetcher
	timeout time.Duration

	good atomic.Pointer[loan] // what may be used; nil until there is one

	mu      sync.Mutex
	store   *Store        // the newest: where references are looked up
	flight  chan struct{} // closed at the end of the fetch under way; nil: there is none
	failure *Error        // of the last fetch, nil if it went well
	pause   time.Duration // the last one after a failure
	resume  time.Time     // when a look-up may fetch again after a failure
	refused time.Time     // when a refusal last led to a fetch
	next    *time.Timer   // the fetch that is planned; nil: none is
	retired bool          // no more is planned
	state   string        // see Fetched
	used    digest        // what the last good fetch was made with
}

// loan is a secret with its end, by the wall clock: a machine that slept has not
// stopped it. A zero end is none.
type loan struct {
	value   Value
	since   time.Time
	expires time.Time
}

func (l *loan) usable() bool {
	return l != nil && (l.expires.IsZero() || time.Now().Before(l.expires))
}

func newFetched(name string, s Source) *fetched {
	f := &fetched{name: name, fetcher: s.Fetch, timeout: s.Timeout}
	if f.timeout == 0 {
		f.timeout = defaultTimeout
	}
	return f
}

// current returns the secret. It waits for a fetch only if there is none that may
// be used, and none has failed a moment ago.
func (f *fetched) current() (Value, error) {
	if l := f.good.Load(); l.usable() {
		return l.value, nil
	}
	f.mu.Lock()
	if f.flight == nil && f.failure != nil && time.Now().Before(f.resume) {
		defer f.mu.Unlock()
		return Value{}, f.failure
	}
	done := f.start()
	f.mu.Unlock()
	<-done
	if l := f.good.Load(); l.usable() {
		return l.value, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil {
		return Value{}, f.failure
	}
	return Value{}, f.problem("expired as soon as it was there; check its lifetime, and the clock of this machine")
}

// replace fetches anew because an upstream has refused value, and reports whether
// there is another one now.
func (f *fetched) replace(value Value) bool {
	f.mu.Lock()
	if l := f.good.Load(); l != nil && l.value != value {
		f.mu.Unlock()
		return true
	}
	if f.flight == nil {
		if !f.refused.IsZero() && time.Since(f.refused) < refusalPause {
			f.mu.Unlock()
			return false
		}
		f.refused = time.Now()
	}
	done := f.start()
	f.mu.Unlock()
	<-done
	l := f.good.Load()
	return l.usable() && l.value != value
}

// start begins a fetch unless one is under way, and returns what is closed at its
// end. It is called with mu.
func (f *fetched) start() <-chan struct{} {
	if f.flight == nil {
		f.flight = make(chan struct{})
		go f.run(f.store, f.state)
	}
	return f.flight
}

// run fetches once and plans the next fetch.
func (f *fetched) run(st *Store, state string) {
	got, used, reason := f.fetch(st, state)
	f.mu.Lock()
	news := f.settle(got, used, reason)
	close(f.flight)
	f.flight = nil
	f.mu.Unlock()
	if st.notice != nil && news != nil {
		news(st.notice)
	}
}

// settle takes over what a fetch has brought. It returns what there is to be told
// of it, nil if nothing: the first failure is told by whoever makes a policy and waits
// for the secret. One that is fetched for requests alone has nobody to tell.
func (f *fetched) settle(got Fetched, used digest, reason string) (news func(notice)) {
	before := f.good.Load()
	if reason != "" {
		if f.failure == nil && (before != nil || f.retired) {
			news = func(tell notice) { tell(f.name, f.problem(reason)) }
		}
		f.failure = f.problem(reason)
		f.pause = min(max(2*f.pause, firstPause), maxPause)
		f.resume = time.Now().Add(f.pause)
		f.plan(f.pause)
		return news
	}
	if f.failure != nil {
		news = func(tell notice) { tell(f.name, nil) }
	}
	l := &loan{value: newValue(got.Text), since: time.Now()}
	if before != nil && *before.value.text == got.Text {
		l.value = before.value // the same secret: whoever has expanded it need not do so again
	}
	f.failure, f.pause, f.resume = nil, 0, time.Time{}
	f.used, f.state = used, got.State
	if got.Lifetime > 0 {
		l.expires = time.Now().Round(0).Add(got.Lifetime)
		f.plan(got.Lifetime - min(got.Lifetime/5, maxAhead))
	}
	f.good.Store(l)
	return news
}

// plan has the next fetch begin after d. It is called with mu.
func (f *fetched) plan(d time.Duration) {
	if f.next != nil {
		f.next.Stop()
	}
	f.next = nil
	if f.retired {
		return
	}
	f.next = time.AfterFunc(d, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.retired {
			f.start()
		}
	})
}

// adopt has the source go on for another store. What has failed, and what was made
// with other secrets, is fetched anew; what there is stays in use meanwhile.
func (f *fetched) adopt(st *Store) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store, f.retired = st, false
	f.resume, f.pause = time.Time{}, 0
	if f.good.Load() != nil && (f.failure != nil || f.used != st.digest(f.fetcher)) {
		f.start()
	}
}

// retire ends the fetches ahead of time. A request that was admitted before may
// still ask.
func (f *fetched) retire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retired = true
	if f.next != nil {
		f.next.Stop()
	}
}

func (f *fetched) problem(reason string) *Error { return &Error{f.name, f.String(), reason} }

// read implements source. It never waits.
func (f *fetched) read() (text, reason string) {
	if l := f.good.Load(); l.usable() {
		return *l.value.text, ""
	}
	return "", "not fetched yet"
}

func (f *fetched) mode() (fs.FileMode, bool) { return 0, false }
func (f *fetched) String() string            { return f.fetcher.String() }
