package proxy

import (
	"net/netip"
	"slices"
)

// specialPurpose lists the addresses that no public name has any business
// resolving to (IANA's special-purpose registries, RFC 6890), and the prefixes
// that embed an IPv4 address and so lead to one of them through a translator.
var specialPurpose = prefixes(
	"0.0.0.0/8",       // this network, RFC 791
	"10.0.0.0/8",      // private, RFC 1918
	"100.64.0.0/10",   // carrier-grade NAT, RFC 6598
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, RFC 3927
	"172.16.0.0/12",   // private, RFC 1918
	"192.0.0.0/24",    // IETF protocol assignments, RFC 6890
	"192.0.2.0/24",    // documentation, RFC 5737
	"192.31.196.0/24", // AS112, RFC 7535
	"192.52.193.0/24", // AMT, RFC 7450
	"192.88.99.0/24",  // 6to4 relay, RFC 7526
	"192.168.0.0/16",  // private, RFC 1918
	"192.175.48.0/24", // AS112, RFC 7534
	"198.18.0.0/15",   // benchmarking, RFC 2544
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast, RFC 5771
	"240.0.0.0/4",     // reserved and broadcast, RFC 1112
	"::/96",           // unspecified, loopback, IPv4-compatible
	"::ffff:0:0:0/96", // IPv4-translated, RFC 2765
	"64:ff9b::/96",    // NAT64, RFC 6052
	"64:ff9b:1::/48",  // NAT64, RFC 8215
	"100::/64",        // discard, RFC 6666
	"100:0:0:1::/64",  // dummy prefix, RFC 9780
	"2001::/23",       // IETF protocol assignments: Teredo, ORCHID and others
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4, RFC 3056
	"2620:4f:8000::/48",
	"3fff::/20", // documentation, RFC 9637
	"5f00::/16", // segment routing, RFC 9602
	"fc00::/7",  // unique local, RFC 4193
	"fe80::/10", // link-local
	"fec0::/10", // site-local, RFC 3879
	"ff00::/8",  // multicast
)

// metadata lists the addresses at which clouds hand out credentials to whoever
// asks. Naming a host never opens them: only the exact address in allow_private.
var metadata = prefixes(
	"169.254.0.0/16",     // AWS, Azure, Google Cloud, OpenStack, Scaleway, Tencent and others
	"100.100.100.200/32", // Alibaba Cloud
	"192.0.0.192/32",     // Oracle Cloud
	"168.63.129.16/32",   // Azure wire server
	"fd00:ec2::/32",      // AWS
	"fd00:42::42/128",    // Scaleway
	"fd20:ce::254/128",   // Google Cloud
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func contains(list []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// MayDial reports whether a proxy connects to a resolved address: to one of a
// special purpose only if the operator named the host or allow covers it, to a
// cloud's metadata service only if allow has exactly that address.
func MayDial(ip netip.Addr, named bool, allow []netip.Prefix) bool {
	ip = ip.Unmap().WithZone("")
	if isMetadata(ip) {
		return slices.Contains(allow, netip.PrefixFrom(ip, ip.BitLen()))
	}
	return named || !contains(specialPurpose, ip) || contains(allow, ip)
}

// embedded returns the IPv4 addresses that a translator or a tunnel might send
// packets for ip to: RFC 6052 has a layout for each length of prefix.
func embedded(ip netip.Addr) []netip.Addr {
	b := ip.As16()
	v4 := func(i, j, k, l int) netip.Addr { return netip.AddrFrom4([4]byte{b[i], b[j], b[k], b[l]}) }
	switch {
	case !ip.Is6():
		return nil
	case contains(sixToFour, ip):
		return []netip.Addr{v4(2, 3, 4, 5)}
	case contains(localTranslation, ip):
		return []netip.Addr{v4(6, 7, 9, 10), v4(7, 9, 10, 11), v4(9, 10, 11, 12), v4(12, 13, 14, 15)}
	case contains(translated, ip):
		return []netip.Addr{v4(12, 13, 14, 15)}
	}
	return nil
}

var (
	sixToFour        = prefixes("2002::/16")
	localTranslation = prefixes("64:ff9b:1::/48")
	translated       = prefixes("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")
)

// isMetadata reports whether ip is a metadata address, or leads to one.
func isMetadata(ip netip.Addr) bool {
	return contains(metadata, ip) || slices.ContainsFunc(embedded(ip), func(v4 netip.Addr) bool { return contains(metadata, v4) })
}
