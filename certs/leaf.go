package certs

import (
	"container/list"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

const (
	cachedLeaves = 1024
	renewBefore  = 24 * time.Hour
)

// Leaf returns a certificate for host, which is a name in lower case or an IP
// address without brackets, as rules.Target.Host returns it. The chain is the
// leaf and the signer; Leaf is set.
//
// A leaf is valid for seven days, never longer than the authority, and is
// replaced when less than a day is left, or when the clock was set back. The 1024 leaves used last are kept.
// Goroutines that ask for the same new host at once share one leaf. A host
// that the authority's [Constraints] do not permit is an error: no client
// would accept its leaf.
func (a *Authority) Leaf(host string) (*tls.Certificate, error) {
	c := &a.leaves
	c.mu.Lock()
	if cert := c.get(host); cert != nil && a.fresh(cert) {
		c.mu.Unlock()
		a.reused.Add(1)
		return cert, nil
	}
	if m := c.minting[host]; m != nil {
		c.mu.Unlock()
		<-m.done
		return m.cert, m.err
	}
	m := c.begin(host)
	c.mu.Unlock()

	defer c.end(host, m) // also when mint panics
	m.cert, m.err = a.mint(host)
	return m.cert, m.err
}

// Has reports whether [Authority.Leaf] would return a leaf of host without minting
// one. It does not count as a use.
func (a *Authority) Has(host string) bool {
	a.leaves.mu.Lock()
	defer a.leaves.mu.Unlock()
	element := a.leaves.byHost[host]
	return element != nil && a.fresh(element.Value.(*cachedLeaf).cert)
}

// fresh reports whether cert need not be replaced. One that ends with the
// authority is kept until then: another one would not last longer. One that is not
// valid yet was made before the clock was set back.
func (a *Authority) fresh(cert *tls.Certificate) bool {
	end := cert.Leaf.NotAfter
	if end.Before(a.signer.NotAfter) {
		end = end.Add(-renewBefore)
	}
	now := time.Now()
	return now.Before(end) && !now.Before(cert.Leaf.NotBefore)
}

func (a *Authority) mint(host string) (*tls.Certificate, error) {
	addr, _ := netip.ParseAddr(host)
	switch {
	case addr.IsValid() && addr.String() != host, addr.Is4In6(), addr.Zone() != "", !addr.IsValid() && !isName(host):
		return nil, fmt.Errorf("mint leaf: host %q is not in canonical form", host)
	case !permits(a.signer, host, addr):
		return nil, fmt.Errorf("mint leaf for %s: %w", host, errNotPermitted)
	}
	if err := checkValidity(a.signer); err != nil {
		return nil, fmt.Errorf("mint leaf for %s: %w", host, err)
	}
	key, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("mint leaf for %s: %w", host, err)
	}
	leaf, err := sign(leafTemplate(host, addr, a.signer), a.signer, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("mint leaf for %s: %w", host, err)
	}
	a.minted.Add(1)
	return &tls.Certificate{
		Certificate: [][]byte{leaf.Raw, a.signer.Raw},
		PrivateKey:  key,
		Leaf:        leaf,
	}, nil
}

// leafCache keeps the leaves used last. A leaf in the making is not part of
// it yet, so that a crowd of other hosts cannot push it out and have it made
// twice.
type leafCache struct {
	mu      sync.Mutex
	byHost  map[string]*list.Element // values are *cachedLeaf
	recent  list.List                // used last in front
	minting map[string]*minting
}

type cachedLeaf struct {
	host string
	cert *tls.Certificate
}

// minting is a leaf in the making. cert and err are set when done is closed.
type minting struct {
	done chan struct{}
	cert *tls.Certificate
	err  error
}

var errMintPanicked = errors.New("mint leaf: it panicked in another goroutine")

// get needs c.mu, as begin does.
func (c *leafCache) get(host string) *tls.Certificate {
	element := c.byHost[host]
	if element == nil {
		return nil
	}
	c.recent.MoveToFront(element)
	return element.Value.(*cachedLeaf).cert
}

func (c *leafCache) begin(host string) *minting {
	if c.minting == nil {
		c.minting = make(map[string]*minting)
		c.byHost = make(map[string]*list.Element)
	}
	// What those who wait get, unless the error is replaced.
	m := &minting{done: make(chan struct{}), err: errMintPanicked}
	c.minting[host] = m
	return m
}

func (c *leafCache) end(host string, m *minting) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.minting, host)
	close(m.done)
	if m.err != nil {
		return // not kept: the next caller tries again
	}
	if old := c.byHost[host]; old != nil {
		c.recent.Remove(old)
	}
	c.byHost[host] = c.recent.PushFront(&cachedLeaf{host, m.cert})
	if c.recent.Len() > cachedLeaves {
		oldest := c.recent.Remove(c.recent.Back()).(*cachedLeaf)
		delete(c.byHost, oldest.host)
	}
}
