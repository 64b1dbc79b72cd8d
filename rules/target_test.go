package rules

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, tt := range []struct {
		name, in    string
		defaultPort uint16
		want        string
	}{
		{"plain", "api.openai.com:443", 0, "api.openai.com:443"},
		{"case is folded", "API.OpenAI.Com:443", 0, "api.openai.com:443"},
		{"trailing dot", "api.openai.com.:443", 0, "api.openai.com:443"},
		{"default port", "api.openai.com", 443, "api.openai.com:443"},
		{"given port wins", "api.openai.com:8443", 443, "api.openai.com:8443"},
		{"lowest port", "a:1", 0, "a:1"},
		{"highest port", "a:65535", 0, "a:65535"},
		{"single label", "localhost:80", 0, "localhost:80"},
		{"underscore", "my_bucket.s3.amazonaws.com:443", 0, "my_bucket.s3.amazonaws.com:443"},
		{"hyphens in third and fourth place", "r3---sn-4g5e6nze.googlevideo.com:443", 0, "r3---sn-4g5e6nze.googlevideo.com:443"},
		{"hyphen at the end", "a-.tumblr.com:443", 0, "a-.tumblr.com:443"},
		{"A-label", "xn--mnchen-3ya.de:443", 0, "xn--mnchen-3ya.de:443"},
		{"A-label, case", "XN--Mnchen-3YA.de:443", 0, "xn--mnchen-3ya.de:443"},
		{"A-label of a symbol", "xn--i-7iq.ws:443", 0, "xn--i-7iq.ws:443"},
		{"digits in front", "1password.com:443", 0, "1password.com:443"},
		{"numeric label that is not last", "1.2.3.4.nip.io:443", 0, "1.2.3.4.nip.io:443"},
		{"hex look-alike that is none", "0xg:443", 0, "0xg:443"},
		{"IPv4", "127.0.0.1:443", 0, "127.0.0.1:443"},
		{"IPv4 with a trailing dot", "127.0.0.1.:443", 0, "127.0.0.1:443"},
		{"IPv6", "[2001:db8::1]:443", 0, "[2001:db8::1]:443"},
		{"IPv6 without port", "[2001:db8::1]", 443, "[2001:db8::1]:443"},
		{"IPv6 is shortened", "[2001:DB8:0:0:0:0:0:0001]:443", 0, "[2001:db8::1]:443"},
		{"IPv4-mapped is unmapped", "[::ffff:127.0.0.1]:443", 0, "127.0.0.1:443"},
		{"IPv4-mapped in hex", "[::ffff:7f00:1]:443", 0, "127.0.0.1:443"},
		{"longest label", strings.Repeat("a", 63) + ".com:443", 0, strings.Repeat("a", 63) + ".com:443"},
		{"longest name", strings.Repeat("a.", 126) + "a.:443", 0, strings.Repeat("a.", 126) + "a:443"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseTarget(tt.in, tt.defaultPort)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if again, err := ParseTarget(got.String(), 0); err != nil || again != got {
				t.Errorf("read back as %v, %v", again, err)
			}
			if _, err := netip.ParseAddr(got.Host()); (err == nil) != got.Addr().IsValid() {
				t.Errorf("Addr() = %v for host %q", got.Addr(), got.Host())
			}
		})
	}
}

// I3: what has no canonical form is refused.
func TestParseTargetErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", "port is missing"},
		{"no port", "api.openai.com", "port is missing"},
		{"no host", ":443", "host is empty"},
		{"only a dot", ".:443", "host is empty"},
		{"empty port", "api.openai.com:", "port is empty"},
		{"port 0", "api.openai.com:0", "not in 1 to 65535"},
		{"port 00", "api.openai.com:00", "not in 1 to 65535"},
		{"port 65536", "api.openai.com:65536", "not in 1 to 65535"},
		{"port 99999", "api.openai.com:99999", "not in 1 to 65535"},
		{"port beyond any integer", "api.openai.com:" + strings.Repeat("9", 40), "not in 1 to 65535"},
		{"port with leading zero", "api.openai.com:0443", "leading zeros"},
		{"port with sign", "api.openai.com:+443", "not a number"},
		{"port in other digits", "api.openai.com:\u0664\u0664\u0663", "not a number"},
		{"port with space", "api.openai.com: 443", "not a number"},
		{"two ports", "api.openai.com:443:443", "more than one port"},
		{"userinfo", "api@evil:443", "user information"},
		{"userinfo with password", "api:secret@evil:443", "user information"},
		{"path", "api.openai.com/x:443", "'/' is not allowed"},
		{"scheme", "https://api.openai.com:443", "more than one port"},
		{"star", "*:443", "'*' is not allowed"},
		{"percent", "api%2eopenai.com:443", "'%' is not allowed"},
		{"percent alone", "%:443", "'%' is not allowed"},
		{"space", "api openai.com:443", "' ' is not allowed"},
		{"NUL", "api.openai.com\x00.evil.com:443", "is not allowed"},
		{"line break", "api.openai.com\r\nX: y:443", "more than one port"},
		{"list", "a.com,b.com:443", "',' is not allowed"},
		{"backslash", `a.com\b.com:443`, `'\\' is not allowed`},
		{"two trailing dots", "api.openai.com..:443", "empty label"},
		{"leading dot", ".openai.com:443", "empty label"},
		{"empty label", "api..com:443", "empty label"},
		{"leading hyphen", "-api.com:443", "begins with a hyphen"},
		{"label of 64", strings.Repeat("a", 64) + ".com:443", "longer than 63"},
		{"name of 254", strings.Repeat("a.", 126) + "aa:443", "longer than 253"},
		{"raw Unicode", "münchen.de:443", "xn-- form"},
		{"fullwidth digits", "１２７.0.0.1:443", "xn-- form"},
		{"ideographic dot", "api。com:443", "xn-- form"},
		{"Kelvin sign", "api.\u212aom:443", "xn-- form"},
		{"invalid UTF-8", "api\xff.com:443", "xn-- form"},
		{"xn-- of nothing", "xn--.com:443", "not valid IDNA"},
		{"xn-- of ASCII", "xn--abc-.com:443", "not valid IDNA"},
		{"xn-- of a control character", "xn--a.com:443", "not valid IDNA"},
		{"xn-- that does not decode", "xn--zzzzzzz99999.com:443", "not valid IDNA"},
		{"xn-- of capital letters", "xn--mnchen-psa.de:443", "not valid IDNA"},
		{"decimal IPv4", "2130706433:443", "four decimal numbers"},
		{"hex IPv4", "0x7f000001:443", "four decimal numbers"},
		{"hex IPv4 in capitals", "0X7F000001:443", "four decimal numbers"},
		{"bare 0x", "0x:443", "four decimal numbers"},
		{"octal IPv4", "0177.0.0.1:443", "four decimal numbers"},
		{"hex part", "0x7f.0.0.1:443", "four decimal numbers"},
		{"hex last part", "127.0.0.0x1:443", "four decimal numbers"},
		{"short IPv4", "127.1:443", "four decimal numbers"},
		{"long IPv4", "127.0.0.0.1:443", "four decimal numbers"},
		{"leading zeros", "127.0.0.01:443", "four decimal numbers"},
		{"256", "127.0.0.256:443", "four decimal numbers"},
		{"name with numeric end", "foo.1:443", "four decimal numbers"},
		{"name with octal-like end", "foo.08:443", "four decimal numbers"},
		{"IPv6 without brackets", "2001:db8::1:443", "more than one port"},
		{"zone", "[fe80::1%eth0]:443", "zone"},
		{"encoded zone", "[fe80::1%25eth0]:443", "zone"},
		{"IPv4 in brackets", "[127.0.0.1]:443", "only an IPv6 address"},
		{"name in brackets", "[api.openai.com]:443", "only an IPv6 address"},
		{"nothing in brackets", "[]:443", "only an IPv6 address"},
		{"open bracket", "[::1:443", "not closed"},
		{"text after brackets", "[::1]x:443", "only a port"},
		{"dot after brackets", "[::1].:443", "only a port"},
		{"two brackets", "[[::1]]:443", "only a port"},
		{"closing bracket", "a]:443", "']' is not allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseTarget(tt.in, 0)
			if err == nil {
				t.Fatalf("ParseTarget(%q) = %v, want an error with %q", tt.in, got, tt.want)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q repeats the input", err)
			}
			if got != (Target{}) {
				t.Errorf("a target in spite of the error: %v", got)
			}
		})
	}
}

func TestTargetIsAKey(t *testing.T) {
	seen := map[Target]bool{}
	for _, s := range []string{"API.example.com:443", "api.example.com.:443", "api.example.com:443", "[::ffff:1.2.3.4]:443", "1.2.3.4:443"} {
		target, err := ParseTarget(s, 0)
		if err != nil {
			t.Fatal(err)
		}
		seen[target] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d targets, want 2: %v", len(seen), seen)
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"api.openai.com:443", "API.:1", "[::ffff:1.2.3.4]:80", "1.2.3.4:443", "xn--mnchen-3ya.de:443", "a@b:1", "0x7f.1:443", "[fe80::1%25e]:1", "a..b:0443"} {
		f.Add(s, uint16(0))
		f.Add(s, uint16(443))
	}
	f.Fuzz(func(t *testing.T, s string, defaultPort uint16) {
		target, err := ParseTarget(s, defaultPort)
		if err != nil {
			return
		}
		again, err := ParseTarget(target.String(), 0)
		if err != nil || again != target {
			t.Fatalf("%q is %v, read back as %v, %v", s, target, again, err)
		}
		for i := range len(target.host) {
			if c := target.host[i]; !labelByte(c) && c != '.' && c != ':' {
				t.Fatalf("%q: byte %q in host %q", s, c, target.host)
			}
		}
		if a, err := netip.ParseAddr(target.host); err == nil && (a != target.addr || a.Is4In6() || a.Zone() != "") {
			t.Fatalf("%q: address %v, host %q", s, target.addr, target.host)
		}
		upper, err := ParseTarget(strings.ToUpper(s), defaultPort)
		if isASCII(s) && (err != nil || upper != target) {
			t.Fatalf("%q in upper case is %v, %v; want %v", s, upper, err, target)
		}
	})
}
