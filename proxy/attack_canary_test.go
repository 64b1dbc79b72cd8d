package proxy

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// echoes is one line in which a secret stands in every spelling that is searched
// for, base64 in its three alignments.
func echoes(secret string) string {
	quoted, _ := json.Marshal(secret)
	list := []string{
		"Bearer " + secret, secret + secret, hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
		url.QueryEscape(secret), url.PathEscape(secret), strings.ToLower(url.QueryEscape(secret)), string(quoted),
	}
	for _, before := range []string{"", "u", "u:"} {
		list = append(list, base64.StdEncoding.EncodeToString([]byte(before+secret+"!")), base64.RawURLEncoding.EncodeToString([]byte(before+secret)))
	}
	return strings.Join(list, " ")
}

// I14: a matching request is sent with its credential or not at all, also when
// the credential goes in the middle of a connection. TestPanicFailsClosed and
// TestRefuseExchange ("no secret", "ambiguous") are about the same.
//
// seen red: exchange.go inject, "if a.err != nil" taken out, and "if a == nil"
// made to return nil: the second request arrived without the key.
func TestAttackFailClosed(t *testing.T) {
	set := func(values map[string]string) func(*fixture) {
		return func(f *fixture) { f.setPolicy(config(), values) }
	}
	for _, test := range []struct {
		name   string
		breaks func(f *fixture)
		status int
	}{
		{"secret gone", set(nil), 502},
		{"secret empty", set(map[string]string{"KEY": ""}), 502},
		{"no header value", set(map[string]string{"KEY": canary + "\r\nX: y"}), 502},
		{"rule without action", func(f *fixture) { f.proxy.SetPolicy(&Policy{set: f.policy.set}) }, 500},
		{"actions of another set", func(f *fixture) {
			old := f.policy
			f.setPolicy(config(), map[string]string{"KEY": canary})
			f.proxy.SetPolicy(&Policy{set: f.policy.set, actions: old.actions})
		}, 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, o := besiege(t, http2, config())
				conn := f.open("api.test:443", protocolsOf(http2)...)
				var status int
				if http2 {
					c := f.prefaced(conn)
					f.askRaw(c, "", get("/")...)
					test.breaks(f)
					status, _ = f.askRaw(c, "", get("/")...)
				} else {
					f.do(conn, "GET", apiGet)
					test.breaks(f)
					status = f.do(conn, "GET", apiGet).StatusCode
				}
				conn.Close()
				if status != test.status {
					t.Errorf("status %d, want %d", status, test.status)
				}
				got := o.settled(f)
				if len(got) != 1 {
					t.Errorf("%d requests arrived, want the first alone", len(got))
				}
				for _, a := range got {
					a.checkKeyed(t)
				}
			})
		})
	}
}

// I14: a callback that panics costs one connection.
//
// seen red: conn.go serveIntercepted, "defer c.contain()" taken out; proxy.go
// admits, the recover taken out: the process ended.
func TestAttackPanicInCallback(t *testing.T) {
	t.Run("Emit", func(t *testing.T) {
		overBoth(t, func(t *testing.T, http2 bool) {
			f, o := besiege(t, http2, config())
			var panicked atomic.Bool
			f.proxy.Emit = func(r Record) {
				if !panicked.Swap(true) {
					panic(canary)
				}
				f.emit(r)
			}
			conn := f.open("api.test:443", protocolsOf(http2)...)
			if http2 {
				f.askRaw(f.prefaced(conn), "", get("/")...)
			} else {
				io.WriteString(conn, apiGet)
				f.hear(conn)
			}
			conn.Close()
			if resp := f.ask(http2, "api.test:443", get("/")...); resp.StatusCode != 200 {
				t.Errorf("the next connection: status %d", resp.StatusCode)
			}
			for _, a := range o.settled(f) {
				a.checkKeyed(t)
			}
		})
	})
	t.Run("Admit", func(t *testing.T) {
		f := startWith(t, config(), nil, func(p *Proxy) { p.Admit = func(net.Conn) error { panic(canary) } })
		f.watch(canary)
		refusal{403, "http_request_denied", "one user"}.check(t, f.do(f.dial(), "CONNECT", connectTo("api.test:443")), f.record())
	})
}

// I15: wherever the upstream's writes, chunks or frames cut the value, in whatever
// spelling, it does not come back. TestMaskerEverySplit is the same without wires.
//
// seen red: scrub.go mask, "if partial && !last" made false.
func TestAttackSplitValue(t *testing.T) {
	const odd = `kb-"canary"/9f8e<7d>+6c 5b4a`
	text := echoes(odd)
	addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cut, _ := strconv.Atoi(r.URL.Path[1:])
		if r.URL.RawQuery == "length" {
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, text[:cut])
		w.(http.Flusher).Flush()
		io.WriteString(w, text[cut:])
	}))
	overBoth(t, func(t *testing.T, http2 bool) {
		for _, framing := range []string{"length", "chunked"} {
			f := start(t, config(), map[string]string{"api.test:443": addr})
			f.setPolicy(config(), map[string]string{"KEY": odd})
			f.watch(odd)
			client := f.client(http2)
			for cut := 1; cut < len(text); cut++ {
				resp, err := client.Get(fmt.Sprintf("https://api.test/%d?%s", cut, framing))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				f.keep(resp, body)
				if err != nil || len(body) != len(text) || bytes.Count(body, []byte("*")) < len(text)/2 || spelled(odd, string(body)) != "" {
					t.Fatalf("%s, cut at %d: %q became %q, %v", framing, cut, text, body, err)
				}
			}
		}
	})
}

// I15: nor does it come back in what is around the body. The reason phrase is in
// TestAttackErrorPaths.
//
// seen red: h1_head.go cleanHead, the call of maskFields taken out; h2_exchange.go
// withInformational, nil needles; h2_respond.go respond, trailers not masked.
func TestAttackReflectedHead(t *testing.T) {
	addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		h := w.Header()
		h.Set("Link", "<https://x.test/?k="+key+">; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		h.Set("Trailer", "X-End")
		h.Set("Location", "https://"+key+"@evil.test/"+key+"?"+key+"#"+key)
		h["Set-Cookie"] = []string{"a=" + key + "; Secure", "b=" + base64.URLEncoding.EncodeToString([]byte("x"+key))}
		h.Set("X-Hex", hex.EncodeToString([]byte(key)))
		h.Set("ETag", `"`+key+key+`"`)
		w.WriteHeader(http.StatusFound)
		io.WriteString(w, key)
		h.Set("X-End", key)
	}))
	// Of canary: 103 and Link, 4 in Location, Set-Cookie; X-Hex and ETag are two long.
	head := (1+1+4+1+2+2)*len(canary) + 28 // in base64
	for method, want := range map[string]int{"GET": head + 2*len(canary), "HEAD": head} {
		overBoth(t, func(t *testing.T, http2 bool) {
			f := start(t, config(), map[string]string{"api.test:443": addr})
			f.watch(canary)
			var all string
			if http2 {
				a := f.openHTTP2("api.test:443").ask(append(get("/")[1:], pair{":method", method})...)
				all = fmt.Sprint(a.heads, a.body, a.trailer)
				f.heard(all)
			} else {
				all = f.attack("api.test:443", rawRequest(method, "/", "api.test", "Connection: close"))
			}
			if got := strings.Count(all, "*"); got != want || !strings.Contains(all, "302") {
				t.Errorf("%s: %d bytes were masked, want %d: %q", method, got, want, all)
			}
		})
	}
}

// I15: HTTP/2 names fields in lower case, in which a value can be a name.
//
// seen red: h2_respond.go, maskName replaced by maskString in copyFields; and, for
// the trailer, in respond.
func TestAttackReflectedName(t *testing.T) {
	upstream := exchangeFrames(t, func(c *frames, head *http2.MetaHeadersFrame) {
		c.headers(head.StreamID, false, pair{":status", "200"}, pair{"x-" + canary, "1"})
		c.headers(head.StreamID, true, pair{canary, "1"})
	})
	f := start(t, config(), map[string]string{"api.test:443": upstream.addr})
	f.watch(canary)
	f.askRaw(f.openHTTP2("api.test:443"), "", get("/")...)
}

// I15: a text of 256 MiB with the value across the ends of its writes is searched
// in memory that does not grow.
//
// seen red: scrub.go write, everything kept in one slice: 600 MiB.
func TestAttackLargeText(t *testing.T) {
	if testing.Short() {
		t.Skip("256 MiB")
	}
	const size, bound = 256 << 20, 32 << 20
	addr := serveHTTP(t, "api.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		block := []byte(canary[11:] + strings.Repeat("all work and no play ", 2000) + canary[:11])
		for sent := 0; sent < size; sent += len(block) {
			w.Write(block)
		}
	}))
	overBoth(t, func(t *testing.T, http2 bool) {
		f := start(t, config(), map[string]string{"api.test:443": addr})
		client := f.client(http2)
		client.Timeout = 0
		resp, err := client.Get("https://api.test/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		buf, keep, total, grown := make([]byte, 1<<20), 0, 0, int64(0)
		for err == nil {
			var n int
			n, err = io.ReadFull(resp.Body, buf[keep:])
			if bytes.Contains(buf[:keep+n], []byte(canary)) {
				t.Fatalf("the secret came back within %d bytes", total)
			}
			keep, total = copy(buf, buf[max(0, keep+n-len(canary)):keep+n]), total+n
			runtime.ReadMemStats(&now)
			grown = max(grown, int64(now.HeapAlloc)-int64(before.HeapAlloc))
		}
		if t.Logf("%d bytes, %d KiB of memory", total, grown>>10); total < size || grown > bound {
			t.Errorf("%d bytes, %v; the heap grew by %d KiB", total, err, grown>>10)
		}
	})
}
