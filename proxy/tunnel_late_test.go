package proxy

import (
	"net"
	"testing"
	"time"
)

// deadlined is a listener's connection that notes with how much time left it was written.
type deadlined struct {
	net.Conn
	until time.Time
	left  chan time.Duration
}

func (c *deadlined) SetDeadline(t time.Time) error {
	c.until = t
	return c.Conn.SetDeadline(t)
}

func (c *deadlined) SetWriteDeadline(t time.Time) error {
	c.until = t
	return c.Conn.SetWriteDeadline(t)
}

func (c *deadlined) Write(b []byte) (int, error) {
	c.left <- time.Until(c.until)
	return c.Conn.Write(b)
}

// A client may connect long before it asks for a tunnel, and dialling takes its time: the
// answer has a time of its own, not what is left of the time to wait for a request.
//
// seen red: tunnel.go tunnel without SetWriteDeadline (with idleTimeout 1 s, a request after
// 0.8 s and a dial of 0.4 s, the client was cut off without an answer).
func TestTunnelAfterLongWait(t *testing.T) {
	upstream := serveListener(t, listen(t), func(net.Conn) {})
	f := start(t, config(), map[string]string{"direct.test:443": upstream.addr})
	client, server := tcpPair(t)
	conn := &deadlined{Conn: server, left: make(chan time.Duration, 8)}
	go f.proxy.serve(conn)
	client.Write([]byte(connectHead("direct.test:443")))
	if left := <-conn.left; left <= handshakeTimeout-time.Second || left > handshakeTimeout {
		t.Errorf("the answer was written with %v left", left)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l := listen(t)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}
