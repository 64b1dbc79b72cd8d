package secrets

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// reader is a RequestFetcher that answers with the path of the request.
type reader struct {
	teller
	path string
}

func (f reader) ForRequest(target string, r *Request) Fetcher {
	f.path = target + r.Path
	return f
}

func (f reader) Fetch(ctx context.Context, a Access) (Fetched, error) {
	if _, err := f.teller.Fetch(ctx, a); err != nil {
		return Fetched{}, err
	}
	return Fetched{Text: f.path, Lifetime: time.Hour}, nil
}

func lookupForRequest(st *Store, path string) string {
	v, err := st.LookupForRequest("TOKEN", "a:443", &Request{Path: path})
	if err != nil {
		return "error: " + err.Error()
	}
	return v.Reveal()
}

// A secret for each request is fetched for each; there is none without one. Whoever is
// to be told is told of a failure now and then, by the next store as well.
//
// seen red: fetch with current; note each time; takeOver without perRequest.
func TestPerRequest(t *testing.T) { synctest.Test(t, testPerRequest) }

func testPerRequest(t *testing.T) {
	s := &script{answer: numbered(time.Hour)}
	var told []error
	sources := Sources{
		Named:  map[string]Source{"TOKEN": {Fetch: reader{teller: teller{script: s}}}},
		Notice: func(_ string, err error) { told = append(told, err) },
	}
	st := open(t, sources)
	if !st.Fetches("TOKEN") || !st.PerRequest("TOKEN") || st.PerTarget("TOKEN") || st.Check("TOKEN") != nil || st.Now("TOKEN") != nil {
		t.Error("it is not known for what it is")
	}
	st.Prefetch([]string{"TOKEN"})
	for n, path := range []string{"/1", "/1", "/2"} {
		if got := lookupForRequest(st, path); got != "a:443"+path {
			t.Errorf("request %d: %q", n, got)
		}
	}
	s.want(t, 3)
	for name, look := range map[string]func() (Value, error){
		"Lookup":    func() (Value, error) { return st.Lookup("TOKEN") },
		"LookupFor": func() (Value, error) { return st.LookupFor("TOKEN", "a:443") },
	} {
		if v, err := look(); err == nil {
			t.Errorf("%s finds %s", name, v.Reveal())
		}
	}
	s.set(broken)
	sources.After = st
	next := open(t, sources)
	for _, st := range []*Store{st, st, next} {
		if got := lookupForRequest(st, "/3"); !strings.HasPrefix(got, "error: ") {
			t.Errorf("broken: %q", got)
		}
	}
	if len(told) != 1 || told[0] == nil {
		t.Errorf("told %v", told)
	}
	time.Sleep(toldPause)
	lookupForRequest(next, "/4")
	s.set(numbered(time.Hour))
	lookupForRequest(next, "/5")
	if len(told) != 2 || told[1] == nil {
		t.Errorf("a minute later, told %v", told)
	}
}

// What is refused for a request is no failure, and nobody is told of one.
//
// seen red: fetch without Refused.
func TestPerRequestRefused(t *testing.T) {
	s := &script{answer: func(context.Context, int, Access) (Fetched, error) { return Fetched{Refused: true}, nil }}
	st := open(t, Sources{
		Named:  map[string]Source{"TOKEN": {Fetch: refuser{teller{script: s}}}},
		Notice: func(name string, err error) { t.Errorf("told %v", err) },
	})
	if _, err := st.LookupForRequest("TOKEN", "a:443", new(Request)); !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
}

// refuser is a RequestFetcher that does as it is told.
type refuser struct{ teller }

func (f refuser) ForRequest(string, *Request) Fetcher { return f }

// What it refers to is looked up in the store that is in force.
//
// seen red: adopt without store.
func TestPerRequestAdopted(t *testing.T) {
	sources := Sources{Named: map[string]Source{"TOKEN": {Fetch: reader{teller: teller{script: &script{answer: numbered(0)}}}}}}
	st := open(t, sources)
	sources.After = st
	next := open(t, sources)
	p := st.named["TOKEN"].(*perRequest)
	if next.named["TOKEN"] != source(p) || p.store != next {
		t.Error("it did not go on in the next store")
	}
}

// A RequestCallback has no answer without a request.
func TestRequestCallbackAlone(t *testing.T) {
	var problem Problem
	if _, err := (RequestCallback{}).Fetch(t.Context(), Access{}); !errors.As(err, &problem) {
		t.Errorf("%v", err)
	}
}
