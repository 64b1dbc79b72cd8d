package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"keybearer/rules"
)

// An UpstreamProxy is the proxy of a corporate network, on the way to the
// upstreams. It prints as its address, without the credentials.
type UpstreamProxy struct {
	Address rules.Target
	TLS     bool     // it is an https:// proxy
	NoProxy []string // hosts that are reached without it, as written

	set      *rules.Set
	userinfo string // as written
}

// String is the proxy's URL without credentials.
func (p *UpstreamProxy) String() string {
	if p.TLS {
		return "https://" + p.Address.String()
	}
	return "http://" + p.Address.String()
}

// Credentials returns what the proxy wants in Proxy-Authorization, nil if nothing.
func (p *UpstreamProxy) Credentials() *rules.Injection {
	if field, ok := p.set.ClientAuth(); ok {
		return &field
	}
	return nil
}

// References lists the names of the secrets in the credentials. It may be called
// on nil.
func (p *UpstreamProxy) References() []string {
	if p == nil {
		return nil
	}
	return p.set.References()
}

// Direct reports whether upstream_no_proxy names a target.
func (p *UpstreamProxy) Direct(t rules.Target) bool { return p.set.Decide(t).Verdict == rules.Tunnel }

// Leaks reports whether text holds the credentials as they stand in the URL. HTTPS_PROXY
// often holds the same. It may be called on nil.
func (p *UpstreamProxy) Leaks(text string) bool {
	return p != nil && p.userinfo != "" && strings.Contains(unescaped(text), unescaped(p.userinfo)+"@")
}

// unescaped is text without percent-encoding, in which people differ.
func unescaped(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// Equal reports whether both settings are the same. Either may be nil.
func (p *UpstreamProxy) Equal(q *UpstreamProxy) bool {
	if p == nil || q == nil {
		return p == q
	}
	return p.String() == q.String() && p.userinfo == q.userinfo && slices.Equal(p.NoProxy, q.NoProxy)
}

// upstreamProxy reads upstream_proxy and upstream_no_proxy. Compile knows both the
// hosts of a no_proxy and the credentials that a proxy wants; so the two settings
// are a policy of their own. The URL is in no message: it may hold a password.
func (l *layers) upstreamProxy() *UpstreamProxy {
	const setting, bypass = "upstream_proxy", "upstream_no_proxy"
	p := &UpstreamProxy{NoProxy: l.list(bypass)}
	terms := rules.Config{NoProxy: p.NoProxy}
	text := l.viper.GetString(setting)
	if text != "" {
		if err := p.parse(text, &terms); err != nil {
			l.problem(setting, setting, err)
		}
	}
	var problems []rules.Problem
	p.set, problems = rules.Compile(terms, rules.Deny)
	for _, problem := range problems {
		at, isHost := strings.CutPrefix(problem.Path, "no_proxy")
		switch {
		case problem.Warning:
		case isHost:
			l.problem(bypass, bypass+at, errors.New(problem.Message))
		default:
			l.problem(setting, setting, errors.New("the credentials: "+problem.Message))
		}
	}
	switch {
	case text == "" || p.set == nil:
		return nil
	case l.flag(setting) != nil && terms.ClientAuth != nil && terms.ClientAuth.Password != "" && len(p.References()) == 0:
		l.problem(setting, setting, errors.New("every process of this machine can read a password on a command line; "+
			"write ${NAME} for the secret NAME, or use "+envName(setting)+" or the file"))
	}
	return p
}

// parse reads http[s]://[USER:PASSWORD@]HOST:PORT. net/url would refuse the braces
// of a reference, and repeats the text in its errors.
func (p *UpstreamProxy) parse(text string, terms *rules.Config) error {
	scheme, rest, ok := strings.Cut(text, "://")
	p.TLS = strings.EqualFold(scheme, "https")
	if !ok || !p.TLS && !strings.EqualFold(scheme, "http") {
		return errors.New("must begin with http:// or https://, as in http://proxy.example.com:3128; other kinds of proxies are not supported")
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		p.userinfo, rest = rest[:at], rest[at+1:]
		username, password, _ := strings.Cut(p.userinfo, ":")
		auth := new(rules.BasicAuthConfig)
		for _, part := range []struct {
			to   *string
			text string
		}{{&auth.Username, username}, {&auth.Password, password}} {
			var err error
			// A $ that the URL encodes is one, and not the beginning of a reference.
			if *part.to, err = url.PathUnescape(strings.ReplaceAll(part.text, "%24", "$$")); err != nil {
				return errors.New("the username or the password holds a % that encodes nothing; write %25 for a %")
			}
		}
		terms.ClientAuth = auth
	}
	host, path, _ := strings.Cut(rest, "/")
	var err error
	if p.Address, err = rules.ParseTarget(host, 0); err != nil || path != "" {
		return fmt.Errorf("must be %s://HOST:PORT or %[1]s://USER:PASSWORD@HOST:PORT, with the special characters of the password percent-encoded", strings.ToLower(scheme))
	}
	return nil
}
