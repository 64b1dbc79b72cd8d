//go:build !linux && !darwin && !windows

package certs

// systemBundles are the places of crypto/x509 on the BSDs and Solaris.
var systemBundles = []string{
	"/usr/local/etc/ssl/cert.pem",
	"/etc/ssl/cert.pem",
	"/usr/local/share/certs/ca-root-nss.crt",
	"/etc/openssl/certs/ca-certificates.crt",
	"/etc/certs/ca-certificates.crt",
}
