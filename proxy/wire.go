package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// wire is the reading end of a connection, with a buffer that it only holds
// while there is something in it: thousands of idle connections hold none.
// Writing needs no buffer and goes to conn.
type wire struct {
	conn  net.Conn
	raw   *rawReader // nil unless conn is a plain socket that can be waited for
	buf   *[]byte    // nil while idle
	r, w  int        // buf[r:w] is received and not consumed
	first [1]byte
}

const bufferSize = 32 << 10 // bytes; two TLS records

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

func newWire(conn net.Conn) *wire { return &wire{conn: conn, raw: newRawReader(conn)} }

// received returns the bytes that were received and not consumed. They are valid
// until the next call of fill or await.
func (c *wire) received() []byte {
	if c.buf == nil {
		return nil
	}
	return (*c.buf)[c.r:c.w]
}

func (c *wire) consume(n int) {
	if c.r += n; c.r == c.w {
		c.r, c.w = 0, 0
	}
}

// release gives the buffer back if it is empty.
func (c *wire) release() {
	if c.buf != nil && c.r == c.w {
		putBuffer(c.buf)
		c.buf, c.r, c.w = nil, 0, 0
	}
}

func putBuffer(b *[]byte) {
	if len(*b) == bufferSize { // a grown one is rare, and too big to keep
		buffers.Put(b)
	}
}

// await returns once something has been received, and holds no buffer until
// then.
func (c *wire) await() error {
	if c.r < c.w {
		return nil
	}
	c.release()
	if c.raw != nil {
		buf, n, err := c.raw.read()
		c.buf, c.w = buf, n
		return err
	}
	if _, isTLS := c.conn.(*tls.Conn); !isTLS {
		return c.fill()
	}
	// One byte tells that a TLS record has come; the rest of the record is then
	// at hand without another system call.
	n, err := c.conn.Read(c.first[:])
	if n == 1 {
		c.buf = buffers.Get().(*[]byte)
		(*c.buf)[0], c.w = c.first[0], 1
		return nil
	}
	return err
}

// fill waits for more bytes and appends them to what is received.
func (c *wire) fill() error {
	if c.buf == nil {
		c.buf = buffers.Get().(*[]byte)
	}
	if c.w == len(*c.buf) {
		c.makeRoom()
	}
	n, err := c.conn.Read((*c.buf)[c.w:])
	if c.w += n; n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (c *wire) makeRoom() {
	if c.r > 0 {
		c.w = copy(*c.buf, (*c.buf)[c.r:c.w])
		c.r = 0
		return
	}
	grown := make([]byte, 2*len(*c.buf))
	copy(grown, *c.buf)
	putBuffer(c.buf)
	c.buf = &grown
}

var errHeadTooLarge = errors.New("head too large")

// readHead reads a head of at most limit bytes, which measure finds the end of.
// It must be complete within that time; 0 leaves the connection's deadline as it
// is.
func (c *wire) readHead(measure func([]byte, int) (int, error), limit int, within time.Duration) (string, error) {
	for scanned := 0; ; {
		b := c.received()
		n, err := measure(b, scanned)
		switch {
		case err != nil:
			return "", err
		case n > limit, n == 0 && len(b) > limit:
			return "", errHeadTooLarge
		case n > 0:
			head := string(b[:n])
			c.consume(n)
			return head, nil
		}
		if scanned == 0 && within > 0 {
			c.conn.SetReadDeadline(time.Now().Add(within))
		}
		scanned = len(b)
		if err := c.fill(); err != nil {
			return "", err
		}
	}
}

// longAgo is a deadline that makes a read return at once.
var longAgo = time.Unix(1, 0)

// closeWrite tells the peer that nothing more will come.
func (c *wire) closeWrite() error {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
