package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// A hostPattern is one host pattern without braces, in one of four shapes:
//
//	host           api.openai.com, 10.0.0.1
//	base alone     *.github.com
//	glob           s3.*.amazonaws.com (base amazonaws.com); * and ~regex have no base
//	cidr           10.0.0.0/8
//
// base is the literal end of the pattern, whole labels only.
type hostPattern struct {
	host, base string
	glob       *regexp.Regexp
	cidr       netip.Prefix
	port       portSpec

	text   string // as written, for people
	order  int    // of the rule or of the list entry
	broad  bool   // see spansStrangers
	reason string // of a Decision that it makes
	rule   *Rule  // nil in no_proxy and access_control
}

// portSpec is a port, or one of:
type portSpec int32

const (
	portDefault portSpec = 0 // none given: 443, and 80 for plain HTTP
	portAny     portSpec = -1
)

// names reports whether the port is one that the pattern names. For plain HTTP
// the default covers 80, and 443 too: such a request is of the named host and
// must not pass for one of a stranger.
func (p portSpec) names(port uint16, plaintext bool) bool {
	switch p {
	case portAny:
		return true
	case portDefault:
		return port == 443 || plaintext && port == 80
	}
	return p == portSpec(port)
}

func (p portSpec) String() string {
	switch p {
	case portAny:
		return "every port"
	case portDefault:
		return "port 443"
	}
	return fmt.Sprintf("port %d", int32(p))
}

// matches reports whether the pattern names the host, whatever the port.
func (p *hostPattern) matches(t Target) bool {
	switch {
	case p.host != "":
		return p.host == t.host
	case p.glob != nil:
		return p.glob.MatchString(t.host)
	case p.cidr.IsValid():
		return p.cidr.Contains(t.addr)
	}
	n := len(t.host) - len(p.base) - 1
	return n > 0 && t.host[n] == '.' && t.host[n+1:] == p.base
}

// spansStrangers reports whether the pattern spans a public suffix, so that
// hosts of people who have nothing to do with one another match it. A suffix that
// nobody lists (.corp, .internal) is somebody's own. A range of addresses is
// broad if it is larger than the largest that is set aside for private use.
func (p *hostPattern) spansStrangers() bool {
	switch {
	case p.host != "":
		return false
	case p.cidr.IsValid() && p.cidr.Addr().Is4():
		return p.cidr.Bits() < 8
	case p.cidr.IsValid():
		return p.cidr.Bits() < 7
	}
	return p.base == "" || publicSuffix(p.base) || publicSuffix("any."+p.base)
}

func publicSuffix(domain string) bool {
	suffix, icann := publicsuffix.PublicSuffix(domain)
	return suffix == domain && (icann || strings.Contains(suffix, "."))
}

// parseHostPattern reads one entry of match_hosts. Braces make it several
// patterns.
func parseHostPattern(text string) ([]hostPattern, error) {
	host, port, err := splitPatternPort(text)
	if err != nil {
		return nil, err
	}
	if addr, ok, err := patternAddr(host); err != nil {
		return nil, err
	} else if ok {
		return []hostPattern{{host: addr.String(), port: port, text: text}}, nil
	}
	written, err := expandBraces(host)
	if err != nil {
		return nil, err
	}
	var out []hostPattern
	for _, w := range written {
		p, err := compileHost(w)
		if err != nil {
			return nil, err
		}
		p.port, p.text, p.broad = port, text, p.spansStrangers()
		out = append(out, p)
	}
	return out, nil
}

// splitPatternPort takes :port or :* off. An IPv6 address may do without brackets
// if it has no port.
func splitPatternPort(text string) (host string, port portSpec, err error) {
	if _, err := netip.ParseAddr(text); err == nil {
		return text, portDefault, nil
	}
	host, digits, err := splitPort(text)
	if err != nil {
		return "", 0, err
	}
	switch digits {
	case "":
		return host, portDefault, nil
	case "*":
		return host, portAny, nil
	}
	n, err := parsePort(digits)
	return host, portSpec(n), err
}

// patternAddr reads an IP address, with or without brackets.
func patternAddr(s string) (addr netip.Addr, ok bool, err error) {
	if inner, bracketed := strings.CutPrefix(s, "["); bracketed {
		_, addr, err = parseIPv6(strings.TrimSuffix(inner, "]"))
		return addr, err == nil, err
	}
	addr, err = netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false, nil // a name, perhaps
	}
	if addr.Zone() != "" {
		return netip.Addr{}, false, errors.New("an address with a zone has no meaning here")
	}
	return addr.Unmap(), true, nil
}

// compileHost normalises and compiles a pattern without braces and port.
func compileHost(s string) (hostPattern, error) {
	s = strings.TrimSuffix(s, ".")
	if s == "" {
		return hostPattern{}, errors.New("the host is empty")
	}
	labels := strings.Split(s, ".")
	base := 0 // where the literal end begins
	for i, label := range labels {
		normal, err := patternLabel(label)
		if err != nil {
			return hostPattern{}, err
		}
		labels[i] = normal
		if strings.ContainsAny(normal, "*?") {
			base = i + 1
		}
	}
	s = strings.Join(labels, ".")
	p := hostPattern{base: strings.Join(labels[base:], ".")}
	last := labels[len(labels)-1]
	switch {
	case len(s) > 253:
		return p, errors.New("the host is longer than 253 bytes")
	case base < len(labels) && numeric(last):
		// netip.ParseAddr did not take it.
		return p, errors.New("looks like an IPv4 address and is none; write four decimal numbers without leading zeros")
	case base == 0:
		return hostPattern{host: s}, nil
	case base == 1 && (labels[0] == "*" || labels[0] == "**") && p.base != "":
		return p, nil
	case s == "*": // alone it can only mean every host
		s = "**"
	case labels[0] == "*": // at any depth, as in *.github.com
		s = "*" + s
	}
	var err error
	p.glob, err = compileGlob(s, '.')
	return p, err
}

// patternLabel normalises one label of a pattern.
func patternLabel(label string) (string, error) {
	ascii := isASCII(label)
	if !strings.ContainsAny(label, "*?") {
		if !ascii {
			a, err := idna.Lookup.ToASCII(label)
			if err != nil {
				return "", fmt.Errorf("%q is not a valid internationalised name: %w", label, err)
			}
			label = a
		}
		label = lower(label)
		return label, checkLabel(label)
	}
	if !ascii {
		return "", fmt.Errorf("%q mixes a wildcard with letters that are not ASCII; write the whole label or use * alone", label)
	}
	label = lower(label)
	for i := range len(label) {
		if c := label[i]; c != '*' && c != '?' && !labelByte(c) {
			return "", badHostByte(c)
		}
	}
	return label, nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
