package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// noProxyEntry reads one entry of no_proxy as clients read NO_PROXY: a plain
// name covers its subdomains, one with a leading dot covers only them, and
// without a port every port is meant.
func noProxyEntry(text string) ([]hostPattern, error) {
	if strings.HasPrefix(text, ".") {
		text = "*" + text
	}
	patterns, err := listEntry(text)
	if err != nil {
		return nil, err
	}
	for _, p := range patterns {
		if _, err := netip.ParseAddr(p.host); err == nil || p.host == "" {
			continue
		}
		p.host, p.base = "", p.host
		p.broad = p.spansStrangers()
		patterns = append(patterns, p)
	}
	return patterns, nil
}

// accessEntry reads one entry of allow_list or deny_list.
func accessEntry(text string) ([]hostPattern, error) {
	expr, ok := strings.CutPrefix(text, "~")
	if !ok {
		return listEntry(text)
	}
	if expr == "" {
		return nil, errors.New("the regular expression is empty")
	}
	if _, err := regexp.Compile(expr); err != nil { // before it is wrapped, for the message
		return nil, err
	}
	// Hosts are in lower case; a deny_list must not fail to deny for that.
	re, err := regexp.Compile("(?i:" + expr + ")")
	if err != nil {
		return nil, err
	}
	return []hostPattern{{glob: re, port: portAny, text: text, broad: true}}, nil
}

// listEntry reads what no_proxy and access_control have in common: host patterns
// and CIDR ranges, for every port unless one is given.
func listEntry(text string) ([]hostPattern, error) {
	if strings.Contains(text, "/") {
		return cidrEntry(text)
	}
	patterns, err := parseHostPattern(text)
	if err != nil {
		return nil, err
	}
	for i := range patterns {
		if patterns[i].port == portDefault {
			patterns[i].port = portAny
		}
	}
	return patterns, nil
}

// cidrEntry reads a CIDR range. Bits below the prefix are ignored, as clients do.
func cidrEntry(text string) ([]hostPattern, error) {
	p := hostPattern{port: portAny, text: text}
	var err error
	if p.cidr, err = netip.ParsePrefix(text); err != nil { // perhaps with a port
		host, port, portErr := splitPatternPort(text)
		if p.cidr, err = netip.ParsePrefix(host); err != nil || portErr != nil {
			return nil, errors.New("not a CIDR range; a host has no slash, and paths go to match_paths")
		}
		p.port = port
	}
	if addr := p.cidr.Addr(); addr.Is4In6() {
		return nil, fmt.Errorf("IPv4 within IPv6 is compared as IPv4; write %s/%d", addr.Unmap(), max(p.cidr.Bits()-96, 0))
	}
	p.broad = p.spansStrangers()
	return []hostPattern{p}, nil
}
