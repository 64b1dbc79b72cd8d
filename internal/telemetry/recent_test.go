package telemetry

import (
	"math"
	"runtime"
	"strings"
	"testing"

	"keybearer/proxy"
)

// A watcher gets each record once, in order; one that is too slow is told how many it
// has missed. What is kept is bounded.
//
// seen red: Since with next.records one less; first without max.
func TestRecent(t *testing.T) {
	r := NewRecent()
	r.SetState(State{Version: "v1"})
	emit := func(from, to uint64) {
		for id := from; id <= to; id++ {
			r.Emit(proxy.Record{ID: id})
		}
	}
	emit(1, 3)
	news, mark, changed := r.Since(Mark{}, 2)
	if news.State == nil || news.State.Version != "v1" || news.Missed != 1 || len(news.Events) != 2 || news.Events[0].ID != 2 {
		t.Fatalf("at first %+v", news)
	}
	select {
	case <-changed:
		t.Fatal("told of a change before one")
	default:
	}
	emit(4, 5)
	<-changed
	news, mark, _ = r.Since(mark, math.MaxInt)
	if news.State != nil || news.Missed != 0 || len(news.Events) != 2 || news.Events[0].ID != 4 {
		t.Errorf("then %+v", news)
	}
	emit(6, 5+keptRecords+10)
	news, mark, changed = r.Since(mark, math.MaxInt)
	if news.Missed != 10 || len(news.Events) != keptRecords || news.Events[0].ID != 16 {
		t.Errorf("too slow: missed %d, got %d", news.Missed, len(news.Events))
	}
	r.SetState(State{Version: "v2"})
	<-changed
	if news, _, _ = r.Since(mark, math.MaxInt); news.State == nil || news.State.Version != "v2" || len(news.Events) != 0 {
		t.Errorf("at last %+v", news)
	}
	if _, ok := r.Find(15); ok {
		t.Error("found what is not kept")
	}
	if found, ok := r.Find(16); !ok || found.ID != 16 {
		t.Errorf("found %v, %t", found.ID, ok)
	}
}

// Of a request only what is told is kept: not its whole head, with the credentials of
// those whom no rule knows, and 64 KiB of it.
//
// seen red: Emit without each Clone.
func TestRecentKeepsNoHeads(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	r := NewRecent()
	before := heap()
	for range keptRecords {
		head := strings.Clone("GET /path " + strings.Repeat("x", 64<<10))
		r.Emit(proxy.Record{Path: head[4:9]})
		head = strings.Clone(head)
		r.Emit(proxy.Record{Method: head[:3]})
	}
	if after := heap(); after > before+10<<20 {
		t.Errorf("%d MiB are kept", (after-before)>>20)
	}
	runtime.KeepAlive(r)
}
