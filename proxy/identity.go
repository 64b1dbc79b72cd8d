package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"keybearer/rules"
	"keybearer/secrets"
)

// identity is a certificate that a rule shows to upstreams (mutual TLS). What is opened
// with it is used for requests of rules that have it, and for no others: see
// upstreamKey. A session that is resumed is the same client, whatever certificate there
// is by then, so that each identity has sessions of its own.
type identity struct {
	certificate secrets.Certificate
	sessions    tls.ClientSessionCache
}

// certificateName is what records and errors call it.
const certificateName = "client certificate"

var certificateAlone = []string{certificateName}

// identities are those of a policy. Rules that name the same files have the same one.
type identities map[rules.CertificateConfig]loaded

type loaded struct {
	identity *identity
	err      error
}

// of returns the identity of a rule, nil if it has none.
func (all identities) of(rule *rules.Rule) (*identity, error) {
	files := rule.ClientCertificate()
	if files == nil {
		return nil, nil
	}
	known, ok := all[*files]
	if !ok {
		certificate, err := secrets.CertificateFiles(*files).Load()
		known = loaded{&identity{certificate, newSessions()}, err}
		all[*files] = known
	}
	if known.err != nil {
		return nil, &SecretError{Owner: fmt.Sprintf("rule %q", rule.Name), Secret: certificateName, Err: known.err}
	}
	return known.identity, nil
}

// show has a connection made with the certificate. A nil identity shows none.
func (i *identity) show(config *tls.Config) {
	if i != nil {
		config.GetClientCertificate = i.certificate.Present
		config.ClientSessionCache = i.sessions
	}
}

// usable refuses a certificate that has expired since the policy was made.
func (i *identity) usable() error {
	if i != nil && time.Now().After(i.certificate.NotAfter()) {
		return failSecret.because("the client certificate of the rule has expired")
	}
	return nil
}

// identify has the action show a certificate, or refuse its requests.
func (a *action) identify(i *identity, err error) {
	switch {
	case err != nil:
		a.err = errors.Join(a.err, err)
		a.settings, a.secret, a.own = nil, nil, nil
	case i != nil:
		a.identity = i
		a.names = append(a.names, certificateName) // behind those of the settings
	}
}

// identityFor returns the certificate to show to a target before it is known what the
// requests will be: that of the first rule that names the target and has a valid one. A request
// that another rule acts on, or none, gets a connection of its own.
func (v view) identityFor(t rules.Target) *identity {
	for _, rule := range v.set.Naming(t) {
		if a := v.actions[rule]; a != nil && a.identity != nil && a.identity.usable() == nil {
			return a.identity
		}
	}
	return nil
}
