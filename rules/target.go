package rules

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// A Target is a host and a port in their one canonical form. Only [ParseTarget]
// makes one, so two targets are the same if and only if they are ==. The zero
// Target is no target; every [Set] denies it.
type Target struct {
	host string
	port uint16
	addr netip.Addr
}

// ParseTarget reads host:port as it stands in CONNECT, in a Host field or in an
// absolute URI. A defaultPort of 0 means that the port is required.
//
// It refuses everything that does not have exactly one reading: user
// information, zones, IPv4 addresses that are not four plain decimal numbers,
// names that are not in ASCII, empty labels, xn-- labels that are not valid IDNA,
// ports outside 1 to 65535 or with leading zeros. The error says what is wrong in
// words and repeats at most one character of the input.
func ParseTarget(authority string, defaultPort uint16) (Target, error) {
	host, digits, err := splitPort(authority)
	if err != nil {
		return Target{}, err
	}
	port := defaultPort
	if digits != "" {
		if port, err = parsePort(digits); err != nil {
			return Target{}, err
		}
	}
	if port == 0 {
		return Target{}, errors.New("the port is missing")
	}
	t := Target{port: port}
	t.host, t.addr, err = parseHost(host)
	if err != nil {
		return Target{}, err
	}
	return t, nil
}

// Host is the canonical name or address, without brackets.
func (t Target) Host() string { return t.host }

// Port is never 0, except in the zero Target.
func (t Target) Port() uint16 { return t.port }

// Addr is the address if the host is one; otherwise it is not valid.
func (t Target) Addr() netip.Addr { return t.addr }

// String is "host:port" or "[v6]:port". ParseTarget reads it back.
func (t Target) String() string {
	return net.JoinHostPort(t.host, strconv.Itoa(int(t.port)))
}

// splitPort takes the port off s. The host keeps its brackets. The port is ""
// only if there is no colon either.
func splitPort(s string) (host, port string, err error) {
	colon := strings.IndexByte(s, ':')
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", errors.New("a bracket is not closed")
		}
		colon = end + 1
		if colon == len(s) {
			return s, "", nil
		}
		if s[colon] != ':' {
			return "", "", errors.New("only a port can follow the brackets")
		}
	}
	if colon < 0 {
		return s, "", nil
	}
	host, port = s[:colon], s[colon+1:]
	switch {
	case port == "":
		return "", "", errors.New("the port is empty")
	case strings.IndexByte(port, '@') >= 0:
		return "", "", errUserinfo
	case strings.IndexByte(port, ':') >= 0:
		return "", "", errors.New("there is more than one port, or an IPv6 address without brackets")
	}
	return host, port, nil
}

var errUserinfo = errors.New("user information is not allowed")

func parsePort(s string) (uint16, error) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, errors.New("the port is not a number")
		}
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("the port is not in 1 to 65535")
	}
	if s[0] == '0' {
		return 0, errors.New("the port has leading zeros")
	}
	return uint16(n), nil
}

// parseHost returns the canonical form of a name, an IPv4 address or an IPv6
// address in brackets. For an address, host is its text without brackets.
func parseHost(s string) (host string, addr netip.Addr, err error) {
	if strings.HasPrefix(s, "[") {
		return parseIPv6(strings.TrimSuffix(s[1:], "]"))
	}
	s = strings.TrimSuffix(s, ".")
	switch {
	case s == "":
		return "", addr, errors.New("the host is empty")
	case len(s) > 253: // RFC 1035 2.3.4, in the text form without the root
		return "", addr, errors.New("the host is longer than 253 bytes")
	}
	s = lower(s)
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if err := checkLabel(label); err != nil {
			return "", addr, err
		}
		last = label
	}
	if !numeric(last) {
		return s, addr, nil
	}
	// inet_aton reads 0x7f.1, 2130706433 and 0177.0.0.1 as 127.0.0.1, and
	// browsers take any name whose last label is a number for an address.
	// Here four decimal numbers are one, and all else is refused.
	addr, err = netip.ParseAddr(s)
	if err != nil {
		return "", netip.Addr{}, errors.New("an IPv4 address is four decimal numbers without leading zeros")
	}
	return s, addr, nil
}

// parseIPv6 unmaps ::ffff:1.2.3.4, which every dialer takes for 1.2.3.4: one
// address must not have two targets.
func parseIPv6(s string) (host string, addr netip.Addr, err error) {
	addr, err = netip.ParseAddr(s)
	switch {
	case err != nil || !addr.Is6():
		return "", netip.Addr{}, errors.New("only an IPv6 address can be in brackets")
	case addr.Zone() != "":
		return "", netip.Addr{}, errors.New("an address with a zone has no meaning here")
	}
	addr = addr.Unmap()
	return addr.String(), addr, nil
}

// checkLabel checks one label in lower case. Underscores are no host name by
// RFC 1123, yet are in use; "--" in third place is left to names like r3---sn.
func checkLabel(label string) error {
	switch {
	case label == "":
		return errors.New("empty label")
	case len(label) > 63:
		return errors.New("a label is longer than 63 bytes")
	case label[0] == '-':
		return errors.New("a label begins with a hyphen")
	}
	for i := range len(label) {
		if c := label[i]; !labelByte(c) {
			return badHostByte(c)
		}
	}
	if strings.HasPrefix(label, "xn--") && !validALabel(label) {
		return errors.New("a label begins with xn-- and is not valid IDNA")
	}
	return nil
}

func badHostByte(c byte) error {
	switch {
	case c == '@':
		return errUserinfo
	case c == '%':
		return errors.New("'%' is not allowed: neither zones nor percent-encoding have one meaning in a host")
	case c >= 0x80:
		return errors.New("a name that is not in ASCII must be given in its xn-- form")
	}
	return fmt.Errorf("%q is not allowed in a host", c)
}

// validALabel reports whether label is what IDNA makes of some Unicode label:
// otherwise one Unicode name could be asked for under two ASCII names.
func validALabel(label string) bool {
	u, err := idna.Lookup.ToUnicode(label)
	if err != nil || u == "" || u == label {
		return false
	}
	a, err := idna.Lookup.ToASCII(u)
	return err == nil && a == label
}

// numeric reports whether some resolver takes label for a number.
func numeric(label string) bool {
	digits, isDigit := label, func(c byte) bool { return '0' <= c && c <= '9' }
	if rest, ok := strings.CutPrefix(label, "0x"); ok {
		digits, isDigit = rest, func(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }
	}
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return false
		}
	}
	return true
}

func labelByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// lower folds ASCII letters only: strings.ToLower would turn the Kelvin sign
// into a k.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
