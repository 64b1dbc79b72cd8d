package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// countedConn counts how often deadlines are set on it.
type countedConn struct {
	net.Conn
	sets int
}

func (c *countedConn) SetReadDeadline(t time.Time) error {
	c.sets++
	return c.Conn.SetReadDeadline(t)
}

// A read of a socket ends at the deadline that was set last, or earlier by no more
// than an eighth; also if it was set while the read waited.
//
// seen red: socket.go settle without "later >= 0" (shorter), with /4 (later by
// much), always nil (all); set without settle (while waiting).
func TestSocketDeadlines(t *testing.T) {
	const s = time.Second
	for _, test := range []struct {
		name          string
		before, after time.Duration // deadlines, set one after the other
		pause         time.Duration // between them
		waiting       bool          // the second is set while a read waits
		least, most   time.Duration // until the read ends, from the second on
	}{
		{"shorter", 90 * s, 10 * s, 0, false, 10 * s, 10 * s},
		{"longer", 10 * s, 90 * s, 0, false, 90 * s, 90 * s},
		{"the same, a little later", 80 * s, 80 * s, 9 * s, false, 70 * s, 71 * s},
		{"the same, much later", 80 * s, 80 * s, 12 * s, false, 80 * s, 80 * s},
		{"after the first has passed", 10 * s, 10 * s, 20 * s, false, 10 * s, 10 * s},
		{"shorter while waiting", 90 * s, 10 * s, s, true, 10 * s, 10 * s},
		{"longer while waiting", 10 * s, 90 * s, s, true, 90 * s, 90 * s},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				below, peer := net.Pipe()
				defer peer.Close()
				conn := newSocket(below)
				read := func() { conn.Read(make([]byte, 1)) }
				conn.SetReadDeadline(time.Now().Add(test.before))
				ended := make(chan time.Time, 1)
				if test.waiting {
					go func() {
						read()
						ended <- time.Now()
					}()
				} else { // the first is in force, and nothing waits
					go peer.Write([]byte("x"))
					read()
				}
				time.Sleep(test.pause)
				began := time.Now()
				conn.SetReadDeadline(began.Add(test.after))
				if !test.waiting {
					read()
					ended <- time.Now()
				}
				if took := (<-ended).Sub(began); took < test.least || took > test.most {
					t.Errorf("the read ended after %v, want %v to %v", took, test.least, test.most)
				}
			})
		})
	}
}

// What is asked for with a deadline that has passed is not waited for, nor taken
// from the connection; one who waits is interrupted.
//
// seen red: socket.go set without settle.
func TestSocketLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below, peer := net.Pipe()
		defer peer.Close()
		conn := newSocket(below)
		b := make([]byte, 1)
		go peer.Write([]byte("x"))
		conn.SetReadDeadline(longAgo)
		if n, err := conn.Read(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %d bytes, %v", n, err)
		}
		conn.SetReadDeadline(time.Time{})
		if n, err := conn.Read(b); n != 1 || err != nil {
			t.Errorf("then %d bytes, %v", n, err)
		}
		ended := make(chan error)
		go func() {
			_, err := conn.Read(b)
			ended <- err
		}()
		synctest.Wait()
		conn.SetReadDeadline(longAgo)
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("who waited got %v", err)
		}
	})
}

// Setting nearly the same deadline again and again costs nothing, and neither does
// asking for what is at hand.
//
// seen red: socket.go settle without the comparison; begin without longAgo.
func TestSocketDeadlinesAreCheap(t *testing.T) {
	below, peer := net.Pipe()
	defer peer.Close()
	counted := &countedConn{Conn: below}
	conn := newSocket(counted)
	go func() {
		for {
			if _, err := io.WriteString(peer, "x"); err != nil {
				return
			}
		}
	}()
	for range 100 {
		conn.SetReadDeadline(time.Now().Add(idleTimeout))
		conn.Read(make([]byte, 1))
		conn.SetReadDeadline(time.Now().Add(headTimeout)) // nothing waits with it
		conn.SetReadDeadline(longAgo)
		conn.Read(make([]byte, 1))
		conn.SetReadDeadline(time.Time{})
	}
	if conn.Close(); counted.sets != 1 {
		t.Errorf("the deadline was set %d times", counted.sets)
	}
}
