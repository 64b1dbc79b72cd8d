// Command goproxy is a peer of the comparison: elazarl/goproxy, which intercepts
// TLS and sets one header.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/elazarl/goproxy"
)

func main() {
	listen := flag.String("listen", "", "address to listen on")
	ca := flag.String("ca", "", "PEM file with the authority's certificate and key")
	roots := flag.String("roots", "", "PEM file with the roots of upstreams")
	header := flag.String("header", "", "value of the Authorization field")
	tunnel := flag.String("tunnel", "", "host that is not intercepted")
	flag.Parse()

	authority, err := tls.LoadX509KeyPair(*ca, *ca)
	if err != nil {
		log.Fatal(err)
	}
	pem, err := os.ReadFile(*roots)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)

	proxy := goproxy.NewProxyHttpServer()
	proxy.CertStore = &certificates{made: make(map[string]*tls.Certificate)}
	proxy.ConnectDial = func(network, addr string) (net.Conn, error) { return dial(context.Background(), network, addr) }
	proxy.Tr = &http.Transport{
		DialContext:         dial,
		TLSClientConfig:     &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
		MaxIdleConnsPerHost: 100,
		DisableCompression:  true,
	}
	intercept := &goproxy.ConnectAction{Action: goproxy.ConnectMitm, TLSConfig: goproxy.TLSConfigFromCA(&authority)}
	proxy.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		if strings.HasPrefix(host, *tunnel+":") {
			return goproxy.OkConnect, host
		}
		return intercept, host
	})
	proxy.OnRequest().DoFunc(func(r *http.Request, _ *goproxy.ProxyCtx) (*http.Request, *http.Response) {
		r.Header.Set("Authorization", *header)
		return r, nil
	})
	log.Fatal(http.ListenAndServe(*listen, proxy))
}

// dial connects to loopback, whatever the host: there is no DNS here.
func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// certificates keeps what was minted.
type certificates struct {
	mu   sync.Mutex
	made map[string]*tls.Certificate
}

// Fetch implements goproxy.CertStorage.
func (c *certificates) Fetch(host string, mint func() (*tls.Certificate, error)) (*tls.Certificate, error) {
	c.mu.Lock()
	cert := c.made[host]
	c.mu.Unlock()
	if cert != nil {
		return cert, nil
	}
	cert, err := mint()
	if err == nil {
		c.mu.Lock()
		c.made[host] = cert
		c.mu.Unlock()
	}
	return cert, err
}
