package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// What gRPC needs: trailers behind the messages, a response of trailers alone in
// one frame that ends the stream, and no field that the upstream did not send.
func TestGRPC(t *testing.T) {
	for _, test := range []struct {
		path   string
		send   func(c *frames, stream uint32)
		ended  string
		head   []string // names
		body   string
		status string // grpc-status, wherever it stands
	}{
		{"/unary", func(c *frames, stream uint32) {
			c.headers(stream, false, pair{":status", "200"}, pair{"content-type", "application/grpc"})
			c.data(stream, false, "\x00\x00\x00\x00\x02hi")
			c.headers(stream, true, pair{"grpc-status", "0"}, pair{"grpc-message", ""})
		}, "trailer", []string{":status", "content-type"}, "\x00\x00\x00\x00\x02hi", "0"},
		{"/only", func(c *frames, stream uint32) {
			c.headers(stream, true, pair{":status", "200"}, pair{"content-type", "application/grpc"}, pair{"grpc-status", "5"})
		}, "headers", []string{":status", "content-type", "grpc-status"}, "", "5"},
		{"/empty", func(c *frames, stream uint32) {
			c.headers(stream, false, pair{":status", "200"}, pair{"content-type", "application/grpc"})
			c.headers(stream, true, pair{"grpc-status", "3"})
		}, "trailer", []string{":status", "content-type"}, "", "3"},
	} {
		t.Run(test.path, func(t *testing.T) {
			seen := make(chan []pair, 1)
			upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
				var fields []pair
				for _, f := range head.Fields {
					fields = append(fields, pair{f.Name, f.Value})
				}
				seen <- fields
				test.send(c, head.StreamID)
			})
			f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
			c := f.openHTTP2("api.test:443")
			c.headers(1, false, pair{":method", "POST"}, pair{":scheme", "https"}, pair{":authority", "api.test"}, pair{":path", test.path},
				pair{"te", "trailers"}, pair{"content-type", "application/grpc"}, pair{"grpc-timeout", "1S"}, pair{"x-bin", "AAA"})
			c.data(1, true, "\x00\x00\x00\x00\x00")
			a := c.answer(1)
			names := slices.Sorted(func(yield func(string) bool) {
				for name := range a.head() {
					if !yield(name) {
						return
					}
				}
			})
			if !slices.Equal(names, test.head) || len(a.heads) != 1 {
				t.Errorf("head %v, want %v", a.heads, test.head)
			}
			status := append(a.head()["grpc-status"], a.trailer["grpc-status"]...)
			if a.ended != test.ended || a.body != test.body || !slices.Equal(status, []string{test.status}) {
				t.Errorf("ended by %s with body %q, status %q", a.ended, a.body, status)
			}
			fields := <-seen
			for _, want := range []pair{{":path", test.path}, {":authority", "api.test"}, {"te", "trailers"}, {"grpc-timeout", "1S"},
				{"x-bin", "AAA"}, {"authorization", "Bearer " + canary}} {
				if !slices.Contains(fields, want) {
					t.Errorf("the upstream did not receive %q, but %q", want, fields)
				}
			}
			c.conn.Close()
			if r := f.record(); r.Protocol != protoHTTP2 || r.Status != 200 || r.Error != "" || r.BytesReceived > 5 || r.BytesSent != int64(len(test.body)) {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// A bidirectional stream: each message is answered before the next is sent.
func TestGRPCStream(t *testing.T) {
	upstream := serveFrames(t, "api.test", func(c *frames) {
		for {
			switch frame, err := c.read(); frame := frame.(type) {
			case *http2.MetaHeadersFrame:
				c.headers(frame.StreamID, false, pair{":status", "200"}, pair{"content-type", "application/grpc"})
			case *http2.DataFrame:
				if frame.StreamEnded() {
					c.headers(frame.StreamID, true, pair{"grpc-status", "0"})
					continue
				}
				c.data(frame.StreamID, false, strings.ToUpper(string(frame.Data())))
			default:
				if err != nil {
					return
				}
			}
		}
	})
	f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
	c := f.openHTTP2("api.test:443")
	c.headers(1, false, pair{":method", "POST"}, pair{":scheme", "https"}, pair{":authority", "api.test"}, pair{":path", "/"}, pair{"te", "trailers"})
	if frame, err := c.read(); err != nil || frame.Header().Type != http2.FrameHeaders {
		t.Fatalf("%v, %v; want the head before any message", frame, err)
	}
	for i := range 10 {
		c.data(1, false, fmt.Sprintf("message %d", i))
		frame, err := c.read()
		data, ok := frame.(*http2.DataFrame)
		if err != nil || !ok || string(data.Data()) != fmt.Sprintf("MESSAGE %d", i) {
			t.Fatalf("%v, %v", frame, err)
		}
	}
	c.data(1, true, "")
	if a := c.answer(1); a.ended != "trailer" || a.body != "" || !slices.Equal(a.trailer["grpc-status"], []string{"0"}) {
		t.Errorf("ended by %s, body %q, trailers %v", a.ended, a.body, a.trailer)
	}
}
