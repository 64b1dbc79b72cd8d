package proxy

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// socket is what lies below a TLS connection, on either side of the proxy.
//
// It tells an end of the connection from an end of TLS, which crypto/tls reports
// alike: without a close_notify anybody on the way may have cut the stream.
//
// And it makes deadlines cheap. Setting one costs as much as parsing a head, an
// exchange sets six, and hardly any of them is ever waited for. So a deadline is
// noted when it is set, and handed to the kernel's side only when something has
// to wait with it; the one that is there already serves as well if it comes first
// by no more than an eighth of the time that is left. One in the far past, which
// asks for what is at hand, costs nothing.
type socket struct {
	net.Conn
	opening opening       // of a connection to an upstream
	ended   bool          // the connection ended, whatever TLS had said by then
	heard   atomic.Uint64 // grows with everything that is received
	reads   deadline
	writes  deadline
}

// newSocket returns conn, which has no deadlines, as a socket. From then on
// deadlines are set on the socket; one set below it, on conn, is for a phase in
// which the socket sets none, such as the handshake, and is taken back at its end.
func newSocket(conn net.Conn) *socket { return &socket{Conn: conn} }

// Read implements net.Conn. It is called by one goroutine at a time.
func (s *socket) Read(b []byte) (int, error) {
	if !s.reads.begin(s.Conn.SetReadDeadline) {
		return 0, os.ErrDeadlineExceeded
	}
	defer s.reads.end()
	n, err := s.Conn.Read(b)
	s.heard.Add(uint64(n))
	s.ended = s.ended || err == io.EOF
	return n, err
}

// Write implements net.Conn. It is called by one goroutine at a time.
func (s *socket) Write(b []byte) (int, error) {
	if !s.writes.begin(s.Conn.SetWriteDeadline) {
		return 0, os.ErrDeadlineExceeded
	}
	defer s.writes.end()
	return s.Conn.Write(b)
}

// SetReadDeadline implements net.Conn.
func (s *socket) SetReadDeadline(t time.Time) error { return s.reads.set(t, s.Conn.SetReadDeadline) }

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error { return s.writes.set(t, s.Conn.SetWriteDeadline) }

// SetDeadline implements net.Conn.
func (s *socket) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// deadline is that of one direction of a socket. It is safe for concurrent use.
type deadline struct {
	waiting atomic.Bool // a call is under way
	mu      sync.Mutex
	wanted  time.Time // as was asked for last
	actual  time.Time // of the connection
}

// set notes t, and puts it in force at once if a call is waiting.
func (d *deadline) set(t time.Time, apply func(time.Time) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if !d.waiting.Load() {
		return nil
	}
	return d.settle(apply)
}

// begin is called before something waits. It reports false if there is no time to.
func (d *deadline) begin(apply func(time.Time) error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wanted == longAgo {
		return false
	}
	d.waiting.Store(true)
	d.settle(apply) // an error means that the connection is closed: waiting fails as well
	return true
}

func (d *deadline) end() { d.waiting.Store(false) }

// settle puts the deadline that is wanted in force, unless the actual one is as good.
func (d *deadline) settle(apply func(time.Time) error) error {
	if d.wanted == d.actual {
		return nil
	}
	if later := d.wanted.Sub(d.actual); later >= 0 && later <= time.Until(d.wanted)/8 {
		return nil
	}
	d.actual = d.wanted
	return apply(d.actual)
}
