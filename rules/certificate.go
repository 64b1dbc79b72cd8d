package rules

// certificate checks client_certificate; the files are not for this package to read.
func (c *compiler) certificate(at string, w *RuleConfig) {
	if w.ClientCertificate == nil {
		return
	}
	at += ".client_certificate"
	if w.ClientCertificate.Cert == "" {
		c.errorf(at+".cert", "is missing; name the PEM file of the certificate")
	}
	if w.ClientCertificate.Key == "" {
		c.errorf(at+".key", "is missing; name the PEM file of the private key")
	}
	if w.AllowPlaintext {
		c.errorf(at, "cannot be shown in plain HTTP; take allow_plaintext out, or make two rules of this one")
	}
}
