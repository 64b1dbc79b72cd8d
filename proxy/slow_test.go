package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// inTunnel is a client without sockets that has sent CONNECT for an intercepted
// host, so that synctest can turn the clock, and the records of its proxy.
func inTunnel(t *testing.T) (f *fixture, client net.Conn) {
	f = &fixture{t: t, arrived: make(chan struct{}, 10), authority: newAuthority(t)}
	f.proxy = &Proxy{Emit: f.emit, Authority: f.authority}
	f.setPolicy(config(), map[string]string{"KEY": canary})
	f.proxy.setup.Do(f.proxy.init)
	client, server := net.Pipe()
	go f.proxy.serve(server)
	io.WriteString(client, "CONNECT api.test:443 HTTP/1.1\r\n\r\n")
	if _, err := io.ReadFull(client, make([]byte, len(established))); err != nil {
		t.Fatal(err)
	}
	return f, client
}

// A client that does not begin, or does not end, the TLS handshake is let go.
//
// seen red: intercept.go intercept, the first SetDeadline taken out.
func TestSlowHandshake(t *testing.T) {
	for _, test := range []struct{ name, sent string }{{"silent", ""}, {"half a ClientHello", "\x16\x03\x01\x02\x00\x01\x00"}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, client := inTunnel(t)
				defer client.Close()
				began := time.Now()
				io.WriteString(client, test.sent)
				io.Copy(io.Discard, client)
				if took := time.Since(began); took != handshakeTimeout {
					t.Errorf("closed after %v, want %v", took, handshakeTimeout)
				}
				synctest.Wait()
				if r := f.records[0]; r.Error != "tls_protocol_error" || r.Target != "api.test:443" {
					t.Errorf("record %+v", r)
				}
			})
		})
	}
}

// A head that does not come to its end inside an intercepted connection is
// answered 408; a client that asks for nothing is let go without a word.
//
// seen red: wire.go readHead, SetReadDeadline taken out.
func TestSlowInnerHead(t *testing.T) {
	for _, test := range []struct {
		name, sent string
		after      time.Duration
		status     int
	}{{"half a head", "GET / HTTP/1.1\r\nHost: ap", headTimeout, 408}, {"idle", "", idleTimeout, 0}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, raw := inTunnel(t)
				defer raw.Close()
				client := tls.Client(raw, &tls.Config{ServerName: "api.test", RootCAs: poolOf(f.authority)})
				if err := client.Handshake(); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				io.WriteString(client, test.sent)
				resp, err := http.ReadResponse(bufio.NewReader(client), nil)
				if took := time.Since(began); took != test.after {
					t.Errorf("answered after %v, want %v", took, test.after)
				}
				if (err == nil) != (test.status != 0) || err == nil && resp.StatusCode != test.status {
					t.Errorf("response %v, %v", resp, err)
				}
			})
		})
	}
}

// A body that stops coming ends the exchange with a 408, and the upstream is set
// free.
//
// seen red: h1_upload.go fill, SetReadDeadline taken out.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, upstream := inBubble(t)
		defer client.Close()
		ended := make(chan time.Time, 1)
		go func() {
			io.Copy(io.Discard, upstream)
			ended <- time.Now()
		}()
		began := time.Now()
		io.WriteString(client, "POST http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 10\r\n\r\nabc")
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil || resp.StatusCode != 408 {
			t.Fatalf("response %v, %v", resp, err)
		}
		if took := (<-ended).Sub(began); took != streamTimeout {
			t.Errorf("the upstream was set free after %v, want %v", took, streamTimeout)
		}
	})
}

// The time for an answer begins when the request has been sent: an upload may take
// as long as it goes on.
//
// seen red: the deadline set once, before the answer is read, and not by write.
func TestLongUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, upstream := inBubble(t)
		defer client.Close()
		go func() {
			req, err := http.ReadRequest(bufio.NewReader(upstream))
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			io.WriteString(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}()
		io.WriteString(client, "POST http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 10\r\n\r\n")
		go func() {
			for range 10 {
				time.Sleep(streamTimeout - time.Minute) // of the bubble
				io.WriteString(client, "x")
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("response %v, %v", resp, err)
		}
	})
}
