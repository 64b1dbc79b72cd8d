// Command nethttp is a peer of the comparison: the least that relays requests
// with net/http on both sides and sets one header. It shows what HTTP/2 costs with
// net/http, whatever a proxy adds. It is a reverse proxy without policy or
// interception.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
)

func main() {
	listen := flag.String("listen", "", "address to listen on")
	cert := flag.String("cert", "", "PEM file with certificate and key")
	upstream := flag.String("upstream", "", "address to connect to")
	roots := flag.String("roots", "", "PEM file with the roots of upstreams")
	header := flag.String("header", "", "value of the Authorization field")
	flag.Parse()

	pem, err := os.ReadFile(*roots)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	p := proxy{
		one:    transport(*upstream, pool, false),
		two:    transport(*upstream, pool, true),
		header: *header,
	}
	server := &http.Server{Addr: *listen, Handler: p, ErrorLog: log.New(io.Discard, "", 0)}
	log.Fatal(server.ListenAndServeTLS(*cert, *cert))
}

func transport(upstream string, roots *x509.CertPool, http2 bool) *http.Transport {
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, upstream)
		},
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		MaxIdleConnsPerHost: 100,
		DisableCompression:  true,
		Protocols:           new(http.Protocols),
	}
	t.Protocols.SetHTTP1(!http2)
	t.Protocols.SetHTTP2(http2)
	return t
}

// proxy sends each request on by the protocol that it came by.
type proxy struct {
	one, two *http.Transport
	header   string
}

func (p proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := &http.Request{
		Method:        r.Method,
		URL:           &url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path},
		Header:        r.Header,
		Body:          r.Body,
		ContentLength: r.ContentLength,
	}
	out.Header.Set("Authorization", p.header)
	t := p.one
	if r.ProtoMajor == 2 {
		t = p.two
	}
	resp, err := t.RoundTrip(out.WithContext(r.Context()))
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}
