package secrets

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// A CertificateFiles names the files, in PEM form, of a certificate that a client shows
// to servers, with the chain behind it, and of its private key.
type CertificateFiles struct{ Cert, Key string }

// A Certificate is one with its private key. Like a [Value] it prints as "[redacted]",
// and there is no way to the key: [Certificate.Present] hands it to TLS. The zero
// Certificate presents none.
type Certificate struct{ pair *tls.Certificate }

// Load reads the files. A certificate that is not valid now is an error. Any error is
// an [*Error].
func (f CertificateFiles) Load() (Certificate, error) {
	chain, err := readPEM(f.Cert)
	if err != nil {
		return Certificate{}, err
	}
	key, err := readPEM(f.Key)
	if err != nil {
		return Certificate{}, err
	}
	leaf, reason := firstCertificate(chain)
	if reason != "" {
		return Certificate{}, &Error{Source: file{path: f.Cert}.String(), Reason: reason}
	}
	if reason := keyReason(key); reason != "" {
		return Certificate{}, &Error{Source: file{path: f.Key}.String(), Reason: reason}
	}
	pair, err := tls.X509KeyPair([]byte(chain), []byte(key))
	if err != nil { // its text is not ours
		return Certificate{}, &Error{Source: file{path: f.Key}.String(),
			Reason: "not the private key of the certificate in " + f.Cert + "; name the two files that belong together"}
	}
	pair.Leaf = leaf
	return Certificate{&pair}, nil
}

func readPEM(path string) (string, error) {
	return read("", file{path: path}, usableLines)
}

// firstCertificate returns the leaf, which comes first in a chain.
func firstCertificate(chain string) (leaf *x509.Certificate, reason string) {
	block := findBlock(chain, func(kind string) bool { return kind == "CERTIFICATE" })
	if block == nil {
		return nil, "holds no certificate; give it in PEM form, -----BEGIN CERTIFICATE-----"
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, "holds a certificate that cannot be read; check that the file is whole"
	}
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		return nil, "holds a certificate that expired on " + day(leaf.NotAfter) + "; renew it"
	case now.Before(leaf.NotBefore):
		return nil, "holds a certificate that is valid from " + day(leaf.NotBefore) + " on; wait, or check the clock"
	}
	return leaf, ""
}

func keyReason(key string) string {
	block := findBlock(key, func(kind string) bool { return strings.HasSuffix(kind, "PRIVATE KEY") })
	switch {
	case block == nil:
		return "holds no private key; give it in PEM form, -----BEGIN PRIVATE KEY-----"
	case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return "is encrypted with a passphrase; decrypt it, as with openssl pkey -in FILE -out NEW, and keep the new file to yourself"
	}
	return ""
}

func findBlock(text string, is func(kind string) bool) *pem.Block {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || is(block.Type) {
			return block
		}
	}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Present is for [tls.Config.GetClientCertificate]. It presents the certificate whichever
// authorities the server names: to choose is not ours, and the server decides.
func (c Certificate) Present(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if c.pair == nil {
		return new(tls.Certificate), nil
	}
	return c.pair, nil
}

// NotAfter is until when the certificate is valid.
func (c Certificate) NotAfter() time.Time {
	if c.pair == nil {
		return time.Time{}
	}
	return c.pair.Leaf.NotAfter
}

// Describe says whose certificate it is, and until when it is valid: "CN=app, valid until
// 2027-01-31".
func (c Certificate) Describe() string {
	if c.pair == nil {
		return "none"
	}
	subject := c.pair.Leaf.Subject.String()
	if names := c.pair.Leaf.DNSNames; subject == "" && len(names) > 0 {
		subject = names[0]
	}
	if subject == "" {
		subject = "no subject"
	}
	return fmt.Sprintf("%s, valid until %s", strings.Map(printable, subject), day(c.NotAfter()))
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

// soon is how long before its end a certificate is warned of.
const soon = 14 * 24 * time.Hour

// Warnings reports what is doubtful about the files: a key that others can read, a
// certificate that ends within 14 days, or that is not for clients. Files that cannot be
// used are for Load to refuse.
func (f CertificateFiles) Warnings() (warnings []string) {
	if w := warnMode(file{path: f.Key}); w != "" {
		warnings = append(warnings, w)
	}
	c, err := f.Load()
	if err != nil {
		return warnings
	}
	leaf, source := c.pair.Leaf, file{path: f.Cert}.String()
	if time.Until(leaf.NotAfter) < soon {
		warnings = append(warnings, fmt.Sprintf("%s holds a certificate that expires on %s; renew it", source, day(leaf.NotAfter)))
	}
	uses := leaf.ExtKeyUsage
	if len(uses) > 0 && !slices.Contains(uses, x509.ExtKeyUsageClientAuth) && !slices.Contains(uses, x509.ExtKeyUsageAny) {
		warnings = append(warnings, source+" holds a certificate that is not for clients (extended key usage), which servers refuse; get one that is")
	}
	return warnings
}

// String returns "[redacted]".
func (Certificate) String() string { return redacted }

// Format writes "[redacted]" for every verb and flag.
func (Certificate) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// LogValue makes log/slog write "[redacted]".
func (Certificate) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText makes encoding/json, encoding/xml and YAML libraries write "[redacted]".
func (Certificate) MarshalText() ([]byte, error) { return []byte(redacted), nil }
