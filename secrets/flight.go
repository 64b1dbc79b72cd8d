package secrets

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"
)

// fetch calls the Fetcher and judges what it brings. The reason is why that is not
// usable, "" if it is.
func (f *fetched) fetch(st *Store, state string) (got Fetched, used digest, reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), f.timeout)
	defer cancel()
	used = st.digest(f.fetcher)
	transport := &protected{next: st.transport}
	got, err := f.call(ctx, Access{Lookup: st.text, Client: newClient(transport), Environ: st.environ.pairs(), State: state})
	if err != nil && transport.failed != nil {
		err = errors.Join(err, transport.failed)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return got, used, fmt.Sprintf("did not answer within %s; check it, or give it more time with timeout", f.timeout)
	case err != nil:
		return got, used, fetchReason(err)
	case got.Refused:
		return got, used, "refuses"
	case got.Lifetime < 0:
		return got, used, "has expired already; check the clock of this machine"
	}
	got.Text, reason = usable(got.Text)
	return got, used, reason
}

// call is Fetch, of which a panic ends only the fetch.
func (f *fetched) call(ctx context.Context, a Access) (got Fetched, err error) {
	defer func() {
		if recover() != nil {
			err = Problem("keybearer made an error; please report it")
		}
	}()
	return f.fetcher.Fetch(ctx, a)
}

// fetchReason puts an error into words. Those of errors that it does not know are
// not repeated: they may quote what was sent or received.
func fetchReason(err error) string {
	var (
		problem     Problem
		secret      *Error
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		network     net.Error
		operation   *net.OpError
	)
	switch {
	case errors.As(err, &problem):
		return problem.Error()
	case errors.As(err, &secret):
		return "needs " + secret.Error()
	case errors.As(err, &dns):
		return "the name " + dns.Name + " does not resolve; check the name, and the network"
	case errors.As(err, &certificate), errors.As(err, &authority):
		return "the certificate of the server is not valid for it; if a private authority signed it, name that authority's PEM file in upstream_ca"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the server refused the connection; check that it is running"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "the server did not answer in time; check it, and the network"
	case errors.As(err, &operation):
		return "the server cannot be reached; check the network"
	}
	return "the server did not answer as it should; check it, and the address"
}

// digest tells whether the secrets that go into a fetch are still the same.
type digest [sha256.Size]byte

// digest hashes the secrets that f refers to and that stay as they are by themselves.
func (st *Store) digest(f Fetcher) digest {
	h := sha256.New()
	for _, name := range f.References() {
		src := st.source(name)
		if _, ok := src.(*fetched); ok {
			continue
		}
		text, reason := src.read()
		fmt.Fprintf(h, "%q %q %q\n", name, text, reason)
	}
	return digest(h.Sum(nil))
}

func (e environment) pairs() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(e)) {
		list = append(list, name+"="+e[name])
	}
	return list
}

func newTransport() http.RoundTripper {
	return &http.Transport{
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
		IdleConnTimeout:   90 * time.Second,
	}
}

// newClient returns the client of one fetch. A redirect is not followed: the request
// has credentials for one place.
func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// protected refuses requests that others could read on their way. It keeps the last
// error, as not every library returns it with its type.
type protected struct {
	next   http.RoundTripper
	failed error
}

func (p *protected) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !isLoopback(r.URL.Hostname()) {
		p.failed = Problem("the address is not https, so that others could read the secret on its way; use https")
		return nil, p.failed
	}
	resp, err := p.next.RoundTrip(r)
	p.failed = err
	return resp, err
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
