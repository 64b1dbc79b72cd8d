package proxy

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A tunnel through which much has gone holds nothing once it rests, and goes on
// where it stopped, both ways and to each end.
//
// seen red: tunnel.go splice, SetReadDeadline taken out; "err = nil" taken out.
func TestTunnelRests(t *testing.T) {
	const much = 4 << 20
	upstream := serveTCP(t, func(conn net.Conn) {
		io.Copy(tcpOf(conn), tcpOf(conn))
		tcpOf(conn).CloseWrite()
	})
	f := start(t, config(), map[string]string{"direct.test:443": upstream.addr})
	conn := f.connect("direct.test:443").(*net.TCPConn)
	for range 3 {
		go conn.Write(randomBytes(much))
		if n, err := io.CopyN(io.Discard, conn, much); err != nil {
			t.Fatalf("received %d bytes, %v", n, err)
		}
		f.await(func() bool { return f.proxy.splices.Load() == 0 })
		io.WriteString(conn, "small")
		expect(t, conn, "small")
	}
	conn.CloseWrite()
	expectEnd(t, conn)
	const all = 3 * (much + 5)
	if r := f.oneRecord(); r.BytesReceived != all || r.BytesSent != all || r.Error != "" {
		t.Errorf("record %+v, want %d bytes", r, all)
	}
}

// Clients that ask for much and do not read keep no more pipes than there may be,
// and others are served all the same (I19).
//
// seen red: tunnel.go splice, the comparison with maxSplices taken out.
func TestTunnelsNotRead(t *testing.T) {
	flood := make([]byte, 1<<20)
	upstream := serveTCP(t, func(conn net.Conn) {
		for {
			if _, err := conn.Write(flood); err != nil {
				return
			}
		}
	})
	f := start(t, config(), map[string]string{"direct.test:443": upstream.addr})
	for range maxSplices + 16 {
		f.connect("direct.test:443")
	}
	f.await(func() bool { return f.proxy.splices.Load() >= maxSplices })
	other := f.connect("direct.test:443")
	if n, err := io.CopyN(io.Discard, other, 8<<20); err != nil {
		t.Errorf("received %d bytes, %v", n, err)
	}
	if n := f.proxy.splices.Load(); n > maxSplices+1 { // one may just be turned away
		t.Errorf("%d pipes are held", n)
	}
}

// A tunnel ends when nothing has moved in either direction for streamTimeout, and
// not before.
//
// seen red: tunnel.go pump without active (it ends too early); without
// SetReadDeadline (it never ends).
func TestTunnelIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, inner := net.Pipe()
		outer, upstream := net.Pipe()
		c := &clientConn{p: new(Proxy)}
		began := time.Now()
		ended := make(chan time.Duration)
		go func() {
			c.relay(newWire(inner), newWire(outer))
			ended <- time.Since(began)
		}()
		time.Sleep(streamTimeout - time.Minute)
		go io.WriteString(upstream, "x") // one direction moves, the other does not
		io.ReadFull(client, make([]byte, 1))
		if took := <-ended; took < 2*streamTimeout-time.Minute || took > 3*streamTimeout {
			t.Errorf("ended after %v", took)
		}
	})
}
