package proxy

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
)

// An upstream proxy that quotes a plain request, as Squid's pages of errors do
// (CVE-2025-62168), and one that passes its credentials on to an upstream that
// quotes them, tell the client nothing.
//
// Seen red: without the needles of nextProxy each of them came back.
func TestUpstreamProxyReflects(t *testing.T) {
	encoded := strings.TrimPrefix(proxyCredentials, "Basic ")
	plain, _ := base64.StdEncoding.DecodeString(encoded)
	for _, test := range []struct{ name, quoted string }{
		{"field", proxyCredentials},
		{"percent-encoded", url.PathEscape(proxyCredentials)},
		{"user and password", string(plain)},
		{"password", proxyPassword},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := make(chan string, 1)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			addr := serveListener(t, l, func(conn net.Conn) {
				got <- head(bufio.NewReader(conn))
				io.WriteString(conn, "HTTP/1.1 502 "+test.quoted+"\r\nX-Quoted: "+test.quoted+
					"\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<a href=mailto:"+test.quoted+">")
			}).addr
			f := startBehind(t, config(), "http://"+addr)
			resp := f.do(f.dial(), "GET", "GET http://nowhere.test/ HTTP/1.1\r\nHost: nowhere.test\r\nAccept-Encoding: gzip\r\n\r\n")
			if body := text(t, resp); strings.Contains(body+resp.Status+resp.Header.Get("X-Quoted"), test.quoted) {
				t.Errorf("the client received %s, %v, %s", resp.Status, resp.Header, body)
			}
			if h := <-got; !strings.Contains(h, "\r\nAccept-Encoding: identity\r\n") || strings.Contains(h, "gzip") {
				t.Errorf("the upstream proxy was asked %q", h)
			}
		})
	}
}
