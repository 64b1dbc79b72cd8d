package config

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"keybearer/rules"
)

// What is written becomes an address, credentials and the hosts that go without.
func TestUpstreamProxy(t *testing.T) {
	for _, test := range []struct {
		name, url, prints, credentials string
	}{
		{"no credentials", "http://proxy.example.com:3128", "http://proxy.example.com:3128", ""},
		{"https", "HTTPS://Proxy.Example.com:8443/", "https://proxy.example.com:8443", ""},
		{"address", "http://10.1.2.3:3128", "http://10.1.2.3:3128", ""},
		{"IPv6", "http://[fd00::1]:3128", "http://[fd00::1]:3128", ""},
		{"literal", "http://me:pw@p.test:1", "http://p.test:1", "Basic bWU6cHc="},                // me:pw
		{"encoded", "http://a%40b:p%3a%2f%25@p.test:1", "http://p.test:1", "Basic YUBiOnA6LyU="}, // a@b:p:/%
		{"not encoded", "http://me:p@/w:x@p.test:1", "http://p.test:1", "Basic bWU6cEAvdzp4"},    // me:p@/w:x
		{"references", "http://${USER}:x${PASS}@p.test:1", "http://p.test:1", "Basic W1VTRVJdOnhbUEFTU10="},
		{"an encoded dollar", "http://me:%24{PASS}@p.test:1", "http://p.test:1", "Basic bWU6JHtQQVNTfQ=="}, // me:${PASS}
		{"no password", "http://me@p.test:1", "http://p.test:1", "Basic bWU6"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := mustLoad(t, good+"upstream_proxy: "+test.url+"\n").Settings.UpstreamProxy
			if p.String() != test.prints || p.TLS != strings.HasPrefix(test.prints, "https") {
				t.Errorf("is %v, TLS %v", p, p.TLS)
			}
			got := ""
			if c := p.Credentials(); c != nil {
				var err error
				if got, _, err = c.Expand(func(name string) (string, error) { return "[" + name + "]", nil }); err != nil {
					t.Fatal(err)
				}
			}
			if got != test.credentials {
				t.Errorf("credentials %s, want %s", got, test.credentials)
			}
		})
	}
	if p := mustLoad(t, good+"upstream_proxy: ''\nupstream_no_proxy: [a.test]\n").Settings.UpstreamProxy; p != nil {
		t.Errorf("without a URL there is %v", p)
	}
}

func TestUpstreamNoProxy(t *testing.T) {
	p := mustLoad(t, good+"upstream_proxy: http://p.test:1\nupstream_no_proxy: [stripe.com, .corp.test, 10.0.0.0/8, 'a.test:8443']\n").Settings.UpstreamProxy
	for target, want := range map[string]bool{
		"stripe.com:443": true, "api.stripe.com:80": true, "corp.test:443": false, "a.corp.test:443": true,
		"10.1.2.3:443": true, "11.1.2.3:443": false, "a.test:8443": true, "a.test:443": false, "api.example.com:443": false,
	} {
		parsed, err := rules.ParseTarget(target, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Direct(parsed); got != want {
			t.Errorf("%s is direct: %v, want %v", target, got, want)
		}
	}
}

// Nothing of what is refused is repeated: it may be the password.
func TestUpstreamProxyRefused(t *testing.T) {
	const canary = "canary-7d1f"
	for _, test := range []struct{ name, url, want string }{
		{"no scheme", canary + ":x@p.test:1", "must begin with http://"},
		{"socks", "socks5://u:" + canary + "@p.test:1", "must begin with http://"},
		{"no port", "http://u:" + canary + "@p.test", "must be http://HOST:PORT"},
		{"password for a port", "http://u:" + canary, "must be http://HOST:PORT"},
		{"no host", "https://u:" + canary + "@:1", "must be https://HOST:PORT"},
		{"path", "http://p.test:1/" + canary, "must be http://HOST:PORT"},
		{"bad escape", "http://u:%zz" + canary + "@p.test:1", "the username or the password holds a %"},
		{"bad reference", "http://u:${" + canary + "@p.test:1", "the credentials: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := mustFail(t, good+"upstream_proxy: "+test.url+"\n")
			if !strings.Contains(got, "upstream_proxy: "+test.want) || strings.Contains(got, canary) {
				t.Error(got)
			}
		})
	}
}

// A flag comes before the variable and the variable before the file; but a password
// has no place among the arguments, where everybody reads it.
func TestUpstreamProxyLayers(t *testing.T) {
	t.Setenv("KEYBEARER_UPSTREAM_PROXY", "http://u:pw@variable.test:1")
	t.Setenv("KEYBEARER_UPSTREAM_NO_PROXY", "a.test, b.test")
	text := good + "upstream_proxy: http://file.test:1\n"
	p := mustLoad(t, text).Settings.UpstreamProxy
	if p.String() != "http://variable.test:1" || strings.Join(p.NoProxy, " ") != "a.test b.test" {
		t.Errorf("is %v, without %v", p, p.NoProxy)
	}
	for _, test := range []struct{ value, want string }{
		{"http://flag.test:1", ""},
		{"http://u:${PASS}@flag.test:1", ""},
		{"http://u:canary@flag.test:1", "--upstream-proxy: every process of this machine can read a password on a command line"},
	} {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		flags.String("upstream-proxy", "", "")
		if err := flags.Parse([]string{"--upstream-proxy=" + test.value}); err != nil {
			t.Fatal(err)
		}
		c, err := loadText(text, Options{Flags: flags})
		switch {
		case test.want == "" && err != nil:
			t.Error(err)
		case test.want == "" && c.Settings.UpstreamProxy.String() != "http://flag.test:1":
			t.Errorf("is %v", c.Settings.UpstreamProxy)
		case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "canary")):
			t.Errorf("%v, want %s", err, test.want)
		}
	}
}

// A secret that only the proxy needs is used, and a variable with the same
// credentials is known for one.
func TestUpstreamProxySecrets(t *testing.T) {
	c := mustLoad(t, good+"upstream_proxy: 'http://u:${PASS}@p.test:1'\nsecrets: {PASS: {env: P}}\n")
	if got := strings.Join(c.References(), " "); !strings.Contains(got, "PASS") || len(c.Warnings) > 0 {
		t.Errorf("references %s, warnings %v", got, c.Warnings)
	}
	p := mustLoad(t, good+"upstream_proxy: http://u:pw@p.test:1\n").Settings.UpstreamProxy
	if !p.Leaks("http://u:pw@p.test:1") || p.Leaks("http://p.test:1") || (*UpstreamProxy)(nil).Leaks("http://u:pw@p.test:1") {
		t.Error("the credentials are not recognised")
	}
}
