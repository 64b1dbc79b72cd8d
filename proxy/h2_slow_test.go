package proxy

import (
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"keybearer/rules"
)

// An answer that is small enough to be written when the exchange is over does not wait
// for ever for a client that gives no window, or that does not read.
//
// seen red: h2_exchange.go end without SetWriteDeadline (no window); h2.go without
// WriteByteTimeout (no reading). Both were open after 24 hours.
func TestSlowClientHTTP2(t *testing.T) {
	for _, test := range []struct {
		name  string
		reads bool
	}{{"no window", true}, {"no reading", false}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, raw := inTunnel(t)
				target, err := rules.ParseTarget("api.test:443", 0)
				if err != nil {
					t.Fatal(err)
				}
				f.proxy.upstreams.remember(protocolKey{target, false}, protoHTTP2)
				client := tls.Client(raw, &tls.Config{ServerName: "api.test", RootCAs: poolOf(f.authority), NextProtos: []string{protoHTTP2}})
				if err := client.Handshake(); err != nil {
					t.Fatal(err)
				}
				c := newFrames(t, client)
				client.Write([]byte(http2.ClientPreface))
				c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				c.headers(1, true, pair{":method", "GET"}, pair{":scheme", "https"}, pair{":authority", "evil.test"}, pair{":path", "/"})
				reset := make(chan struct{})
				if test.reads {
					go func() {
						for {
							frame, err := c.read()
							if err != nil {
								return
							}
							if _, ok := frame.(*http2.RSTStreamFrame); ok {
								close(reset)
							}
						}
					}()
				}
				time.Sleep(2 * streamTimeout) // of the bubble
				synctest.Wait()
				_, err = raw.Write(nil)
				select {
				case <-reset:
				default:
					if err == nil {
						t.Errorf("the exchange is still open after %v", 2*streamTimeout)
					}
				}
				raw.Close()
				f.proxy.h2.listener.Close()
				time.Sleep(time.Hour)
			})
		})
	}
}
