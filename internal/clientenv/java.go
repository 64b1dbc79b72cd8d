package clientenv

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// TrustStorePassword is the password of every trust store. There is nothing
// to protect, the certificates are public, but older JVMs read no store
// without one; this is the word that Java itself uses.
const TrustStorePassword = "changeit"

// TrustStore returns a PKCS#12 trust store with the certificates of a PEM
// bundle, for javax.net.ssl.trustStore. Each becomes a trusted entry of its
// own, once. Certificates that cannot be parsed are left out: a system's
// bundle may hold an odd one, and Java would refuse the whole store for it.
// It is an error if none is left.
//
// The store is encrypted with AES-256 and PBKDF2, which Java reads since
// 8u301 and 11.0.12, and OpenSSL 3 without its legacy provider.
func TrustStore(pemBundle []byte) ([]byte, error) {
	var entries []pkcs12.TrustStoreEntry
	seen := map[string]bool{}
	for rest := pemBundle; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil || seen[string(cert.Raw)] {
			continue
		}
		seen[string(cert.Raw)] = true
		// Numbered: subjects repeat, and Java keeps one entry per alias.
		alias := fmt.Sprintf("ca-%03d", len(entries)+1)
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: cert, FriendlyName: alias})
	}
	if len(entries) == 0 {
		return nil, errors.New("trust store: the bundle holds no certificate; check that it is a PEM file")
	}
	store, err := pkcs12.Modern2023.EncodeTrustStoreEntries(entries, TrustStorePassword)
	if err != nil {
		return nil, fmt.Errorf("trust store: %w", err)
	}
	return store, nil
}

// javaOptions is the value of JAVA_TOOL_OPTIONS. Credentials in the URL of the
// proxy are not among the options: the JVM has no property for them.
func javaOptions(p Params) (string, bool) {
	options := slices.Concat(javaTrust(p.TrustStoreFile), javaProxy(p.ProxyURL, p.NoProxy))
	if len(options) == 0 {
		return "", false
	}
	for i, option := range options {
		options[i] = javaQuote(option)
	}
	if present := strings.TrimSpace(p.JavaToolOptions); present != "" {
		options = slices.Insert(options, 0, present)
	}
	return strings.Join(options, " "), true
}

func javaTrust(file string) []string {
	if file == "" {
		return nil
	}
	return []string{
		"-Djavax.net.ssl.trustStore=" + file,
		"-Djavax.net.ssl.trustStoreType=PKCS12",
		"-Djavax.net.ssl.trustStorePassword=" + TrustStorePassword,
	}
}

// javaProxy sets the properties behind ProxySelector.getDefault, which
// HttpURLConnection and java.net.http use. The JVM speaks plain HTTP to a
// proxy or nothing, so an https:// proxy is left out.
func javaProxy(proxy string, noProxy []string) []string {
	u, err := url.Parse(proxy)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		return nil
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = "80"
	}
	return []string{
		"-Dhttps.proxyHost=" + host, "-Dhttps.proxyPort=" + port,
		"-Dhttp.proxyHost=" + host, "-Dhttp.proxyPort=" + port,
		// Also for https; unset, it would mean localhost and 127.*.
		"-Dhttp.nonProxyHosts=" + nonProxyHosts(noProxy),
	}
}

// nonProxyHosts translates NO_PROXY. Java knows names with one * at either
// end and neither ports nor networks: what it cannot say exactly is left out.
// Such a host is then asked for through the proxy, which tunnels it, and that
// is right if slower, where a pattern too wide would lead around the proxy.
func nonProxyHosts(noProxy []string) string {
	var patterns []string
	for _, entry := range noProxy {
		patterns = append(patterns, javaPatterns(strings.ToLower(strings.TrimSpace(entry)))...)
	}
	return strings.Join(patterns, "|")
}

func javaPatterns(entry string) []string {
	if addr, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		if addr.Is6() {
			return []string{"[" + addr.String() + "]"} // as in the URL
		}
		return []string{addr.String()}
	}
	if prefix, err := netip.ParsePrefix(entry); err == nil {
		return javaNetwork(prefix)
	}
	suffix := strings.TrimPrefix(strings.TrimPrefix(entry, "*"), ".")
	switch {
	case entry == "*":
		return []string{"*"}
	case suffix == "" || strings.ContainsFunc(suffix, notInName):
		return nil
	case entry == suffix: // a name covers its subdomains
		return []string{entry, "*." + entry}
	case strings.HasSuffix(entry, "."+suffix):
		return []string{"*." + suffix}
	}
	return nil // "*x": inside of one label, which Java's * is not
}

// javaNetwork returns "10.*" for 10.0.0.0/8. A network that does not end
// between two numbers has no pattern.
func javaNetwork(prefix netip.Prefix) []string {
	bits := prefix.Bits()
	if !prefix.Addr().Is4() || bits == 0 || bits%8 != 0 {
		return nil
	}
	if bits == 32 {
		return []string{prefix.Addr().String()}
	}
	numbers := strings.Split(prefix.Masked().Addr().String(), ".")
	return []string{strings.Join(numbers[:bits/8], ".") + ".*"}
}

func notInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
}

// javaQuote quotes one option as the JVM reads it: white space separates
// options, either kind of quote protects everything up to its like, anywhere
// in an option. There is no escape.
func javaQuote(option string) string {
	if !strings.ContainsAny(option, " \t\r\n\v\f'\"") {
		return option
	}
	var b strings.Builder
	for i, part := range strings.Split(option, "'") {
		if i > 0 {
			b.WriteString(`"'"`)
		}
		if part != "" {
			b.WriteString("'" + part + "'")
		}
	}
	return b.String()
}
