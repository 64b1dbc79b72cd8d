package secrets

import (
	"errors"
	"io/fs"
	"sync"
	"time"
)

// A Request is what a client has sent, as LangSmith's callbacks are shown it.
type Request struct {
	Method  string              `json:"method"`
	URL     string              `json:"url"`
	Scheme  string              `json:"scheme"`
	Host    string              `json:"host"` // with the port, unless it is the scheme's
	Path    string              `json:"path"` // as sent, without the query
	Query   string              `json:"query"`
	Headers map[string][]string `json:"headers"` // by canonical name

	Body          []byte `json:"body_base64"`
	BodyTruncated bool   `json:"body_truncated"` // there is more of it
}

// A RequestFetcher hands out another secret for each request. What it fetches is for
// that one, and not kept.
type RequestFetcher interface {
	Fetcher
	// ForRequest returns the fetcher for one request to a target, host:port.
	ForRequest(target string, r *Request) Fetcher
}

// perRequest is a source that has a secret for each request.
type perRequest struct {
	name   string
	source Source

	mu    sync.Mutex
	store *Store
	told  time.Time // when somebody was told of a failure
}

// toldPause is the least time between two failures of which somebody is told: there may
// be one for each request.
const toldPause = time.Minute

// fetch gets the secret for one request. It waits for it.
func (p *perRequest) fetch(target string, r *Request) (Value, error) {
	s := p.source
	s.Fetch = s.Fetch.(RequestFetcher).ForRequest(target, r)
	f := newFetched(p.name, s)
	p.mu.Lock()
	st := p.store
	p.mu.Unlock()
	got, _, reason := f.fetch(st, "")
	switch {
	case got.Refused:
		return Value{}, ErrRefused
	case reason != "":
		return Value{}, p.note(f.problem(reason))
	}
	return newValue(got.Text), nil
}

// note tells of a failure, and returns it.
func (p *perRequest) note(failure *Error) error {
	p.mu.Lock()
	tell, news := p.store.notice, time.Since(p.told) >= toldPause
	if news {
		p.told = time.Now()
	}
	p.mu.Unlock()
	if news && tell != nil {
		tell(p.name, failure)
	}
	return failure
}

// adopt has the source go on for another store.
func (p *perRequest) adopt(st *Store) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.store = st
}

func (p *perRequest) read() (text, reason string) { return "", "is another one for each request" }
func (p *perRequest) mode() (fs.FileMode, bool)   { return 0, false }
func (p *perRequest) String() string              { return p.source.Fetch.String() }

// ErrRefused says that there is no secret for a request, by decision of whoever hands
// it out.
var ErrRefused = errors.New("there is no secret for this request")

// LookupForRequest is [Store.LookupFor] for a secret that may be another one for each
// request to a target. That is fetched, and waited for; the error may be [ErrRefused].
func (st *Store) LookupForRequest(name, target string, r *Request) (Value, error) {
	if p, ok := st.named[name].(*perRequest); ok {
		return p.fetch(target, r)
	}
	return st.LookupFor(name, target)
}

// PerRequest reports whether the secret of that name is another one for each request.
func (st *Store) PerRequest(name string) bool {
	_, ok := st.named[name].(*perRequest)
	return ok
}
