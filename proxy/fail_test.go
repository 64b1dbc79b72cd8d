package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"keybearer/rules"
)

// refusal is what the client and the record must say of a request that was
// refused. words stand in the text that the client gets.
type refusal struct {
	status int
	kind   string
	words  string
}

var proxyStatusForm = regexp.MustCompile(`^keybearer; error=([a-z_]+); details="((?:[ !#-\[\]-~]|\\["\\])*)"$`)

func (want refusal) check(t *testing.T, resp *http.Response, r Record) {
	t.Helper()
	body := text(t, resp)
	if resp.StatusCode != want.status {
		t.Errorf("status %d, want %d: %s", resp.StatusCode, want.status, body)
	}
	values := resp.Header.Values("Proxy-Status")
	if len(values) != 1 {
		t.Fatalf("Proxy-Status %q; body %q", values, body)
	}
	m := proxyStatusForm.FindStringSubmatch(values[0])
	if m == nil || m[1] != want.kind || m[2] == "" {
		t.Errorf("Proxy-Status %q, want error %s with details", values[0], want.kind)
	}
	if !strings.HasPrefix(body, "keybearer: ") || !strings.Contains(body, "\nNext: ") || !strings.Contains(body, want.words) {
		t.Errorf("text %q, want a reason and a next step, with %q", body, want.words)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "text/plain; charset=utf-8" {
		t.Errorf("Content-Type %q", ct)
	}
	if r.Status != want.status || r.Error != want.kind || r.Reason == "" {
		t.Errorf("record %+v, want status %d and error %s", r, want.status, want.kind)
	}
}

// oneRecord checks that there is one record and no more, and returns it.
func (f *fixture) oneRecord() Record {
	f.t.Helper()
	r := f.record()
	if all := f.end(); len(all) != 1 {
		f.t.Errorf("%d records, want 1: %+v", len(all), all)
	}
	return r
}

func connectTo(target string) string {
	return fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
}

func denyList(hosts ...string) rules.Config {
	c := config()
	c.AccessControl = &rules.AccessControlConfig{DenyList: hosts}
	return c
}

// What is refused before a tunnel or TLS begins.
func TestRefuseOuter(t *testing.T) {
	names.resolve(t, "private.test", "10.0.0.1")
	names.resolve(t, "mapped.test", "::ffff:10.0.0.1")
	names.resolve(t, "mixed.test", "10.0.0.1", "192.168.0.1", "fd00::1")
	names.resolve(t, "nat64.test", "64:ff9b::a00:1")
	names.resolve(t, "meta.test", "169.254.169.254")
	metaRule := config()
	metaRule.NoProxy = []string{"meta.test", "169.254.169.254"}
	refused := closedPort(t)
	head := func(n int) string {
		return "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\nX: " + strings.Repeat("a", n) + "\r\n\r\n"
	}
	malformed := refusal{400, "http_request_error", "accepts only unambiguous HTTP/1.1"}
	badTarget := refusal{400, "http_request_error", "name a host and a port"}
	notProxy := refusal{400, "http_request_error", "HTTPS_PROXY"}
	denied := refusal{403, "http_request_denied", "keybearer explain"}
	private := refusal{403, "destination_ip_prohibited", "allow_private"}
	tests := []struct {
		name   string
		raw    string
		config rules.Config
		want   refusal
	}{
		{"no port", connectTo("api.test"), config(), badTarget},
		{"port zero", connectTo("api.test:0"), config(), badTarget},
		{"port too high", connectTo("api.test:99999"), config(), badTarget},
		{"user information", connectTo("api.test@evil.test:443"), config(), badTarget},
		{"wildcard", connectTo("*:443"), config(), badTarget},
		{"percent", connectTo("api%2etest:443"), config(), badTarget},
		{"zone", connectTo("[fe80::1%25lo]:443"), config(), badTarget},
		{"octal address", connectTo("0177.0.0.1:443"), config(), badTarget},
		{"hex address", connectTo("0x7f.1:443"), config(), badTarget},
		{"decimal address", connectTo("2130706433:443"), config(), badTarget},
		{"raw Unicode", connectTo("\u00e4pi.test:443"), config(), badTarget},
		{"a scheme", connectTo("https://api.test:443"), config(), badTarget},
		{"CONNECT with a body", "CONNECT api.test:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", config(), malformed},
		{"CONNECT with chunks", "CONNECT api.test:443 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", config(), malformed},
		{"origin form", "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", config(), notProxy},
		{"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: api.test\r\n\r\n", config(), notProxy},
		{"lower-case connect", "connect api.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n", config(), notProxy},
		{"https without CONNECT", "GET HTTPS://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n", config(), refusal{400, "http_request_error", "opens a tunnel"}},
		{"ftp", "GET ftp://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n", config(), notProxy},
		{"bare line feed", "CONNECT api.test:443 HTTP/1.1\nHost: api.test:443\n\n", config(), malformed},
		{"folded field", "CONNECT api.test:443 HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", config(), malformed},
		{"space before colon", "CONNECT api.test:443 HTTP/1.1\r\nHost : a\r\n\r\n", config(), malformed},
		{"no version", "CONNECT api.test:443\r\n\r\n", config(), malformed},
		{"HTTP/2.0", "CONNECT api.test:443 HTTP/2.0\r\n\r\n", config(), malformed},
		{"NUL in a field", "CONNECT api.test:443 HTTP/1.1\r\nHost: a\x00b\r\n\r\n", config(), malformed},
		{"head too large", head(17 << 10), config(), refusal{431, "http_request_error", "shorter headers"}},
		{"too many fields", "CONNECT api.test:443 HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 201) + "\r\n", config(),
			refusal{431, "http_request_error", "fewer"}},
		{"denied", connectTo("bad.test:443"), denyList("bad.test"), denied},
		{"private address", connectTo("10.0.0.1:443"), config(), private},
		{"loopback address", connectTo("127.0.0.1:9"), config(), private},
		{"unspecified address", connectTo("0.0.0.0:9"), config(), private},
		{"IPv6 loopback", connectTo("[::1]:9"), config(), private},
		{"IPv4-mapped", connectTo("[::ffff:10.0.0.1]:443"), config(), private},
		{"carrier-grade NAT", connectTo("100.64.0.1:443"), config(), private},
		{"link-local", connectTo("[fe80::1]:443"), config(), private},
		{"name of a private address", connectTo("private.test:443"), config(), private},
		{"name of a mapped address", connectTo("mapped.test:443"), config(), private},
		{"name of several", connectTo("mixed.test:443"), config(), private},
		{"name of a NAT64 address", connectTo("nat64.test:443"), config(), private},
		{"metadata", connectTo("169.254.169.254:80"), config(), private},
		{"metadata named by the operator", connectTo("169.254.169.254:80"), metaRule, private},
		{"name of metadata, named by the operator", connectTo("meta.test:80"), metaRule, private},
		{"name does not resolve", connectTo("nowhere.test:443"), config(), refusal{502, "dns_error", "nowhere.test"}},
		{"refused", connectTo("direct.test:443"), config(), refusal{502, "connection_refused", "the upstream is running"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := start(t, test.config, map[string]string{"direct.test:443": refused})
			conn := f.dial()
			resp := f.do(conn, "CONNECT", test.raw)
			conn.Close()
			test.want.check(t, resp, f.oneRecord())
			if f.authority.Minted() != 0 {
				t.Error("a leaf was minted")
			}
		})
	}
}

// closedPort is an address on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// unmatched_hosts: deny refuses what no rule and no no_proxy entry names.
func TestRefuseUnmatched(t *testing.T) {
	f := start(t, config(), nil)
	f.setPolicyFor(config(), rules.Deny, nil)
	conn := f.dial()
	resp := f.do(conn, "CONNECT", connectTo("other.test:443"))
	conn.Close()
	r := f.oneRecord()
	refusal{403, "http_request_denied", "other.test"}.check(t, resp, r)
	if r.Verdict != rules.Deny || r.Target != "other.test:443" || r.Method != "CONNECT" {
		t.Errorf("record %+v", r)
	}
}

// A CONNECT with an empty body is no smuggling: WinINet sends Content-Length: 0.
func TestConnectWithContentLengthZero(t *testing.T) {
	addr := serveRaw(t, "direct.test", nil, func(net.Conn) {}).addr
	f := start(t, config(), map[string]string{"direct.test:443": addr})
	conn := f.dial()
	io.WriteString(conn, "CONNECT direct.test:443 HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
	head := make([]byte, len(established))
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != string(established) {
		t.Errorf("%q, %v", head, err)
	}
}
