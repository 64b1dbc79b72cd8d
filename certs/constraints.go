package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Constraints are the hosts that an authority may sign for. Every other host
// is refused by clients, even when its leaf carries a good signature.
type Constraints struct {
	DNS []string     // lower-case names; each also permits its subdomains (RFC 5280, section 4.2.1.10)
	IPs []netip.Addr // single addresses
}

var errNotPermitted = errors.New("host not permitted by this authority: " +
	"its name constraints were fixed when it was created, so name the host and create a new one")

// A kind of name that the permitted subtrees do not mention is unconstrained.
// Where nothing of a kind is permitted, these stand in for it: nobody can own
// a name below .invalid (RFC 6761, section 6.4) or an address that is set
// aside for documentation (RFC 5737 and RFC 3849).
var (
	noName = "keybearer.invalid"
	noIPv4 = netip.MustParseAddr("192.0.2.0")
	noIPv6 = netip.MustParseAddr("2001:db8::")
)

// The signer's certificate travels in every handshake, and Java reads no
// handshake message above 32 KiB. This many bytes of names stay well below.
const maxConstraintBytes = 16 << 10

// apply writes c into the name constraints extension of the signer.
func (c *Constraints) apply(signer *x509.Certificate) error {
	names, err := c.names()
	if err != nil {
		return err
	}
	permitted, excluded, err := c.networks()
	if err != nil {
		return err
	}
	size := 0
	for _, name := range names {
		size += len(name) + 4 // two DER headers
	}
	size += len(permitted) * (32 + 4)
	if size > maxConstraintBytes {
		return fmt.Errorf("name constraints: %d hosts make the certificate larger than clients read: "+
			"use fewer hosts, wildcards, or an unconstrained authority", len(names)+len(permitted))
	}
	signer.PermittedDNSDomainsCritical = true // the whole extension, despite the name
	signer.PermittedDNSDomains = names
	signer.PermittedIPRanges = permitted
	signer.ExcludedIPRanges = excluded
	return nil
}

// names returns c.DNS sorted, without those that another one covers.
func (c *Constraints) names() ([]string, error) {
	all := make(map[string]bool, len(c.DNS))
	for _, name := range c.DNS {
		// An empty name would permit every name, "*" none.
		if !isName(name) {
			return nil, fmt.Errorf("name constraints: %q is not a lower-case host name", name)
		}
		all[name] = true
	}
	var names []string
	for name := range all {
		if !coveredByParent(all, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return []string{noName}, nil
	}
	slices.Sort(names)
	return names, nil
}

func coveredByParent(bases map[string]bool, name string) bool {
	for {
		_, parent, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		if bases[parent] {
			return true
		}
		name = parent
	}
}

// networks returns the permitted and the excluded networks.
//
// With no address at all, both families are excluded, as is usual. With one
// family only, RFC 5280 would have the other refused too, but GnuTLS takes
// them for two kinds of name, and Java 17 fails on every address if a whole
// family is excluded beside a permitted address: so a stand-in it is.
func (c *Constraints) networks() (permitted, excluded []*net.IPNet, err error) {
	if len(c.IPs) == 0 {
		return nil, []*net.IPNet{
			{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
			{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		}, nil
	}
	var addrs []netip.Addr
	for _, addr := range c.IPs {
		if !addr.IsValid() || addr.Zone() != "" {
			return nil, nil, fmt.Errorf("name constraints: %q is not an address without a zone", addr)
		}
		addrs = append(addrs, addr.Unmap())
	}
	if !slices.ContainsFunc(addrs, netip.Addr.Is4) {
		addrs = append(addrs, noIPv4)
	}
	if !slices.ContainsFunc(addrs, netip.Addr.Is6) {
		addrs = append(addrs, noIPv6)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	for _, addr := range slices.Compact(addrs) {
		bits := addr.BitLen()
		permitted = append(permitted, &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(bits, bits)})
	}
	return permitted, nil, nil
}

// permits reports whether clients accept a leaf for host from signer. addr is
// host as an address, invalid if it is a name.
func permits(signer *x509.Certificate, host string, addr netip.Addr) bool {
	if !signer.PermittedDNSDomainsCritical {
		return true // unconstrained
	}
	if addr.IsValid() {
		ip := net.IP(addr.AsSlice())
		return slices.ContainsFunc(signer.PermittedIPRanges, func(n *net.IPNet) bool { return n.Contains(ip) })
	}
	return slices.ContainsFunc(signer.PermittedDNSDomains, func(base string) bool {
		rest, ok := strings.CutSuffix(host, base)
		return ok && (rest == "" || strings.HasSuffix(rest, "."))
	})
}

// isName reports whether s is a host name in canonical form: lower case,
// A-labels, no trailing dot. Underscores are not host names by RFC 952 but
// are in use.
func isName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
