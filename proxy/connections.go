package proxy

import (
	"net"
	"net/netip"
	"sync"
)

// connections are the listeners and the client connections that are open. The
// zero value is ready for use, and safe for concurrent use.
type connections struct {
	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[*clientConn]struct{}
	clients   map[string]int // connections of each client
}

// listen adds a listener, unless all have been closed.
func (o *connections) listen(l net.Listener) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if o.listeners == nil {
		o.listeners = make(map[net.Listener]struct{})
	}
	o.listeners[l] = struct{}{}
	return true
}

func (o *connections) unlisten(l net.Listener) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.listeners, l)
}

// closeListeners closes the listeners, and the door behind them.
func (o *connections) closeListeners() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for l := range o.listeners {
		l.Close()
	}
}

// add adds a client's connection, unless there are limit of them, or the client
// has more than its share. Loopback is not one client but everything that runs on
// this machine: it has no share.
func (o *connections) add(c *clientConn, limit int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	ip, err := netip.ParseAddr(c.client)
	shared := err != nil || ip.IsLoopback()
	switch {
	case o.closed:
		return ErrClosed
	case len(o.conns) >= limit:
		return failConnections.because("%d connections are open, which is the limit", limit)
	case !shared && o.clients[c.client] >= max(limit/2, 1):
		return failConnections.because("this client has %d connections open, which is its share", max(limit/2, 1))
	}
	if o.conns == nil {
		o.conns, o.clients = make(map[*clientConn]struct{}), make(map[string]int)
	}
	o.conns[c] = struct{}{}
	o.clients[c.client]++
	return nil
}

// remove removes a connection that was added.
func (o *connections) remove(c *clientConn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.conns[c]; !ok {
		return
	}
	delete(o.conns, c)
	if o.clients[c.client]--; o.clients[c.client] == 0 {
		delete(o.clients, c.client)
	}
}

func (o *connections) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.conns)
}

// each calls f for every open connection and returns how many there are.
func (o *connections) each(f func(*clientConn)) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		f(c)
	}
	return len(o.conns)
}

// own reports whether dialling addr would reach one of the listeners.
func (o *connections) own(addr netip.AddrPort) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for l := range o.listeners {
		if leadsTo(l.Addr(), addr) {
			return true
		}
	}
	return false
}

// leadsTo reports whether dialling addr would reach what listens on listener.
func leadsTo(listener net.Addr, addr netip.AddrPort) bool {
	tcp, ok := listener.(*net.TCPAddr)
	if !ok || tcp.Port != int(addr.Port()) {
		return false
	}
	own, ip := tcp.AddrPort().Addr().Unmap(), addr.Addr().Unmap()
	return own == ip || ip.IsUnspecified() || own.IsUnspecified() && isLocal(ip)
}

func isLocal(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true // when in doubt it is ours: a loop is worse than a refusal
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip.AsSlice()) {
			return true
		}
	}
	return false
}
