package proxy

import (
	"testing"
)

// total is how many bytes are held back.
func (r *reserve) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// fill has others hold all that there is.
func (r *reserve) fill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = heldSizes
}

// I19: a client that holds back all that it may leaves something to the next, and what
// is let go can be held again.
//
// seen red: change without own on the left; end without change.
func TestReserve(t *testing.T) {
	var r reserve
	const piece = 1 << 20
	take := func(client string) (all []*holding) {
		for {
			h := &holding{reserve: &r, client: holder{address: client}}
			if h.hold(piece) != nil {
				return all
			}
			all = append(all, h)
		}
	}
	first, second, third := take("a"), take("b"), take("c")
	if len(first) != heldSizes/piece/2 || len(second) != len(first)/2 || len(third) != len(second)/2 {
		t.Errorf("they hold %d, %d and %d MiB", len(first), len(second), len(third))
	}
	for _, h := range append(append(first, second...), third...) {
		h.end()
		h.end()
		if h.hold(piece) != nil {
			t.Error("what is over holds something")
		}
	}
	if r.total() != 0 || len(r.byClient) != 0 {
		t.Errorf("at the end %d bytes are held by %v", r.total(), r.byClient)
	}
	if again := take("c"); len(again) != len(first) {
		t.Errorf("later %d MiB", len(again))
	}
}

// I19: of several accounts at one address, as those of everything that runs on this
// machine, none takes the share of another.
//
// seen red: holdBack without the account.
func TestReserveAccounts(t *testing.T) {
	p := new(Proxy)
	held := make(map[string]int)
	for _, account := range []string{"a", "b"} {
		for new(exchange).holdBack(&clientConn{p: p, client: "127.0.0.1", account: account}).hold(1<<20) == nil {
			held[account]++
		}
	}
	if held["a"] != heldSizes>>21 || held["b"] != held["a"]/2 {
		t.Errorf("they hold %v MiB", held)
	}
}
