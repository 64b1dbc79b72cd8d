package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"keybearer/proxy/http1"
)

// credentials are what clients must send in Proxy-Authorization. They are kept
// and compared as hashes: in constant time, whatever the length of a guess.
type credentials [sha256.Size]byte

// newCredentials returns the credentials of a field value. Those of an empty one,
// which could not be expanded, match nothing: no hash is all zeros.
func newCredentials(value string) *credentials {
	var c credentials
	if value != "" {
		c = hashCredentials(value)
	}
	return &c
}

// hashCredentials hashes the value of a field, without regard to the case of the
// scheme (RFC 9110 section 11.1).
func hashCredentials(value string) credentials {
	scheme, rest, _ := strings.Cut(value, " ")
	return sha256.Sum256([]byte(strings.ToLower(scheme) + " " + strings.TrimSpace(rest)))
}

// match reports whether the request carries them, in exactly one field.
func (c *credentials) match(h http1.Header) bool {
	value, ok := h.Get("Proxy-Authorization")
	if !ok || h.Count("Proxy-Authorization") != 1 {
		return false
	}
	sent := hashCredentials(value)
	return subtle.ConstantTimeCompare(sent[:], c[:]) == 1
}

// authorize refuses a request to the proxy whose client may not use it.
func (c *clientConn) authorize(h http1.Header) *failure {
	required := c.p.policy.Load().clients
	if required == nil || required.match(h) {
		return nil
	}
	return &failCredentials
}
