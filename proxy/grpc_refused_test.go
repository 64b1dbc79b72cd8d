package proxy

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
)

// cashier is a gRPC server that takes one coin and no other.
type cashier struct {
	alone bool // it says so in a head alone, not in trailers

	mu     sync.Mutex
	takes  string
	always string // the status of every call; "": that which is right
	media  string // the Content-Type of every answer
	got    []string
}

// lendGRPC is lend with a cashier.
func lendGRPC(t *testing.T, alone bool, next func(int) (string, error)) (*fixture, *mint, *cashier) {
	t.Helper()
	s := &cashier{alone: alone, takes: coin(1), media: "application/grpc"}
	f, m := lendTo(t, exchangeFrames(t, s.answer).addr, next)
	f.watch(canary)
	return f, m, s
}

func (s *cashier) answer(c *frames, head *http2.MetaHeadersFrame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, status := "", "0"
	for _, f := range head.RegularFields() {
		if f.Name == "authorization" {
			key = f.Value
		}
	}
	s.got = append(s.got, key)
	if key != "Bearer "+s.takes {
		status = "16"
	}
	if s.always != "" {
		status = s.always
	}
	fields := []pair{{":status", "200"}, {"content-type", s.media}}
	if s.alone {
		c.headers(head.StreamID, true, append(fields, pair{"grpc-status", status})...)
		return
	}
	c.headers(head.StreamID, false, fields...)
	c.data(head.StreamID, false, "\x00\x00\x00\x00\x02hi")
	c.headers(head.StreamID, true, pair{"grpc-status", status})
}

// set changes what is answered to the calls to come.
func (s *cashier) set(change func(s *cashier)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *cashier) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.got
	s.got = nil
	return all
}

// call makes a call of one message and returns its outcome.
func (c *frames) call(path, mediaType string) (status string) {
	c.t.Helper()
	a := c.answer(c.begin(path, mediaType))
	return strings.Join(append(a.head()["grpc-status"], a.trailer["grpc-status"]...), ",")
}

// begin sends what a call is, on a stream of its own.
func (c *frames) begin(path, mediaType string) (stream uint32) {
	stream = c.next
	c.next += 2
	c.headers(stream, false, pair{":method", "POST"}, pair{":scheme", "https"}, pair{":authority", "api.test"}, pair{":path", path},
		pair{"te", "trailers"}, pair{"content-type", mediaType})
	c.data(stream, true, "\x00\x00\x00\x00\x00")
	return stream
}

// overBothEnds runs a test with the status in a head alone and in trailers.
func overBothEnds(t *testing.T, test func(t *testing.T, alone bool)) {
	t.Run("a head alone", func(t *testing.T) { test(t, true) })
	t.Run("trailers", func(t *testing.T) { test(t, false) })
}

// UNAUTHENTICATED has the secret fetched anew, as a 401 does. The call is not sent again,
// its client is told, and its next call has the new secret.
//
// seen red: renewGRPC without the look at the head, and without that at the trailers.
func TestGRPCRefused(t *testing.T) {
	overBothEnds(t, func(t *testing.T, alone bool) {
		f, m, s := lendGRPC(t, alone, coins)
		c := f.openHTTP2("api.test:443")
		c.call("/v1", "application/grpc")
		s.set(func(s *cashier) { s.takes = coin(2) })
		var got []string
		for range 3 {
			got = append(got, c.call("/v1", "application/grpc"))
		}
		if want := []string{"16", "0", "0"}; !slices.Equal(got, want) {
			t.Errorf("the calls ended with %q, want %q", got, want)
		}
		if got, want := s.calls(), []string{"Bearer " + coin(1), "Bearer " + coin(1), "Bearer " + coin(2), "Bearer " + coin(2)}; !slices.Equal(got, want) {
			t.Errorf("arrived: %q, want %q", got, want)
		}
		if n := m.fetches(); n != 2 {
			t.Errorf("fetched %d times, want 2", n)
		}
	})
}

// A server that refuses every call has the secret fetched once, however many are refused
// at once or one after the other.
//
// seen red: fetched.go in secrets, replace without its pause.
func TestGRPCRefusedAlways(t *testing.T) {
	overBothEnds(t, func(t *testing.T, alone bool) {
		f, m, s := lendGRPC(t, alone, coins)
		s.set(func(s *cashier) { s.always = "16" })
		c := f.openHTTP2("api.test:443")
		open := map[uint32]*answer{}
		for range 50 {
			open[c.begin("/v1", "application/grpc")] = new(answer)
		}
		for len(open) > 0 {
			frame, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			stream := frame.Header().StreamID
			a := open[stream]
			if a == nil { // a reset without an error, as the server has not read all of the call
				continue
			}
			if a.take(frame); a.ended != "" {
				delete(open, stream)
			}
		}
		for range 10 {
			if got := c.call("/v1", "application/grpc"); got != "16" {
				t.Errorf("status %q", got)
			}
		}
		if got := len(s.calls()); got != 60 || m.fetches() != 2 {
			t.Errorf("%d calls arrived, fetched %d times; want 60 and 2", got, m.fetches())
		}
	})
}

// Other outcomes have nothing fetched, nor has the same one of what is no gRPC call, or of
// a call whose rule has no secret with a lifetime.
//
// seen red: isUnauthenticated for 7; renewGRPC without isGRPC; renewGRPC and renew without
// the look at the lease.
func TestGRPCKept(t *testing.T) {
	for _, test := range []struct{ name, path, sent, answered, status string }{
		{"OK", "/v1", "application/grpc", "application/grpc", "0"},
		{"NOT_FOUND", "/v1", "application/grpc", "application/grpc", "5"},
		{"PERMISSION_DENIED", "/v1", "application/grpc+proto", "application/grpc+proto", "7"},
		{"no number", "/v1", "application/grpc", "application/grpc", "016"},
		{"another request", "/v1", "application/json", "application/grpc", "16"},
		{"another answer", "/v1", "application/grpc", "application/json", "16"},
		{"another rule", "/other", "application/grpc", "application/grpc", "16"},
	} {
		t.Run(test.name, func(t *testing.T) {
			overBothEnds(t, func(t *testing.T, alone bool) {
				f, m, s := lendGRPC(t, alone, coins)
				s.set(func(s *cashier) { s.always, s.media = test.status, test.answered })
				c := f.openHTTP2("api.test:443")
				for range 2 {
					if got := c.call(test.path, test.sent); got != test.status {
						t.Errorf("status %q, want %q", got, test.status)
					}
				}
				if n := m.fetches(); n != 1 || f.record().Error != "" {
					t.Errorf("fetched %d times, want once", n)
				}
			})
		})
	}
}
