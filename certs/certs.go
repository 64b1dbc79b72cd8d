// Package certs is keybearer's own certificate authority. It creates and
// loads authorities, mints a leaf certificate for each intercepted host, and
// builds the PEM bundles that clients trust.
//
// An [Authority] is always a chain of three:
//
//	root    what clients trust; its key signs one certificate and is dropped
//	signer  an intermediate; its key signs the leaves
//	leaf    one for each host, kept in memory only
//
// The root's key is dropped because verifiers ignore name constraints on a
// trust anchor (RFC 5280, section 6.1.1). [Constraints] therefore go into the
// signer, where every client enforces them, and nobody can sign a second
// signer without them: whoever steals the signer's key can impersonate the
// permitted hosts to the clients of this authority, and nobody else to anyone.
//
// [New] makes an authority that lives as long as the process. [Create] and
// [Load] keep one in a directory of mode 0700 that holds two files:
//
//	signer.pem  mode 0600: the signer's key, its certificate and the root
//	ca.pem      mode 0644: the root alone; give it to clients
//
// signer.pem is the authority. It appears complete, under a name that was
// free, or not at all; ca.pem is published after it, and by Load if a crash
// came between the two. Nothing is ever overwritten. A key that others can
// read, or that is reached through a symbolic link, is refused.
//
// The package does not revoke, rotate or serve certificates, and it installs
// nothing in a system's trust store.
package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"sync/atomic"
	"time"
)

const (
	// An in-memory authority only has to outlive the longest run. Its key is
	// gone with the process, so a shorter life would protect nobody.
	memoryLife    = 365 * 24 * time.Hour
	persistedLife = 5 * 365 * 24 * time.Hour
)

// Authority signs leaf certificates for intercepted hosts. It is made by
// [New], [Create], [Load] or [LoadOrCreate]. Its methods may be called by
// many goroutines at once.
type Authority struct {
	root   *x509.Certificate
	signer *x509.Certificate
	key    crypto.Signer // the signer's; the root's no longer exists

	leaves leafCache
	minted atomic.Uint64
	reused atomic.Uint64
}

// New makes an authority in memory, valid for a year. A nil c leaves it
// unconstrained.
func New(c *Constraints) (*Authority, error) {
	return issueAuthority(c, memoryLife)
}

// PEM returns the root certificate, the one that clients trust.
func (a *Authority) PEM() []byte {
	return encodeCertificates(a.root)
}

// Certificates returns the root and the signer, in this order. They must not
// be changed.
func (a *Authority) Certificates() []*x509.Certificate {
	return []*x509.Certificate{a.root, a.signer}
}

// Reused returns how often [Authority.Leaf] has returned one that it had kept.
func (a *Authority) Reused() uint64 {
	return a.reused.Load()
}

// Minted returns how many leaves have been signed so far.
func (a *Authority) Minted() uint64 {
	return a.minted.Load()
}

func encodeCertificates(certs ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, cert := range certs {
		// Encode fails only when the writer or a header does.
		_ = pem.Encode(&out, &pem.Block{Type: certificateBlock, Bytes: cert.Raw})
	}
	return out.Bytes()
}
