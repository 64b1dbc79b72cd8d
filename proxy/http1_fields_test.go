package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"keybearer/rules"
)

// answering returns a handler that answers each head with the same response.
func answering(response string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, r *bufio.Reader) {
		for strings.HasSuffix(head(r), "\r\n\r\n") {
			io.WriteString(conn, response)
		}
	}
}

const noContent = "HTTP/1.1 204 No Content\r\n\r\n"

// Order, case and spelling of the fields are kept in both directions, and every
// byte of the request target. Only Host is the target's.
func TestFieldsUnchanged(t *testing.T) {
	f, upstream := startRaw(t, answering("HTTP/1.1 200 Fine, thanks\r\nsErver: x\r\nSet-Cookie: a=1\r\nX: 1\r\nset-cookie: b=2\r\nProxy-Status: other; error=x\r\ncontent-LENGTH: 2\r\n\r\nhi"))
	f.setPolicy(pathRule(), map[string]string{"KEY": canary})
	conn := f.open("api.test:443")
	io.WriteString(conn, "GeT //a/../b%2F;c?q=%zz&&\"{}|\xff HTTP/1.1\r\nhOST: API.test:443\r\nX-B: 1\r\nx-a:2  \r\nX-b: \t3\r\n"+
		"Accept-Encoding: gzip, br\r\nEmpty:\r\nCookie: a=b; c=\"\xe4\"\r\nAuthorization: mine\r\nX_A: 4\r\n\r\n")
	expect(t, conn, "HTTP/1.1 200 Fine, thanks\r\nsErver: x\r\nSet-Cookie: a=1\r\nX: 1\r\nset-cookie: b=2\r\nProxy-Status: other; error=x\r\ncontent-LENGTH: 2\r\n\r\nhi")
	want := "GeT //a/../b%2F;c?q=%zz&&\"{}|\xff HTTP/1.1\r\nhOST: api.test\r\nX-B: 1\r\nx-a: 2\r\nX-b: 3\r\n" +
		"Accept-Encoding: gzip, br\r\nEmpty: \r\nCookie: a=b; c=\"\xe4\"\r\nAuthorization: mine\r\nX_A: 4\r\n\r\n"
	if got := upstream.String(); got != want {
		t.Errorf("the upstream received\n%q, want\n%q", got, want)
	}
	if r := f.record(); r.Rule != "" || len(r.Injected) > 0 || strings.Contains(r.Path, "?") {
		t.Errorf("record %+v", r)
	}
}

// A request without Host gets the target's.
func TestHostAdded(t *testing.T) {
	f, upstream := startRaw(t, answering(noContent))
	f.setPolicy(pathRule(), map[string]string{"KEY": canary})
	f.do(f.open("api.test:443"), "GET", "GET / HTTP/1.0\r\n\r\n")
	if got := upstream.String(); got != "GET / HTTP/1.0\r\nHost: api.test\r\n\r\n" {
		t.Errorf("the upstream received %q", got)
	}
}

// Hop-by-hop fields, and those that Connection names, end at the proxy (RFC 9110
// section 7.6.1), and so does Alt-Svc.
func TestHopByHop(t *testing.T) {
	f, upstream := startRaw(t, answering("HTTP/1.1 204 No Content\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"+
		"Proxy-Authenticate: Basic\r\nAlt-Svc: h3=\":443\"\r\nUpgrade: h2c\r\nX-End: 1\r\n\r\n"))
	f.setPolicy(pathRule(), map[string]string{"KEY": canary})
	conn := f.open("api.test:443")
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: api.test\r\nConnection: x-HOP ,keep-alive\r\nConnection: X-Other,,TE\r\nX-Hop: 1\r\nx-other: 2\r\n"+
		"Keep-Alive: 300\r\nTE: trailers\r\nProxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\n"+
		"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nX-End: 1\r\n\r\n")
	expect(t, conn, "HTTP/1.1 204 No Content\r\nX-End: 1\r\n\r\n")
	if got := upstream.String(); got != "GET / HTTP/1.1\r\nHost: api.test\r\nX-End: 1\r\n\r\n" {
		t.Errorf("the upstream received %q", got)
	}
}

// What a Connection field names may not change how the message is framed or where
// it goes.
func TestConnectionNamesFraming(t *testing.T) {
	for _, name := range []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer"} {
		t.Run(name, func(t *testing.T) {
			f, upstream := startRaw(t, answering(noContent))
			conn := f.open("api.test:443")
			resp := f.do(conn, "POST", "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 2\r\nConnection: close, "+name+"\r\n\r\nhi")
			conn.Close()
			refusal{400, "http_request_error", "Connection"}.check(t, resp, f.record())
			upstream.gotNothing(t, false)
		})
	}
}

// The upstream sees the injected header exactly once, with the configured value,
// whatever the client sends (I13).
func TestInjectedOnce(t *testing.T) {
	c := rules.Config{Rules: []rules.RuleConfig{{
		Name: "api", MatchHosts: []string{"api.test"},
		InjectHeaders: map[string]string{"Authorization": "Bearer ${KEY}", "X-Api-Key": "${KEY}"},
		RemoveHeaders: []string{"Cookie"},
	}}}
	copies := make([]pair, 0, 190)
	for i := range 95 {
		copies = append(copies, pair{"authorization", fmt.Sprint(i)}, pair{"x-api-key", fmt.Sprint(i)})
	}
	tests := []struct {
		name   string
		fields []pair
		only   string
	}{
		{"none", nil, ""},
		{"lower case", []pair{{"authorization", "bogus"}}, ""},
		{"upper case", []pair{{"AUTHORIZATION", "bogus"}, {"X-API-KEY", "bogus"}}, "h1"},
		{"twins", []pair{{"x_api_key", "bogus"}, {"x-api_key", "bogus"}, {"X_Api-Key", "bogus"}}, "h1"},
		{"twins in lower case", []pair{{"x_api_key", "bogus"}, {"x-api_key", "bogus"}}, ""},
		{"many", copies, ""},
		{"nominated", []pair{{"authorization", "bogus"}, {"Connection", "authorization, x-api-key"}}, "h1"},
		{"nominated first", []pair{{"Connection", "Authorization"}, {"X-Api-Key", "bogus"}}, "h1"},
		{"empty", []pair{{"authorization", ""}, {"x-api-key", ""}}, ""},
		{"removed", []pair{{"cookie", "a=b"}, {"cookie", "c=d"}}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				if http2 && test.only != "" {
					t.Skip("HTTP/1.1 only")
				}
				seen := make(chan http.Header, 1)
				addr := serveHTTP(t, "api.test", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
				f := start(t, c, map[string]string{"api.test:443": addr})
				resp := f.ask(http2, "api.test:443", get("/", test.fields...)...)
				if resp.StatusCode != 200 {
					t.Fatalf("status %d: %s", resp.StatusCode, text(t, resp))
				}
				checkInjected(t, <-seen)
				if r := f.record(); !slices.Equal(r.Injected, []string{"Authorization", "X-Api-Key"}) {
					t.Errorf("record %+v", r)
				}
			})
		})
	}
}

func checkInjected(t *testing.T, h http.Header) {
	t.Helper()
	found := 0
	for name, values := range h {
		switch strings.ReplaceAll(strings.ToLower(name), "_", "-") {
		case "authorization":
			found++
			if !slices.Equal(values, []string{"Bearer " + canary}) {
				t.Errorf("the upstream saw %s %q", name, values)
			}
		case "x-api-key":
			found++
			if !slices.Equal(values, []string{canary}) {
				t.Errorf("the upstream saw %s %q", name, values)
			}
		case "cookie":
			t.Errorf("the upstream saw %s %q", name, values)
		}
	}
	if found != 2 {
		t.Errorf("%d injected fields arrived in %v", found, h)
	}
}

// Nor does a trailer field of that name pass.
func TestInjectedNotInTrailers(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		seen := make(chan *http.Request, 1)
		addr := serveHTTP(t, "api.test", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			seen <- r
		}))
		c := config()
		c.Rules[0].InjectHeaders = map[string]string{"X-Api-Key": "${KEY}"}
		f := start(t, c, map[string]string{"api.test:443": addr})
		body, send := io.Pipe()
		req, _ := http.NewRequest("POST", "https://api.test/", body)
		req.Trailer = http.Header{"X-Api-Key": nil, "X-Sum": nil}
		go func() {
			io.WriteString(send, "x")
			req.Trailer["X-Api-Key"] = []string{"bogus"}
			req.Trailer["X-Sum"] = []string{"1"}
			send.Close()
		}()
		resp, err := f.client(http2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		r := <-seen
		if v := r.Header["X-Api-Key"]; !slices.Equal(v, []string{canary}) {
			t.Errorf("the upstream saw X-Api-Key %q", v)
		}
		if v := r.Trailer["X-Api-Key"]; len(v) > 0 {
			t.Errorf("the upstream saw a trailer X-Api-Key %q", v)
		}
		if v := r.Trailer["X-Sum"]; !slices.Equal(v, []string{"1"}) {
			t.Errorf("the upstream saw a trailer X-Sum %q", v)
		}
	})
}

// HTTP/2 requests lose what concerns the proxy alone, like HTTP/1.1 requests.
func TestHopByHopHTTP2(t *testing.T) {
	seen := make(chan http.Header, 1)
	addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Alt-Svc", "h3")
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.Header().Set("Proxy-Status", "other")
		seen <- r.Header
	}))
	f := start(t, config(), map[string]string{"api.test:443": addr})
	resp := f.ask(true, "api.test:443", get("/", pair{"proxy-authorization", "Basic eDp5"}, pair{"te", "trailers"}, pair{"x-end", "1"})...)
	h := <-seen
	if v, ok := h["Proxy-Authorization"]; ok {
		t.Errorf("the upstream saw Proxy-Authorization %q", v)
	}
	if h.Get("Te") != "trailers" || h.Get("X-End") != "1" { // gRPC asks for trailers
		t.Errorf("the upstream saw %v", h)
	}
	if resp.Header.Get("Alt-Svc") != "" || resp.Header.Get("Proxy-Authenticate") != "" || resp.Header.Get("Proxy-Status") != "other" {
		t.Errorf("the client saw %v", resp.Header)
	}
}
