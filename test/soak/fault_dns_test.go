package soak

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer knows one name, at an address that changes. Without one there is no such
// name; if it is silent it does not answer at all.
type nameServer struct {
	address atomic.Pointer[netip.Addr]
	silent  atomic.Bool
}

// The name of an upstream goes, comes, leads elsewhere and to somebody else, and its
// server falls silent: clients are told, others are as fast as ever, and the credential
// goes to nobody but the one whose certificate is for the name.
// seen red: dial.go secure, certificates not verified.
func TestFaultDNS(t *testing.T) {
	if os.Getuid() != 0 || exec.Command("unshare", "--mount", "true").Run() != nil {
		t.Skip("a resolv.conf of its own takes root, and a mount namespace")
	}
	names := startNameServer(t, "127.0.0.53:53")
	first, second, stranger := newUpstream(), newUpstream(), newUpstream()
	port := first.also(t, "127.0.0.60:0")
	second.also(t, "127.0.0.61:"+port)
	stranger.also(t, "127.0.0.62:"+port)
	resolvConf := t.TempDir() + "/resolv.conf"
	if err := os.WriteFile(resolvConf, []byte("nameserver 127.0.0.53\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	k := inFront(t, first, func(o *options) {
		o.config = strings.ReplaceAll(policy, "newer.test]", `"moving.test:`+port+`"]`)
		o.ca = append(o.ca, second.issuer.pem()...)
		o.wrap = []string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, resolvConf}
	})
	t.Cleanup(func() { second.verify(t) })
	before := k.warm(first)
	url := "https://moving.test:" + port + "/"
	overBoth(t, k, func(t *testing.T, c *http.Client) {
		names.address.Store(nil)
		expect(t, c, url, 502, "keybearer: the host name moving.test does not resolve")
		for _, to := range []struct {
			up      *upstream
			address string
			status  int
			text    string
		}{
			{first, "127.0.0.60", 200, "ok"},
			{second, "127.0.0.61", 200, "ok"},
			{stranger, "127.0.0.62", 502, "keybearer: the upstream's certificate"},
			{first, "127.0.0.60", 200, "ok"},
		} {
			address, requests := netip.MustParseAddr(to.address), to.up.requests.Load()
			names.address.Store(&address)
			expect(t, c, url, to.status, to.text)
			if went := to.up.requests.Load() > requests; went != (to.status == 200) {
				t.Errorf("at %s a request arrived: %t", to.address, went)
			}
			first.drop()
			second.drop()
		}
		names.silent.Store(true)
		begin := time.Now()
		expect(t, c, url, 502, "keybearer: resolving moving.test took too long")
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("a name server that says nothing was waited for for %s", took)
		}
		k.undisturbed(t)
		names.silent.Store(false)
		expect(t, c, url, 200, "ok")
		first.drop()
	})
	if n := stranger.requests.Load(); n > 0 {
		t.Errorf("%d requests reached a host without a certificate for the name", n)
	}
	k.settles(before, first.dropIdle, localhost)
}

// also serves at another address as well, and returns the port.
func (u *upstream) also(t *testing.T, address string) (port string) {
	t.Helper()
	l := listen(address)
	t.Cleanup(func() { l.Close() })
	go u.server.ServeTLS(l, "", "")
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

func startNameServer(t *testing.T, address string) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Skipf("no name server can be run at %s: %v", address, err)
	}
	t.Cleanup(func() { conn.Close() })
	s := new(nameServer)
	go func() {
		for buf := make([]byte, 1<<10); ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if query.Unpack(buf[:n]) != nil || len(query.Questions) != 1 || s.silent.Load() {
				continue
			}
			if answer, err := s.answer(query).Pack(); err == nil {
				conn.WriteTo(answer, from)
			}
		}
	}()
	return s
}

func (s *nameServer) answer(query dnsmessage.Message) *dnsmessage.Message {
	q, address := query.Questions[0], s.address.Load()
	m := &dnsmessage.Message{Questions: query.Questions}
	m.Header = dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true}
	switch {
	case address == nil:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: address.As4()}}}
	}
	return m
}
