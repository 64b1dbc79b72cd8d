package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// I7: the table itself. No test may connect to these addresses, so MayDial is
// asked; the tests below show that the dialer asks it too.
//
// seen red: addresses.go isMetadata, the embedded addresses taken out; embedded,
// any one layout of localTranslation taken out; MayDial, ".Unmap()" taken out; "named ||" put before the first return.
func TestAttackSpecialAddresses(t *testing.T) {
	everything := prefixes("0.0.0.0/0", "::/0", "169.254.0.0/16", "169.254.169.0/31", "fd00:ec2::/32")
	for addrs, want := range map[string][]bool{ // unnamed, named by the operator, opened by a wide allow_private
		"0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.255 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1 " +
			"198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 " +
			":: ::1 100::1 2001::1 2001:10::1 2001:1ff:: 2001:db8::1 3fff::1 5f00::1 fc00::1 fdff::1 fe80::1 fe80::1%lo febf::1 fec0::1 ff02::1 " +
			"::ffff:127.0.0.1 ::127.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b:1::127.0.0.1 2002:7f00:1:: 2002:7f00:1::1 " +
			"::ffff:10.0.0.1 ::10.0.0.1 64:ff9b::10.0.0.1 2002:a00:1::1 2002:c0a8:1:: 64:ff9b::8.8.8.8 2002:808:808::1": {false, true, true},
		"169.254.169.254 169.254.170.2 100.100.100.200 168.63.129.16 192.0.0.192 fd00:ec2::254 fd00:42::42 fd20:ce::254 " +
			"::ffff:169.254.169.254 ::169.254.169.254 ::ffff:0:169.254.169.254 64:ff9b::169.254.169.254 64:ff9b:1::a9fe:a9fe " +
			"2002:a9fe:a9fe:: 2002:a9fe:a9fe::1 64:ff9b::100.100.100.200 2002:6464:64c8::1 64:ff9b::168.63.129.16": {false, false, false},
		"1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 " +
			"172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 ::ffff:8.8.8.8 2001:200:: 2003:: 2606:4700::1111": {true, true, true},
	} {
		for s := range strings.FieldsSeq(addrs) {
			ip := netip.MustParseAddr(s)
			if got := []bool{MayDial(ip, false, nil), MayDial(ip, true, nil), MayDial(ip, false, everything)}; !slices.Equal(got, want) {
				t.Errorf("%s: unnamed, named, opened: %v, want %v", s, got, want)
			}
			if exact := ip.Unmap().WithZone(""); !MayDial(ip, false, prefixes(fmt.Sprint(exact, "/", exact.BitLen()))) {
				t.Errorf("%s is refused although allow_private has exactly that address", s)
			}
		}
	}
	t.Run("short translation prefix", func(t *testing.T) { // of 48, 56 and 64 bits (RFC 8215, RFC 6052 section 2.2)
		for _, s := range []string{"64:ff9b:1:6464:64:c800::", "64:ff9b:1:64:64:64c8::", "64:ff9b:1:1:64:6464:c800::"} {
			if MayDial(netip.MustParseAddr(s), true, nil) {
				t.Errorf("%s embeds 100.100.100.200 and may be dialled", s)
			}
		}
	})
}

// reach asks the proxy for http://host:port/ through CONNECT, then in absolute
// form. It returns both bodies, or the errors of refusals.
func (f *fixture) reach(host, port string) (outcomes [2]string) {
	f.t.Helper()
	target := host + ":" + port
	for i, request := range []string{connectTo(target) + rawRequest("GET", "/", target), rawRequest("GET", "http://"+target+"/", target)} {
		conn := f.dial()
		io.WriteString(conn, request)
		r := bufio.NewReader(conn)
		if b, _ := r.Peek(len(established)); string(b) == string(established) {
			r.Discard(len(b))
		}
		resp := f.read(r, "GET")
		outcomes[i] = text(f.t, resp)
		if m := proxyStatusForm.FindStringSubmatch(resp.Header.Get("Proxy-Status")); m != nil {
			outcomes[i] = fmt.Sprint(resp.StatusCode, " ", m[1])
		}
		conn.Close()
	}
	return outcomes
}

const prohibited, loop = "403 destination_ip_prohibited", "403 proxy_loop_detected"

// victim is a server that must not even be connected to.
func victim(t *testing.T, addr string) *capture {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skip(err) // not every machine has the address
	}
	return serveListener(t, l, func(net.Conn) {})
}

func (f *fixture) checkSpared(victims ...*capture) {
	f.t.Helper()
	f.end()
	for _, v := range victims {
		if v.conns.Load() != 0 {
			f.t.Errorf("%s was connected to and received %q", v.addr, v)
		}
	}
}

// I7: a loopback service by every literal that has a canonical form, other
// addresses that no client may reach, and the proxy's own listener even if all
// addresses are allowed. TestAttackTargetSpellings has the literals that are
// refused as such, TestRefuseOwnListener other listeners.
//
// seen red: dial.go dial, "!" of MayDial taken out, in a network
// namespace of its own; the call of own taken out: the proxy asked itself.
func TestAttackAddressLiterals(t *testing.T) {
	local := strings.Fields("127.0.0.1 127.0.0.1. localhost LocalHost. 0.0.0.0 [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::FFFF:7F00:0001] [::ffff:0.0.0.0]")
	other := strings.Fields("127.1.2.3 [::1] [0:0:0:0:0:0:0:1] [0000::0001] [::127.0.0.1] [::ffff:0:127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b:1::7f00:1] [2002:7f00:1::] " +
		"[2002:a9fe:a9fe::1] [64:ff9b::a9fe:a9fe] [::ffff:169.254.169.254] [fd00:ec2::254] [fe80::1] [fec0::1] [ff02::1] 255.255.255.255")
	v4 := victim(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(v4.addr)
	v6 := victim(t, "[::1]:"+port)
	f := start(t, config(), nil)
	f.watch(canary)
	for _, host := range slices.Concat(local, other) {
		if got := f.reach(host, port); got != [2]string{prohibited, prohibited} {
			t.Errorf("%s: %q", host, got)
		}
	}
	f.checkSpared(v4, v6)
	f = startWith(t, config(), nil, func(p *Proxy) { p.AllowPrivate = prefixes("0.0.0.0/0", "::/0") })
	_, port, _ = net.SplitHostPort(f.addr)
	for _, host := range local {
		if got := f.reach(host, port); got != [2]string{loop, loop} {
			t.Errorf("itself as %s: %q", host, got)
		}
	}
	if n := len(f.end()); n != 2*len(local) { // a request to itself would have a record too
		t.Errorf("%d requests, want %d", n, 2*len(local))
	}
}

// I7: what DNS says is checked on its way into the socket, for each connection
// anew. 127.0.0.1, which allow_private has, stands for a public address here.
// TestMixedAddresses and TestRefuseAddressOfRule have hosts that a rule names.
//
// seen red: dial.go dial, the check moved from ControlContext to a look-up of its
// own before the dial: rebinding.
func TestAttackNames(t *testing.T) {
	const public, private, private6 = "127.0.0.1", "127.0.0.2", "::1"
	for _, test := range []struct {
		name, host string
		lookups    []string  // what each look-up is answered; the last one for good
		want       [2]string // through CONNECT, then in plain http
	}{
		{"loopback", "x.test", []string{private}, [2]string{prohibited, prohibited}},
		{"AAAA", "x.test", []string{private6, "::ffff:127.0.0.2"}, [2]string{prohibited, prohibited}},
		{"all are special", "x.test", []string{private + " ::1 ::ffff:127.0.0.2"}, [2]string{prohibited, prohibited}},
		{"NAT64 and 6to4", "x.test", []string{"64:ff9b::127.0.0.2", "2002:7f00:2::1"}, [2]string{prohibited, prohibited}},
		{"metadata, named", "direct.test", []string{"169.254.169.254", "64:ff9b::a9fe:a9fe"}, [2]string{prohibited, prohibited}},
		{"public last", "x.test", []string{private + " ::1 " + public}, [2]string{"ok", "ok"}},
		{"rebinding", "x.test", []string{public, private}, [2]string{"ok", prohibited}},
		{"rebinding there and back", "x.test", []string{private, public, private6}, [2]string{prohibited, "ok"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var queries atomic.Int32
			names.set(t, test.host, func() (all []netip.Addr) {
				lookup := int(queries.Add(1)-1) / 2 // A and AAAA
				for s := range strings.FieldsSeq(test.lookups[min(lookup, len(test.lookups)-1)]) {
					all = append(all, netip.MustParseAddr(s))
				}
				return all
			})
			o := servePlain(t)
			_, port, _ := net.SplitHostPort(o.addr)
			v4, v6 := victim(t, private+":"+port), victim(t, "[::1]:"+port)
			f := startWith(t, config(), nil, func(p *Proxy) { p.AllowPrivate = prefixes(public + "/32") })
			f.watch(canary)
			if got := f.reach(test.host, port); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if n := len(o.outcomes(f)); n != strings.Count(strings.Join(test.want[:], " "), "ok") {
				t.Errorf("%d requests arrived", n)
			}
			f.checkSpared(v4, v6)
		})
	}
}

// I8: what is keyed, bare and refused, and that path and query arrive as sent.
// rules.TestPaths has many more spellings.
//
// seen red: rules/path.go, "';'," out of plainPath; maxDecodings 1; "decoded + 1"
// without 1; h2_exchange.go, URL.Path for the second RequestURI.
func TestAttackPaths(t *testing.T) {
	c := config()
	c.Rules[0].MatchPaths = []string{"/v1/*", "/api/v4/projects/group%2Fname/*", "/@scope%2f*"}
	overBoth(t, func(t *testing.T, http2 bool) {
		f, o := besiege(t, http2, c)
		var want []string
		for outcome, paths := range map[string]string{ // separated by spaces
			"keyed": "/v1/ /v1/a?b /v1/a?x=/../../admin&y=%2e%2e/%2f;\\// /v1/a??b?c=%zz%&=;+ /v1/a/../b?q /v1/a//b/./c;p=1 /v1/a%2Fb%2fc /v1/%41%7e~ /v1/a%252Fb /v1/a%00b " +
				"/api/v4/projects/group%2Fname/x?ref=a%2Fb /api/v4/projects/group%2fname/issues /@scope%2fname /@scope%2Fname?write=true",
			"bare": "/ /v1 /v1?/v1/a /admin?/v1/a /v2/a /V1/a /v10/a /admin/..%2fx /api/v4/projects/group/name/x /api/v4/projects/other%2Fname/x /@scope/name /@other%2fname /a%20b;c//d",
			"ambiguous": "/v1/.. /v1/../admin /v1/../admin?/v1/a /v1/%2e%2e/admin /v1/%2E./admin /v1/..%2fadmin /v1/..%2Fadmin /v1/%2e%2e%2fadmin /v1/..%5cadmin /v1/..\\admin " +
				"/v1/%252e%252e/admin /v1/..%252fadmin /v1/..%255cadmin /v1/..;/admin /v1/..;x=y/admin /v1/..%3b/admin /v1/a//../../../admin //v1/a /./v1/a /admin/../v1/a /%76%31/a /v1%2fa " +
				"/v1;x/a /v1/a/..%2f..%2fadmin /api/v4/projects/group%2Fname/..%2f..%2fadmin /api/v4/projects/group%252Fname/x /@scope%2f..%2fother%2fx /@scope%2f%2e%2e/other",
		} {
			for path := range strings.FieldsSeq(paths) {
				resp := f.ask(http2, "api.test:443", get(path)...)
				r := f.record()
				if outcome == "ambiguous" {
					t.Run(path, func(t *testing.T) { refusal{403, "http_request_denied", "ambiguous_path"}.check(t, resp, r) })
					continue
				}
				want = append(want, path+" "+outcome)
				if b := text(t, resp); resp.StatusCode != 200 || b != "ok" || (len(r.Injected) > 0) != (outcome == "keyed") {
					t.Errorf("%s: status %d %q, record %+v", path, resp.StatusCode, b, r)
				}
			}
		}
		if got := o.outcomes(f); !slices.Equal(got, want) {
			t.Errorf("the upstream received\n%q, want\n%q", got, want)
		}
	})
}

// outcomes are the request targets that arrived, with "keyed" or "bare".
func (o *origin) outcomes(f *fixture) (all []string) {
	f.t.Helper()
	for _, a := range o.settled(f) {
		check, outcome := a.checkKeyed, " keyed"
		if a.header.Get("Authorization") == "" {
			check, outcome = a.checkBare, " bare"
		}
		check(f.t)
		all = append(all, a.path+outcome)
	}
	return all
}

// I9: methods that make a tunnel or an echo, in any case, and targets that are no
// path. net/http answers some of them for HTTP/2 with a reset, which is status 0.
// TestAttackAuthority has more absolute URIs, TestRefusePlain more plain http.
//
// seen red: exchange.go admit, ToUpper taken out; the check of the first byte too.
func TestAttackForms(t *testing.T) {
	forbidden := strings.Fields("CONNECT TRACE TRACK PRI connect trace Track pRI")
	lines := strings.Split("GET *|OPTIONS *|GET http:evil|GET https:/evil.test/|GET https://api.test/|GET HTTPS://api.test:443/|GET http://api.test/|"+
		`POST https://evil.test/|GET evil.test/|GET api.test:443|GET ?q|GET \|GET \v1\..\a|GET .|GET %2f|GET ;/`, "|")
	for _, method := range forbidden {
		lines = append(lines, method+" /v1/a", method+" evil.test:443", method+" *", method+" https://api.test/")
	}
	overBoth(t, func(t *testing.T, http2 bool) {
		f, o := besiege(t, http2, config())
		for _, line := range lines {
			method, target, _ := strings.Cut(line, " ")
			want, got := []int{map[bool]int{false: 400, true: 405}[slices.Contains(forbidden, method)]}, []int{0}
			if http2 {
				c := f.openHTTP2("api.test:443")
				got[0], _ = f.askRaw(c, "", pair{":method", method}, pair{":scheme", "https"}, pair{":authority", "api.test"}, pair{":path", target})
				c.conn.Close()
			} else {
				got = statuses(f.attack("api.test:443", rawRequest(method, target, "api.test")+last))
			}
			if !slices.Equal(got, want) && (!http2 || got[0] != 0) {
				t.Errorf("%s: statuses %v, want %v", line, got, want)
			}
		}
		o.nothing(f)
	})
	t.Run("plain http", func(t *testing.T) {
		o := servePlain(t)
		f := start(t, config(), map[string]string{"api.test:80": o.addr})
		f.watch(canary)
		for _, line := range []string{"trace http://api.test/", "TRACK http://api.test/", "pri http://api.test", "connect http://api.test/", "CONNECT http://api.test/",
			"connect api.test:80", "GET *", "OPTIONS *", "PRI *", "GET http:api.test", "GET http:/api.test/", "GET api.test/", `GET http:\\api.test/`} {
			conn := f.dial()
			io.WriteString(conn, line+" HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n")
			if all := statuses(f.hear(conn)); len(all) != 1 || all[0] != 400 && all[0] != 405 {
				t.Errorf("%s: statuses %v", line, all)
			}
		}
		o.nothing(f)
	})
}

// I4: a rule for one port is not for the others, whatever Host says.
// TestAttackOtherPort has rules without a port, and absolute-form http.
//
// seen red: exchange.go checkAuthority, only hosts compared; rules/index.go, names.
func TestAttackPortOfRule(t *testing.T) {
	c := config()
	c.Rules[0].MatchHosts = []string{"api.test:8443"}
	overBoth(t, func(t *testing.T, http2 bool) {
		o := serveOrigin(t, "api.test", http2)
		f := start(t, c, map[string]string{"api.test:443": o.addr, "api.test:8443": o.addr, "api.test:80": o.addr})
		f.watch(canary)
		var all []int
		for _, ports := range [][2]string{{"443", "443"}, {"443", "8443"}, {"80", "8443"}, {"8443", "443"}, {"8443", "8443"}} {
			resp := f.ask(http2, "api.test:"+ports[0], pair{":method", "GET"}, pair{":scheme", "https"}, pair{":authority", "api.test:" + ports[1]}, pair{":path", "/" + ports[0]})
			all = append(all, resp.StatusCode)
		}
		if !slices.Equal(all, []int{200, 200, 200, 421, 200}) {
			t.Errorf("statuses %v", all)
		}
		if got := o.outcomes(f); !slices.Equal(got, []string{"/443 bare", "/443 bare", "/80 bare", "/8443 keyed"}) {
			t.Errorf("the upstream received %q", got)
		}
	})
}
