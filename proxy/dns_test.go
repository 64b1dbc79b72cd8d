package proxy

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// names is the DNS of the tests: it knows the names that a test has given it and
// no others, and keeps every look-up on the loopback interface.
var names = &nameServer{zone: make(map[string]func() []netip.Addr)}

func TestMain(m *testing.M) {
	if err := names.start(); err != nil {
		panic(err)
	}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: names.dial}
	os.Exit(m.Run())
}

type nameServer struct {
	addr string
	mu   sync.Mutex
	zone map[string]func() []netip.Addr
}

// set makes name resolve to what answer returns, asked anew for each query.
func (s *nameServer) set(t *testing.T, name string, answer func() []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone[name+"."] = answer
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.zone, name+".")
	})
}

// resolve makes name resolve to addresses.
func (s *nameServer) resolve(t *testing.T, name string, addrs ...string) {
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	s.set(t, name, func() []netip.Addr { return list })
}

func (s *nameServer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "udp", s.addr)
}

func (s *nameServer) start() error {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.addr = conn.LocalAddr().String()
	go func() {
		buf := make([]byte, 1<<10)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if query.Unpack(buf[:n]) == nil && len(query.Questions) == 1 {
				if answer, err := s.answer(query).Pack(); err == nil {
					conn.WriteTo(answer, from)
				}
			}
		}
	}()
	return nil
}

func (s *nameServer) answer(query dnsmessage.Message) *dnsmessage.Message {
	q := query.Questions[0]
	m := &dnsmessage.Message{Questions: query.Questions}
	m.Header = dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true}
	s.mu.Lock()
	lookup, known := s.zone[q.Name.String()]
	s.mu.Unlock()
	if !known {
		m.RCode = dnsmessage.RCodeNameError
		return m
	}
	for _, addr := range lookup() {
		r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}}
		switch {
		case addr.Is4() && q.Type == dnsmessage.TypeA:
			r.Body = &dnsmessage.AResource{A: addr.As4()}
		case addr.Is6() && q.Type == dnsmessage.TypeAAAA:
			r.Body = &dnsmessage.AAAAResource{AAAA: addr.As16()}
		default:
			continue
		}
		m.Answers = append(m.Answers, r)
	}
	return m
}
