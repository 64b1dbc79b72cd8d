package proxy

import "sync"

// reserve is the memory in which all exchanges together hold back requests. It is
// shared out as they come, so that no client can take all of it (I19): one may hold
// as much as is left to the others.
type reserve struct {
	mu       sync.Mutex
	held     int
	byClient map[holder]int
}

// holder is a client: what has an address and, if clients are told apart, an account.
type holder struct{ address, account string }

func (c *clientConn) holder() holder { return holder{c.client, c.account} }

// change says that a client holds more bytes, or fewer. It reports false, and changes
// nothing, if they are not to be had.
func (r *reserve) change(client holder, more int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	own, held := r.byClient[client]+more, r.held+more
	if more > 0 && own > heldSizes-held {
		return false
	}
	if r.byClient == nil {
		r.byClient = make(map[holder]int)
	}
	r.held, r.byClient[client] = held, own
	if own == 0 {
		delete(r.byClient, client)
	}
	return true
}

// holding is what an exchange holds back of a request: nothing if it is nil. HTTP/2's
// transport may go on reading a body when the exchange is over.
type holding struct {
	reserve *reserve
	client  holder

	mu   sync.Mutex
	own  int
	over bool
}

// holdBack begins to count what the exchange holds back.
func (x *exchange) holdBack(c *clientConn) *holding {
	x.held = &holding{reserve: &c.p.reserve, client: c.holder()}
	if x.signature != nil {
		x.signature.held = x.held
	}
	return x.held
}

// passed lets go of what was held back when all of the body has been taken: the answer
// may be long in coming, as a model's is.
func (x *exchange) passed() {
	if x.signature != nil {
		x.signature.chunks = nil
	}
	x.held.end()
}

// hold says that it is n bytes now.
func (h *holding) hold(n int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || n == h.own {
		return nil
	}
	if !h.reserve.change(h.client, n-h.own) {
		return failConnections.because("too much of this client's requests is held back until they are whole")
	}
	h.own = n
	return nil
}

// keep adds a piece to a body that is held back.
func (h *holding) keep(body, piece []byte) ([]byte, error) {
	body = append(body, piece...)
	return body, h.hold(cap(body))
}

// end says that it is nothing for good.
func (h *holding) end() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.reserve.change(h.client, -h.own)
		h.own, h.over = 0, true
	}
}
