package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"keybearer/rules"
)

// serveTCP runs a plain upstream.
func serveTCP(t *testing.T, handle func(conn net.Conn)) *capture {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveListener(t, l, handle)
}

func tcpOf(conn net.Conn) *net.TCPConn {
	if kept, ok := conn.(*keptConn); ok {
		conn = kept.Conn
	}
	return conn.(*net.TCPConn)
}

// A tunnel passes every byte both ways, whatever it is, and the end of each
// direction by itself (I6).
func TestTunnelTransparent(t *testing.T) {
	payload := randomBytes(3 << 20)
	for _, test := range []struct {
		name   string
		prompt bool // what the client says comes with the CONNECT
	}{{"after the 200", false}, {"before the 200", true}} {
		t.Run(test.name, func(t *testing.T) {
			upstream := serveTCP(t, func(conn net.Conn) {
				io.Copy(conn, conn)
				io.WriteString(conn, "after the client's end")
				tcpOf(conn).CloseWrite()
			})
			f := start(t, config(), map[string]string{"direct.test:443": upstream.addr})
			conn := f.dial()
			sent := []byte(connectTo("direct.test:443"))
			go func() {
				if test.prompt {
					sent = append(sent, payload...)
				}
				conn.Write(sent)
				if !test.prompt {
					conn.Write(payload)
				}
				tcpOf(conn).CloseWrite()
			}()
			expect(t, conn, string(established))
			got, err := io.ReadAll(conn)
			if want := append(payload[:len(payload):len(payload)], "after the client's end"...); err != nil || !bytes.Equal(got, want) {
				t.Errorf("received %d bytes, %v; want %d", len(got), err, len(want))
			}
			r := f.oneRecord()
			if r.Verdict != rules.Tunnel || r.Protocol != "tunnel" || r.Method != "CONNECT" || r.Status != 200 || r.Error != "" ||
				r.Target != "direct.test:443" || r.BytesReceived != int64(len(payload)) || r.BytesSent != int64(len(got)) {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// The upstream may end its direction first and still listen.
func TestTunnelUpstreamEndsFirst(t *testing.T) {
	rest := make(chan string, 1)
	upstream := serveTCP(t, func(conn net.Conn) {
		io.WriteString(conn, "bye")
		tcpOf(conn).CloseWrite()
		b, _ := io.ReadAll(conn)
		rest <- string(b)
	})
	f := start(t, config(), map[string]string{"direct.test:443": upstream.addr})
	conn := f.connect("direct.test:443")
	expect(t, conn, "bye")
	expectEnd(t, conn)
	io.WriteString(conn, "still here")
	tcpOf(conn).CloseWrite()
	if got := <-rest; got != "still here" {
		t.Errorf("the upstream received %q", got)
	}
	if r := f.oneRecord(); r.BytesReceived != 10 || r.BytesSent != 3 {
		t.Errorf("record %+v", r)
	}
}

// A side that breaks off takes the other one with it.
func TestTunnelBroken(t *testing.T) {
	for _, side := range []string{"client", "upstream"} {
		t.Run(side, func(t *testing.T) {
			ended := make(chan error, 1)
			upstream := serveTCP(t, func(conn net.Conn) {
				expect(t, conn, "hello")
				if side == "upstream" {
					tcpOf(conn).SetLinger(0) // close with a reset
					conn.Close()
				}
				_, err := conn.Read(make([]byte, 1))
				ended <- err
			})
			f := start(t, config(), map[string]string{"direct.test:443": upstream.addr})
			conn := f.connect("direct.test:443")
			io.WriteString(conn, "hello")
			if side == "client" {
				tcpOf(conn).SetLinger(0)
				conn.Close()
			}
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("the client received something")
			}
			if err := <-ended; err == nil {
				t.Error("the upstream received something")
			}
			f.oneRecord()
		})
	}
}

// The tunnel is there once the upstream is: the 200 comes after the connection.
func TestTunnelDialsFirst(t *testing.T) {
	f := start(t, config(), map[string]string{"direct.test:443": closedPort(t)})
	conn := f.dial()
	resp := f.do(conn, "CONNECT", connectTo("direct.test:443"))
	conn.Close()
	refusal{502, "connection_refused", ""}.check(t, resp, f.oneRecord())
}

// Many tunnels are open at the same time, and each gets its own bytes.
func TestManyTunnels(t *testing.T) {
	const n = 200
	upstream := serveTCP(t, func(conn net.Conn) { io.Copy(conn, conn) })
	f := start(t, config(), map[string]string{"direct.test:443": upstream.addr})
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = f.connect("direct.test:443")
	}
	var group sync.WaitGroup
	for i, conn := range conns {
		group.Go(func() {
			message := fmt.Sprintf("tunnel %d", i)
			io.WriteString(conn, message)
			got := make([]byte, len(message))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != message {
				t.Errorf("tunnel %d received %q, %v", i, got, err)
			}
			conn.Close()
		})
	}
	group.Wait()
	if all := f.end(); len(all) != n || f.authority.Minted() != 0 {
		t.Errorf("%d records, %d leaves minted", len(all), f.authority.Minted())
	}
}

// A host that a rule names on port 443 is not intercepted on another (I4).
func TestOtherPortIsTunnelled(t *testing.T) {
	upstream := serveTCP(t, func(conn net.Conn) { answering(noContent)(conn, bufio.NewReader(conn)) })
	for _, port := range []string{"80", "8443"} {
		t.Run(port, func(t *testing.T) {
			f := start(t, config(), map[string]string{"api.test:" + port: upstream.addr})
			conn := f.connect("api.test:" + port)
			f.do(conn, "GET", "GET / HTTP/1.1\r\nHost: api.test\r\nAuthorization: mine\r\n\r\n")
			conn.Close()
			if r := f.oneRecord(); r.Verdict != rules.Tunnel || f.authority.Minted() != 0 {
				t.Errorf("record %+v", r)
			}
		})
	}
	if got := upstream.String(); strings.Contains(got, canary) || strings.Count(got, "Authorization: mine") != 2 {
		t.Errorf("the upstream received %q", got)
	}
}
