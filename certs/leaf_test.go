package certs

import (
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// However many ask for a new host at once, its leaf is minted once.
func TestLeafMintedOnce(t *testing.T) {
	a := newAuthority(t, nil)
	const hosts, askers = 10, 50
	var leaves [hosts][askers]*tls.Certificate
	var start, done sync.WaitGroup
	start.Add(1)
	for host := range hosts {
		for asker := range askers {
			done.Go(func() {
				start.Wait()
				leaf, err := a.Leaf(fmt.Sprintf("host%d.example.com", host))
				if err != nil {
					t.Error(err)
				}
				leaves[host][asker] = leaf
			})
		}
	}
	start.Done()
	done.Wait()
	if a.Minted() != hosts {
		t.Errorf("minted %d leaves for %d hosts", a.Minted(), hosts)
	}
	for host := range leaves {
		for _, leaf := range leaves[host] {
			if leaf != leaves[host][0] {
				t.Fatalf("host %d has more than one leaf", host)
			}
		}
	}
}

// The hosts used last stay; a million hosts do not fill the memory.
func TestLeafCacheEvictsTheOldest(t *testing.T) {
	a := newAuthority(t, nil)
	host := func(i int) string { return fmt.Sprintf("host%d.example.com", i) }
	for i := range cachedLeaves {
		mustLeaf(t, a, host(i))
	}
	mustLeaf(t, a, host(0))            // used again, so host1 is the oldest
	mustLeaf(t, a, host(cachedLeaves)) // pushes host1 out
	if a.leaves.recent.Len() != cachedLeaves || len(a.leaves.byHost) != cachedLeaves || len(a.leaves.minting) != 0 {
		t.Errorf("cache holds %d, %d and %d, want %d, %[4]d and 0",
			a.leaves.recent.Len(), len(a.leaves.byHost), len(a.leaves.minting), cachedLeaves)
	}
	for _, test := range []struct {
		host int
		mint uint64
	}{{0, 0}, {2, 0}, {cachedLeaves, 0}, {1, 1}} {
		before := a.Minted()
		mustLeaf(t, a, host(test.host))
		if got := a.Minted() - before; got != test.mint {
			t.Errorf("host%d: minted %d, want %d", test.host, got, test.mint)
		}
	}
}

// A leaf that was made while the clock was ahead is of no use once it is right: clients
// do not accept what is not valid yet. Each bubble's clock starts in the year 2000.
// seen red: with NotBefore not looked at in fresh.
func TestLeafAfterClockWasSetBack(t *testing.T) {
	const host = "api.example.com"
	var a *Authority
	synctest.Test(t, func(t *testing.T) {
		a = newAuthority(t, nil)
		time.Sleep(30 * 24 * time.Hour)
		mustLeaf(t, a, host)
	})
	synctest.Test(t, func(t *testing.T) {
		if a.Has(host) {
			t.Error("a leaf that is not valid yet counts as one")
		}
		if leaf := mustLeaf(t, a, host).Leaf; leaf.NotBefore.After(time.Now()) {
			t.Errorf("the leaf is valid from %s, and it is %s", leaf.NotBefore, time.Now())
		}
	})
}

// A leaf is replaced when less than a day is left, and never outlives the
// authority; at the authority's end there is an error and no dead leaf.
func TestLeafRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, nil)
		const host, day = "api.example.com", 24 * time.Hour
		first := mustLeaf(t, a, host)
		time.Sleep(6*day - time.Second)
		if mustLeaf(t, a, host) != first {
			t.Error("replaced when more than a day was left")
		}
		time.Sleep(2 * time.Second)
		second := mustLeaf(t, a, host)
		if second == first || mustLeaf(t, a, host) != second {
			t.Error("not replaced once when less than a day was left")
		}
		if a.leaves.recent.Len() != 1 {
			t.Error("the old leaf is still kept")
		}
		if left := time.Until(second.Leaf.NotAfter); left < 7*day-2*time.Second {
			t.Errorf("the new leaf is valid for %v only", left)
		}

		time.Sleep(time.Until(a.signer.NotAfter) - 12*time.Hour)
		last := mustLeaf(t, a, host)
		if !last.Leaf.NotAfter.Equal(a.signer.NotAfter) {
			t.Errorf("leaf ends %v, authority %v", last.Leaf.NotAfter, a.signer.NotAfter)
		}
		minted := a.Minted()
		time.Sleep(11 * time.Hour)
		if mustLeaf(t, a, host) != last || a.Minted() != minted {
			t.Error("replaced on every call at the end of the authority")
		}
		time.Sleep(2 * time.Hour)
		if leaf, err := a.Leaf(host); err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("after the authority's end: leaf until %v, error %v", leaf.Leaf.NotAfter, err)
		}
	})
}

// A mint that fails or panics is told to everyone who waits for it, and the
// next one succeeds.
func TestLeafAfterFailure(t *testing.T) {
	failed := errors.New("signing failed")
	tests := []struct {
		name  string
		sign  func()
		wants error
	}{
		{"panic", func() { panic("signer broke") }, errMintPanicked},
		{"exit", func() { runtime.Goexit() }, errMintPanicked},
		{"error", func() {}, failed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuthority(t, nil)
				good, release := a.key, make(chan struct{})
				a.key = &brokenSigner{Signer: good, sign: func() { <-release; test.sign() }, err: failed}
				go func() {
					defer func() { _ = recover() }()
					_, _ = a.Leaf("api.example.com")
				}()
				synctest.Wait() // the first one is inside Sign
				waiter := make(chan error)
				go func() {
					_, err := a.Leaf("api.example.com")
					waiter <- err
				}()
				synctest.Wait() // the second one waits for the first
				close(release)
				if err := <-waiter; !errors.Is(err, test.wants) {
					t.Errorf("who waited got %v, want %v", err, test.wants)
				}
				synctest.Wait()
				a.key = good
				mustLeaf(t, a, "api.example.com")
			})
		})
	}
}

type brokenSigner struct {
	crypto.Signer
	sign func()
	err  error
}

func (s *brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	s.sign()
	return nil, s.err
}

// Hosts that rules.Target.Host never returns must not become certificates.
func TestLeafRefusesOddHosts(t *testing.T) {
	a := newAuthority(t, nil)
	for _, host := range []string{
		"", ".", "a..b", "example.com.", ".example.com", "*.example.com", "Example.com", "exa mple.com", "bücher.example",
		"a/b", "a@b", "a:1", "a\x00.example.com", "[::1]", "::0:1", "fe80::1%eth0", "::ffff:192.0.2.7",
		strings.Repeat("a", 64) + ".example.com", strings.Repeat("a.", 127),
	} {
		if leaf, err := a.Leaf(host); err == nil {
			t.Errorf("Leaf(%q) names %q %v", host, leaf.Leaf.DNSNames, leaf.Leaf.IPAddresses)
		}
	}
	if a.Minted() != 0 || len(a.leaves.byHost) != 0 {
		t.Errorf("minted %d, kept %d", a.Minted(), len(a.leaves.byHost))
	}
}

// The longest name there is fits, which it would not in a common name.
func TestLeafForLongName(t *testing.T) {
	host := strings.Repeat(strings.Repeat("a", 49)+".", 5) + "com"
	a := newAuthority(t, nil)
	if err := handshake(t, a, mustLeaf(t, a, host), host); err != nil {
		t.Error(err)
	}
}

func BenchmarkMint(b *testing.B) {
	a := newAuthority(b, nil)
	for b.Loop() {
		if _, err := a.mint("api.example.com"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLeafHit(b *testing.B) {
	a := newAuthority(b, nil)
	for b.Loop() {
		if _, err := a.Leaf("api.example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
