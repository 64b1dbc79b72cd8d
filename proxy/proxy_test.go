package proxy

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"keybearer/rules"
)

// A matching request reaches the upstream with the configured header and without
// the client's own, over either protocol.
func TestInject(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		name := map[bool]string{false: protoHTTP1, true: protoHTTP2}[http2]
		t.Run(name, func(t *testing.T) {
			var got *http.Request
			var body string
			addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				got, body = r, string(b)
				w.Header().Set("X-Answer", "yes")
				io.WriteString(w, "hello")
			}))
			f := start(t, config(), map[string]string{"api.test:443": addr})
			req, _ := http.NewRequest("POST", "https://api.test/v1//a%2Fb/../c?q=%zz", strings.NewReader("payload"))
			req.Header.Set("Authorization", "Bearer bogus")
			resp, err := f.client(http2).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if answer := text(t, resp); answer != "hello" || resp.Header.Get("X-Answer") != "yes" {
				t.Errorf("answer %q, %v", answer, resp.Header)
			}
			if values := got.Header["Authorization"]; !slices.Equal(values, []string{"Bearer " + canary}) {
				t.Errorf("upstream saw Authorization %q", values)
			}
			if got.RequestURI != "/v1//a%2Fb/../c?q=%zz" || got.Host != "api.test" || body != "payload" {
				t.Errorf("upstream saw %q, host %q, body %q", got.RequestURI, got.Host, body)
			}
			if got.ProtoMajor == 2 != http2 {
				t.Errorf("upstream saw %s", got.Proto)
			}
			r := f.record()
			if r.Rule != "api" || r.Status != 200 || r.Verdict != rules.Intercept || r.Protocol != name ||
				r.Path != "/v1//a%2Fb/../c" || !slices.Equal(r.Injected, []string{"Authorization"}) ||
				r.BytesReceived != 7 || r.BytesSent != 5 {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// A host that no rule names, and one in no_proxy, is relayed: the client sees the
// origin's own certificate.
func TestTunnel(t *testing.T) {
	for _, host := range []string{"other.test", "direct.test"} {
		t.Run(host, func(t *testing.T) {
			addr := serveHTTP(t, host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, r.Header.Get("Authorization"))
			}))
			f := startWith(t, config(), map[string]string{host + ":443": addr}, func(*Proxy) {})
			req, _ := http.NewRequest("GET", "https://"+host+"/", nil)
			req.Header.Set("Authorization", "mine")
			client := f.client(true)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if got := text(t, resp); got != "mine" {
				t.Errorf("upstream saw Authorization %q", got)
			}
			leaf := resp.TLS.PeerCertificates[0]
			if err := leaf.CheckSignatureFrom(f.issuer.Certificates()[1]); err != nil {
				t.Errorf("the client did not see the origin's certificate: %v", err)
			}
			if f.authority.Minted() != 0 {
				t.Error("a leaf was minted")
			}
			resp.Body.Close()
			client.CloseIdleConnections()
			if r := f.record(); r.Verdict != rules.Tunnel || r.Target != host+":443" || r.Status != 200 || r.BytesSent == 0 {
				t.Errorf("record %+v", r)
			}
		})
	}
}
