package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"keybearer/rules"
)

// stranger is a client on this machine that has not shown yet whether it trusts the
// authority. Who it is must be asked while it still has its connection: a client that
// does not trust us says so, or not even that, and is gone.
type stranger struct {
	process, advice string // see Proxy.Identify

	since time.Time   // when TLS was ready
	spoke atomic.Bool // it has sent something through TLS: it trusts us
}

// strangers bounds how often clients are asked for, and knows those that are
// strangers no more. The zero value is ready for use, and safe for concurrent use.
type strangers struct {
	setup   sync.Once
	limiter *rate.Limiter

	mu      sync.Mutex
	trusted map[string]struct{} // processes
	open    map[string]int      // connections of a process
}

const (
	identifyRate  = 2  // strangers a second
	identifyBurst = 20 // strangers at once
	maxTrusted    = 256

	// turnedAway is how soon after the handshake a client is gone that has looked at
	// our certificate and wants no more. Some finish the handshake before they do.
	turnedAway = 2 * time.Second
)

// meet asks who a client is. It returns nil if that cannot be known, or has been asked
// too often.
func (p *Proxy) meet(c *clientConn) *stranger {
	g := &p.strangers
	g.setup.Do(func() { g.limiter = rate.NewLimiter(identifyRate, identifyBurst) })
	if p.Identify == nil || !c.local() || !g.limiter.Allow() {
		return nil
	}
	process, advice := p.Identify(c.Conn)
	if process == "" {
		return nil
	}
	s := &stranger{process: printable(process), advice: advice}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(map[string]int)
	}
	g.open[s.process]++
	return s
}

// accepted says that TLS is ready.
func (s *stranger) accepted() {
	if s != nil {
		s.since = time.Now()
	}
}

// trusts says that the client has sent something through TLS.
func (c *clientConn) trusts() {
	s, g := c.stranger, &c.p.strangers
	if s == nil || s.spoke.Swap(true) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.trusted == nil || len(g.trusted) >= maxTrusted {
		g.trusted = make(map[string]struct{})
	}
	g.trusted[s.process] = struct{}{}
}

// noteState is for http.Server.ConnState: a connection is active once the client has
// sent the preface of HTTP/2.
func noteState(conn net.Conn, state http.ConnState) {
	if state == http.StateActive {
		c := conn.(*tls.Conn).NetConn().(*socket).Conn.(*clientConn)
		c.idle.Store(false)
		c.trusts()
	}
}

// leave is called when the connection ends. Of a client that went away right after
// the handshake, without a word, it emits a record; but not if another connection of
// that process has spoken, or still may: programs open more than they need, too.
func (c *clientConn) leave() {
	s := c.stranger
	if s == nil || !c.p.strangers.ended(s.process) {
		return
	}
	if s.since.IsZero() || s.spoke.Load() || time.Since(s.since) > turnedAway || c.p.draining.Load() {
		return
	}
	defer func() { recover() }() // of Emit: see contain
	var r Record
	c.begin(&r)
	r.Target, r.Verdict, r.Method, r.Error = c.name, rules.Intercept, "CONNECT", "tls_protocol_error"
	r.Reason = s.process + " closed the connection right after the TLS handshake, without a request; if it does not trust keybearer's CA: " + s.advice
	c.p.emit(&r)
}

// ended says that a connection of a process has ended. It reports whether that was
// its last one, and none has spoken.
func (g *strangers) ended(process string) (silent bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[process]--; g.open[process] > 0 {
		return false
	}
	delete(g.open, process)
	_, known := g.trusted[process]
	return !known
}

// handshakeReason says in words why the client's side of a TLS handshake failed.
func (c *clientConn) handshakeReason(err error) string {
	who, advice := "the client", "give it the file that keybearer ca path names; keybearer env lists the variables"
	if c.stranger != nil {
		who, advice = c.stranger.process, c.stranger.advice
	}
	from, alert := alertOf(err)
	switch {
	case errors.Is(err, errServerName):
		return errServerName.Error()
	case from == sentByClient && isOne(alert, badCertificate, certificateUnknown, unknownCA):
		return who + " does not trust keybearer's CA (" + alert + "): " + advice
	case from == sentByClient:
		return who + " refused the TLS handshake (" + alert + ")"
	case from == sentByUs && isOne(alert, badRecordMAC):
		// The alerts of OpenSSL's clients are not encrypted yet at that point of TLS
		// 1.3; to us they are garbage.
		return who + " refused the TLS handshake as OpenSSL does when it does not trust a certificate: " + advice
	case errors.Is(err, os.ErrDeadlineExceeded):
		return who + " did not finish the TLS handshake in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return who + " closed the connection during the TLS handshake; if it does not trust keybearer's CA: " + advice
	}
	return "the TLS handshake with the client failed: " + printable(err.Error())
}

// The alerts that tell of distrust (RFC 8446 section 6.2).
const (
	badRecordMAC       tls.AlertError = 20
	badCertificate     tls.AlertError = 42
	certificateUnknown tls.AlertError = 46
	unknownCA          tls.AlertError = 48
)

const (
	sentByClient = "remote error"
	sentByUs     = "local error"
)

// alertOf returns the alert that ended a handshake, in words, and who sent it.
// crypto/tls has no exported type for it but that of the alerts of QUIC, which have
// the same words.
func alertOf(err error) (from, alert string) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != sentByClient && op.Op != sentByUs {
		return "", ""
	}
	return op.Op, strings.TrimPrefix(op.Err.Error(), "tls: ")
}

func isOne(alert string, of ...tls.AlertError) bool {
	return slices.ContainsFunc(of, func(a tls.AlertError) bool { return strings.TrimPrefix(a.Error(), "tls: ") == alert })
}
