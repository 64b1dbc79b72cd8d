package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// tunnel relays the connection untouched. It dials before it answers, so that the
// client learns of an upstream that cannot be reached as a status and not as a
// broken TLS handshake. It reports whether the connection was handed over.
func (c *clientConn) tunnel(r *Record) (handedOver bool) {
	r.Protocol = "tunnel"
	begin := time.Now()
	conn, err := c.p.upstreams.dial(context.Background(), c.target, c.named)
	r.Connect = time.Since(begin)
	if err != nil {
		return c.refuseConnect(r, fail(err))
	}
	c.Conn.SetWriteDeadline(time.Now().Add(handshakeTimeout)) // that of the wait for the request may have passed
	if _, err := c.Conn.Write(established); err != nil {
		conn.Close()
		r.Error, r.Reason = "http_request_error", "the client went away"
		c.p.emit(r)
		return false
	}
	r.Status = 200
	c.p.tunnels.join(c)
	record := *r // not on the stack of the tunnel
	go c.serveTunnel(&record, conn)
	return true
}

// serveTunnel relays between the client and an upstream. It has a goroutine of its
// own because dialling leaves a big stack behind, which an idle tunnel would keep.
func (c *clientConn) serveTunnel(r *Record, upstream net.Conn) {
	defer c.Close()
	defer c.contain()
	defer c.p.emit(r)
	defer upstream.Close()
	r.BytesReceived, r.BytesSent = c.relay(c.wire, newWire(upstream))
}

// relay copies both ways until both have ended, passing on the end of each
// direction as a half-close: a client may well close its side and wait for the
// answer. A direction that breaks ends both. It returns how many bytes went up,
// from client to upstream, and down.
func (c *clientConn) relay(client, upstream *wire) (up, down int64) {
	var active atomic.Int64
	active.Store(time.Now().UnixNano())
	var upward sync.WaitGroup
	upward.Go(func() {
		defer c.contain()
		up = c.p.pump(upstream, client, &active)
	})
	down = c.p.pump(client, upstream, &active)
	upward.Wait()
	return up, down
}

// pump copies from src to dst until src ends. active is when a byte was last
// seen in either direction: a tunnel is idle only when both are.
func (p *Proxy) pump(dst, src *wire, active *atomic.Int64) (copied int64) {
	defer src.release()
	for {
		src.conn.SetReadDeadline(time.Now().Add(streamTimeout))
		err := src.await()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Since(time.Unix(0, active.Load())) < streamTimeout:
			continue
		case errors.Is(err, io.EOF):
			dst.closeWrite()
			return copied
		case err != nil:
			src.conn.Close()
			dst.conn.Close()
			return copied
		}
		if len(src.received()) == 1 {
			src.conn.SetReadDeadline(longAgo)
			src.fill() // the rest of a TLS record is at hand; this waits for nothing
		}
		active.Store(time.Now().UnixNano())
		dst.conn.SetWriteDeadline(time.Now().Add(streamTimeout))
		n, err := dst.conn.Write(src.received())
		copied += int64(n)
		if err != nil {
			src.conn.Close()
			dst.conn.Close()
			return copied
		}
		src.consume(n)
		if n < bufferSize {
			continue
		}
		spliced, err := p.splice(dst.conn, src.conn)
		copied += spliced
		active.Store(time.Now().UnixNano())
		if err != nil {
			src.conn.Close()
			dst.conn.Close()
			return copied
		}
	}
}

// splice moves bytes from socket to socket without a copy, where the system can
// do that, for a moment: what follows a full buffer is likely to be much. It holds
// a pipe meanwhile, which is two descriptors and a megabyte; a client that does not
// read keeps it for long, so that there are only so many.
func (p *Proxy) splice(dst, src net.Conn) (copied int64, err error) {
	to, ok := dst.(*net.TCPConn)
	from, plain := src.(*net.TCPConn)
	if !ok || !plain {
		return 0, nil
	}
	defer p.splices.Add(-1)
	if p.splices.Add(1) > maxSplices {
		return 0, nil
	}
	const moment = 200 * time.Millisecond
	begin := time.Now()
	from.SetReadDeadline(begin.Add(moment))
	to.SetWriteDeadline(begin.Add(streamTimeout))
	copied, err = to.ReadFrom(from)
	// A read that times out has taken nothing; a write may have left bytes in the
	// pipe, which are lost with it.
	if errors.Is(err, os.ErrDeadlineExceeded) && time.Since(begin) < streamTimeout {
		err = nil
	}
	return copied, err
}
