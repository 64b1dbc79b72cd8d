package certs

// systemBundles: the first one comes with macOS. Roots that were added to the
// keychain are not in it.
var systemBundles = []string{
	"/etc/ssl/cert.pem",
	"/opt/homebrew/etc/ca-certificates/cert.pem",
	"/usr/local/etc/ca-certificates/cert.pem",
}
