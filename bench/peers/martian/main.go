// Command martian is a peer of the comparison: google/martian, which intercepts
// TLS and sets one header. It intercepts everything or nothing.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/martian/v3"
	martianlog "github.com/google/martian/v3/log"
	"github.com/google/martian/v3/mitm"
)

func main() {
	listen := flag.String("listen", "", "address to listen on")
	ca := flag.String("ca", "", "PEM file with the authority's certificate and key")
	roots := flag.String("roots", "", "PEM file with the roots of upstreams")
	header := flag.String("header", "", "value of the Authorization field")
	tunnel := flag.Bool("tunnel", false, "intercept nothing")
	flag.Parse()

	pem, err := os.ReadFile(*roots)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	dial := func(network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return net.Dial(network, net.JoinHostPort("127.0.0.1", port)) // there is no DNS here
	}

	martianlog.SetLevel(martianlog.Silent)
	proxy := martian.NewProxy()
	proxy.SetRoundTripper(&http.Transport{
		Dial:                dial,
		TLSClientConfig:     &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
		MaxIdleConnsPerHost: 100,
		DisableCompression:  true,
	})
	proxy.SetDial(dial)
	proxy.SetRequestModifier(martian.RequestModifierFunc(func(r *http.Request) error {
		r.Header.Set("Authorization", *header)
		return nil
	}))
	if !*tunnel {
		proxy.SetMITM(interceptor(*ca))
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(proxy.Serve(l))
}

func interceptor(ca string) *mitm.Config {
	authority, err := tls.LoadX509KeyPair(ca, ca)
	if err != nil {
		log.Fatal(err)
	}
	config, err := mitm.NewConfig(authority.Leaf, authority.PrivateKey)
	if err != nil {
		log.Fatal(err)
	}
	config.SetValidity(24 * time.Hour)
	return config
}
