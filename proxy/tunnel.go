package proxy

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// tunnel relays the connection untouched. It dials before it answers, so that the
// client learns of an upstream that cannot be reached as a status and not as a
// broken TLS handshake.
func (c *clientConn) tunnel(r *Record) {
	defer c.p.emit(r)
	r.Protocol = "tunnel"
	conn, err := c.p.upstreams.dial(context.Background(), c.target, c.named)
	if err != nil {
		f := fail(err)
		f.note(r)
		c.refuse(c.wire, f, r.Method)
		return
	}
	defer conn.Close()
	if _, err := c.Conn.Write(established); err != nil {
		r.Error, r.Reason = "http_request_error", "the client went away"
		return
	}
	r.Status = 200
	r.BytesReceived, r.BytesSent = c.relay(c.wire, newWire(conn))
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
		up = pump(upstream, client, &active)
	})
	down = pump(client, upstream, &active)
	upward.Wait()
	return up, down
}

// pump copies from src to dst until src ends. active is when a byte was last
// seen in either direction: a tunnel is idle only when both are.
func pump(dst, src *wire, active *atomic.Int64) (copied int64) {
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
	}
}
