package proxy

import "sync/atomic"

// Stats are counts of what a [Proxy] has open and has done since it started. What
// has ended is told by Records; this is what they cannot tell.
type Stats struct {
	Connections int // of clients, of all kinds
	Tunnels     int // those of them that are relayed untouched
	Intercepts  int // those whose TLS keybearer terminates

	TunnelsOpened    uint64
	InterceptsOpened uint64

	IdleUpstreams int    // connections to upstreams over HTTP/1.1 that wait for a request
	LeavesMinted  uint64 // by the Authority, whoever asked
	LeavesReused  uint64
}

// Stats returns the counts of this moment. It is cheap: a few atomic loads and two
// locks that are held for a moment.
func (p *Proxy) Stats() Stats {
	s := Stats{
		Connections:      p.open.count(),
		Tunnels:          int(p.tunnels.open.Load()),
		Intercepts:       int(p.intercepts.open.Load()),
		TunnelsOpened:    p.tunnels.all.Load(),
		InterceptsOpened: p.intercepts.all.Load(),
		IdleUpstreams:    p.upstreams.idleCount(),
	}
	if p.Authority != nil {
		s.LeavesMinted, s.LeavesReused = p.Authority.Minted(), p.Authority.Reused()
	}
	return s
}

// census counts the client connections of one verdict.
type census struct {
	open atomic.Int64
	all  atomic.Uint64
}

// join counts c until it is closed.
func (n *census) join(c *clientConn) {
	c.census = n
	n.open.Add(1)
	n.all.Add(1)
}

// leave is for a connection that may never have joined.
func (n *census) leave() {
	if n != nil {
		n.open.Add(-1)
	}
}
