//go:build unix

package proxy

import (
	"io"
	"net"
	"os"
	"syscall"
)

// rawReader reads from a plain socket and takes a buffer only at the moment
// when there is something to read.
type rawReader struct {
	conn syscall.RawConn
	try  func(fd uintptr) bool // attempt, bound once
	buf  *[]byte
	n    int
	err  error
}

// newRawReader returns nil if conn is not a plain TCP connection.
func newRawReader(conn net.Conn) *rawReader {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	r := &rawReader{conn: raw}
	r.try = r.attempt
	return r
}

// read waits for bytes and returns them in a buffer from the pool. The error is
// io.EOF at the end of the stream; then there is no buffer.
func (r *rawReader) read() (*[]byte, int, error) {
	r.buf, r.n, r.err = nil, 0, nil
	if err := r.conn.Read(r.try); err != nil {
		return nil, 0, err
	}
	if r.err == nil && r.n == 0 {
		r.err = io.EOF
	}
	if r.err != nil {
		putBuffer(r.buf)
		return nil, 0, r.err
	}
	return r.buf, r.n, nil
}

// attempt reads once without blocking; false means wait until readable.
func (r *rawReader) attempt(fd uintptr) bool {
	r.buf = buffers.Get().(*[]byte)
	for {
		r.n, r.err = syscall.Read(int(fd), *r.buf)
		switch r.err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			putBuffer(r.buf)
			r.buf = nil
			return false
		case nil:
			return true
		}
		r.err = os.NewSyscallError("read", r.err)
		return true
	}
}

// stale reports whether an idle connection was closed by its peer, or has bytes
// waiting that nobody asked for; either way no request may be sent on it.
func stale(conn net.Conn) bool {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return true
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		quiet = err == syscall.EAGAIN
		return true
	})
	return err != nil || !quiet
}
