package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"keybearer/rules"
)

// upstreams holds the connections to upstreams that are not in use, and what is
// remembered of each target.
type upstreams struct {
	p         *Proxy
	sessions  tls.ClientSessionCache
	transport http.Transport // makes HTTP/2 client connections of dialled ones

	mu       sync.Mutex
	closed   bool
	sweeping bool
	idle     map[upstreamKey][]*upstream
	idles    int
	h2       map[upstreamKey]*h2Pool
	protocol map[protocolKey]choice
}

// upstreamKey is whom a connection may be used for: a response can only ever
// reach the client for which its connection was made (I12).
type upstreamKey struct {
	client    string
	account   string
	identity  *identity // that the upstream was shown
	target    rules.Target
	plaintext bool
	upgrade   bool // plaintext, for a WebSocket: see UpstreamProxy
}

// protocolKey is what an upstream's choice of protocol depends on. A client that
// offers HTTP/2 alone is not told what was chosen from a longer list.
type protocolKey struct {
	target rules.Target
	http1  bool
}

// choice is what an upstream selected, and when.
type choice struct {
	protocol string
	made     time.Time
}

// upstream is an HTTP/1.1 connection to an upstream.
type upstream struct {
	*wire
	key    upstreamKey
	raw    net.Conn
	socket *socket // below TLS; nil if there is none
	opened *opening
	via    *nextProxy // takes requests in absolute form; nil: the upstream itself
	reused bool       // it has been idle: the upstream may close it at any moment
	used   bool       // it has served an exchange
	since  time.Time  // when it became idle
}

func (u *upstreams) init(p *Proxy) {
	u.p = p
	u.sessions = newSessions()
	u.idle = make(map[upstreamKey][]*upstream)
	u.h2 = make(map[upstreamKey]*h2Pool)
	u.protocol = make(map[protocolKey]choice)
	u.initTransport()
}

func newSessions() tls.ClientSessionCache { return tls.NewLRUClientSessionCache(maxSessions) }

// http1 returns a connection for one exchange at a time: an idle one, or a new
// one if fresh is set or none is idle.
func (u *upstreams) http1(ctx context.Context, key upstreamKey, named, fresh bool) (*upstream, error) {
	for !fresh {
		up := u.take(key)
		if up == nil {
			break
		}
		if up.justOpened() || !stale(up.raw) {
			up.reused = true
			return up, nil
		}
		up.close()
	}
	if key.plaintext {
		return u.dialPlain(ctx, key, named)
	}
	conn, err := u.dialTLS(ctx, key, named, []string{protoHTTP1})
	if err != nil {
		u.forget(key.target)
		return nil, err
	}
	return newUpstream(key, conn), nil
}

func newUpstream(key upstreamKey, conn *tls.Conn) *upstream {
	s := conn.NetConn().(*socket)
	return &upstream{wire: newWire(conn), key: key, raw: bottom(s.Conn), socket: s, opened: &s.opening}
}

// cut reports whether the connection ended although TLS had not: what came is
// perhaps not all.
func (up *upstream) cut() bool { return up.socket != nil && up.socket.ended }

// justOpened reports whether the connection was made a moment ago, to negotiate,
// and has served nothing yet. The session tickets of TLS 1.3 may wait on it
// unread, which would look stale.
func (up *upstream) justOpened() bool { return !up.used && time.Since(up.since) < time.Second }

func (up *upstream) close() {
	up.raw.Close()
	up.release()
}

// quiet reports whether nothing has been received that nobody asked for. What is
// still in the socket is looked for when the connection is taken again; what TLS
// has already taken out of it can only be seen by reading.
func (up *upstream) quiet() bool {
	if len(up.received()) > 0 {
		return false
	}
	if up.conn == up.raw {
		return true
	}
	up.conn.SetReadDeadline(longAgo)
	n, err := up.conn.Read(up.first[:])
	up.conn.SetReadDeadline(time.Time{})
	return n == 0 && isTimeout(err)
}

// take returns the connection that became idle last, which is the one least
// likely to be closed by its upstream.
func (u *upstreams) take(key upstreamKey) *upstream {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := u.idle[key]
	if len(list) == 0 {
		return nil
	}
	up := list[len(list)-1]
	u.idles--
	list[len(list)-1] = nil
	if u.idle[key] = list[:len(list)-1]; len(list) == 1 && len(u.idle) > maxIdle {
		delete(u.idle, key) // an empty list of few waits for its next connection, or for sweep
	}
	return up
}

// put keeps a connection whose last exchange ended cleanly.
func (u *upstreams) put(up *upstream) {
	if !up.quiet() {
		up.close()
		return
	}
	up.release()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || u.idles >= maxIdle || len(u.idle[up.key]) >= maxIdlePerKey {
		up.close()
		return
	}
	up.since = time.Now()
	u.idle[up.key] = append(u.idle[up.key], up)
	u.idles++
	u.sweepLater()
}

func (u *upstreams) idleCount() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.idles
}

// sweepLater arranges for connections that stay idle to be closed.
func (u *upstreams) sweepLater() {
	if !u.sweeping {
		u.sweeping = true
		time.AfterFunc(idleTimeout/2, u.sweep)
	}
}

func (u *upstreams) sweep() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sweeping = false
	for key, list := range u.idle {
		fresh := slices.DeleteFunc(list, func(up *upstream) bool {
			old := u.closed || time.Since(up.since) > idleTimeout
			if old {
				up.close()
				u.idles--
			}
			return old
		})
		if u.idle[key] = fresh; len(fresh) == 0 {
			delete(u.idle, key)
		}
	}
	for key, pool := range u.h2 {
		if pool.sweep(u.closed) {
			delete(u.h2, key)
		}
	}
	if len(u.idle)+len(u.h2) > 0 && !u.closed {
		u.sweepLater()
	}
}

// close closes the idle connections, and every other once it becomes idle.
func (u *upstreams) close() {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.sweep()
}

// negotiate returns the protocol that the target selects from what the client
// offered, which holds HTTP/2. The first time this takes a connection, which then
// serves the client's first request; later the answer is remembered.
func (u *upstreams) negotiate(ctx context.Context, c *clientConn, offered []string) (string, error) {
	remembered := protocolKey{c.target, slices.Contains(offered, protoHTTP1)}
	u.mu.Lock()
	last, known := u.protocol[remembered]
	u.mu.Unlock()
	if known && time.Since(last.made) < rememberTime {
		return last.protocol, nil
	}
	key := upstreamKey{client: c.client, account: c.account, target: c.target}
	if policy, err := c.view(); err == nil { // else the first request is refused
		key.identity = policy.identityFor(c.target)
	}
	conn, err := u.dialTLS(ctx, key, c.named, offered)
	if err != nil {
		return "", err
	}
	proto := conn.ConnectionState().NegotiatedProtocol
	if proto == protoHTTP2 {
		err = u.addHTTP2(ctx, key, conn)
	} else {
		proto = protoHTTP1
		u.put(newUpstream(key, conn))
	}
	if err != nil {
		return "", err
	}
	u.remember(remembered, proto)
	return proto, nil
}

func (u *upstreams) remember(key protocolKey, proto string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.protocol) >= maxRemembered {
		clear(u.protocol) // to be asked again is cheap, and rare
	}
	u.protocol[key] = choice{proto, time.Now()}
}

func (u *upstreams) forget(t rules.Target) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.protocol, protocolKey{t, true})
	delete(u.protocol, protocolKey{t, false})
}
