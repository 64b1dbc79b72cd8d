package telemetry

import (
	"reflect"
	"sync"

	"keybearer/proxy"
)

// keptRecords is how many records Recent keeps: at a thousand a second, those of two
// seconds; a watcher asks five times in one.
const keptRecords = 2000

// Recent keeps the newest records and the state, for those who watch as it happens.
// Its memory is bounded: a watcher that is too slow misses records, and is told how
// many. It is safe for concurrent use.
type Recent struct {
	mu      sync.Mutex
	ring    []proxy.Record // the record number n is at n modulo keptRecords
	count   uint64         // how many there have been
	state   State
	version uint64        // of the state
	changed chan struct{} // closed by the next change; nil if nobody waits for one
}

// Mark is how far a watcher has come. The zero Mark has seen nothing.
type Mark struct{ records, state uint64 }

// News are what has come since a Mark. Events are in the order in which they ended.
type News struct {
	State  *State // nil if it is the same
	Events []Event
	Missed uint64 // events that are no longer kept
}

// NewRecent returns a Recent that has no state yet.
func NewRecent() *Recent { return &Recent{ring: make([]proxy.Record, keptRecords)} }

// Emit is for [proxy.Proxy.Emit].
func (r *Recent) Emit(record proxy.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.count%keptRecords] = record
	r.count++
	r.tell()
}

// SetState puts another state in place, unless it is the same. It must not be changed
// afterwards.
func (r *Recent) SetState(s State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reflect.DeepEqual(s, r.state) {
		return
	}
	r.state = s
	r.version++
	r.tell()
}

func (r *Recent) tell() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// State returns the state in place.
func (r *Recent) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Since returns what has come since a mark, of records the newest most, and the mark
// for the next call. If there is nothing, changed is closed when there is.
func (r *Recent) Since(m Mark, most int) (news News, next Mark, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.state != r.version {
		state := r.state
		news.State = &state
	}
	first := max(m.records, r.count-min(r.count, uint64(min(most, keptRecords))))
	news.Missed = first - m.records
	for n := first; n < r.count; n++ {
		news.Events = append(news.Events, newEvent(&r.ring[n%keptRecords]))
	}
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return news, Mark{r.count, r.version}, r.changed
}

// Find returns a record by its ID, if it is still kept.
func (r *Recent) Find(id uint64) (proxy.Record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := r.count - min(r.count, keptRecords); n < r.count; n++ {
		if r.ring[n%keptRecords].ID == id {
			return r.ring[n%keptRecords], true
		}
	}
	return proxy.Record{}, false
}
