package proxy

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keybearer/rules"
	"keybearer/secrets"
)

// question is what the server of a callback with full_request is sent, by the names
// that LangSmith's SDK reads it by.
type question struct {
	Host    string
	Port    int
	Request struct {
		Method, URL, Scheme, Host, Path, Query string
		Headers                                map[string][]string
		Body                                   []byte `json:"body_base64"`
		Truncated                              bool   `json:"body_truncated"`
	}
}

// witness is the server of such a callback, and the upstream of what it has seen.
type witness struct {
	mu     sync.Mutex
	answer func(q question, n int) (status int, answer string)
	asked  []question
	got    []taken
	status int    // of the upstream's answers; 0: 200
	before func() // it answers; nil: nothing
}

// taken is a request as the upstream has it.
type taken struct {
	line, authorization, body string
	trailer                   http.Header
}

func (w *witness) ask(rw http.ResponseWriter, r *http.Request) {
	var q question
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil || r.Method != http.MethodPost {
		http.Error(rw, "not a callback", http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	w.asked = append(w.asked, q)
	answer, n := w.answer, len(w.asked)
	w.mu.Unlock()
	status, text := answer(q, n)
	rw.WriteHeader(status)
	io.WriteString(rw, text)
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if w.before != nil {
		w.before()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, taken{r.Method + " " + r.RequestURI, strings.Join(r.Header["Authorization"], "|"), string(body), r.Trailer})
	if w.status != 0 {
		rw.WriteHeader(w.status)
	}
	io.WriteString(rw, r.Header.Get("Authorization"))
}

// questions returns what was asked since the last time, and what has arrived.
func (w *witness) questions() ([]question, []taken) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked, got := w.asked, w.got
	w.asked, w.got = nil, nil
	return asked, got
}

// showing is a proxy with a callback for api.test that is shown each request.
func showing(t *testing.T, answer func(q question, n int) (int, string)) (*fixture, *witness) {
	t.Helper()
	w := &witness{answer: answer}
	server := httptest.NewTLSServer(http.HandlerFunc(w.ask))
	f := start(t, config(), map[string]string{"api.test:443": serveHTTP(t, "api.test", w)})
	f.consult(rules.Config{Callbacks: []rules.CallbackConfig{{MatchHosts: []string{"api.test"}, FullRequest: true}}}, server, secrets.RequestCallback{URL: server.URL})
	return f, w
}

// bearerOf answers with the nth token.
func bearerOf(_ question, n int) (int, string) { return http.StatusOK, bearer(coin(n)) }

// unsized is a body whose length is not known.
type unsized struct{ io.Reader }

// A callback with full_request is shown each request, whole or as much of the body as it
// may be shown; what it answers goes into that request, and all of the body arrives.
//
// seen red: show without the query; with the names as sent; ask with all of the body;
// BodyTruncated without the length; start without begun; start without finish.
func TestAsk(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 3*shownSize/16)
	for _, test := range []struct {
		name, method, body string
		chunked, waits     bool
	}{
		{name: "no body", method: "GET"},
		{name: "body", method: "POST", body: "a=1"},
		{name: "body of unknown length", method: "PUT", body: "a=1", chunked: true},
		{name: "empty body of unknown length", method: "PUT", chunked: true},
		{name: "all that may be shown", method: "POST", body: long[:shownSize]},
		{name: "a byte more", method: "POST", body: long[:shownSize+1]},
		{name: "long", method: "POST", body: long},
		{name: "long of unknown length", method: "POST", body: long, chunked: true},
		{name: "a client that waits to be told", method: "POST", body: long, waits: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, w := showing(t, bearerOf)
				client := f.client(http2)
				client.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
				for n := range 2 {
					r, _ := http.NewRequest(test.method, "https://api.test/v1/a%2Fb?x=1&y=%20", nil)
					if test.body != "" {
						r, _ = http.NewRequest(test.method, r.URL.String(), strings.NewReader(test.body))
					}
					if test.chunked {
						r.Body, r.ContentLength = io.NopCloser(unsized{strings.NewReader(test.body)}), -1
					}
					r.Header = http.Header{"authorization": {"mine"}, "X-List": {"a", "b"}}
					if test.waits {
						r.Header.Set("Expect", "100-continue")
					}
					if status, why := f.answer(client, r); status != 200 {
						t.Fatalf("status %d %s", status, why)
					}
					asked, got := w.questions()
					if len(asked) != 1 || len(got) != 1 {
						t.Fatalf("asked %d times, sent %d times", len(asked), len(got))
					}
					q := asked[0].Request
					if asked[0].Host != "api.test" || asked[0].Port != 443 || q.Method != test.method || q.URL != "https://api.test/v1/a%2Fb?x=1&y=%20" ||
						q.Scheme != "https" || q.Host != "api.test" || q.Path != "/v1/a%2Fb" || q.Query != "x=1&y=%20" {
						t.Errorf("asked about %+v", asked[0])
					}
					if !reflect.DeepEqual(q.Headers["Authorization"], []string{"mine"}) || !reflect.DeepEqual(q.Headers["X-List"], []string{"a", "b"}) || q.Headers["Host"] != nil {
						t.Errorf("headers %v", q.Headers)
					}
					if string(q.Body) != test.body[:min(shownSize, len(test.body))] || q.Body == nil || q.Truncated != (len(test.body) > shownSize) {
						t.Errorf("%d bytes of %d shown, truncated %v", len(q.Body), len(test.body), q.Truncated)
					}
					if got[0].line != test.method+" /v1/a%2Fb?x=1&y=%20" || got[0].authorization != "Bearer "+coin(1) || got[0].body != test.body {
						t.Errorf("request %d: arrived: %s, %q, %d bytes", n, got[0].line, got[0].authorization, len(got[0].body))
					}
					if r := f.record(); !slices.Equal(r.Injected, []string{"Authorization"}) || r.Rule != "callbacks[0]" || r.BytesReceived != int64(len(test.body)) || r.Masked == 0 {
						t.Errorf("record %+v", r)
					}
				}
				if n := f.proxy.reserve.total(); n != 0 {
					t.Errorf("%d bytes are still held back", n)
				}
			})
		})
	}
}

// The answer may depend on the request: on its body too, and two at a time.
//
// seen red: ask with the lease of the rule.
func TestAskEach(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, w := showing(t, func(q question, _ int) (int, string) { return 200, bearer(coin(len(q.Request.Body))) })
		client := f.client(http2)
		var all sync.WaitGroup
		for n := range 20 {
			all.Go(func() {
				r, _ := http.NewRequest("POST", "https://api.test/v1", strings.NewReader(strings.Repeat("x", n+1)))
				if status, why := f.answer(client, r); status != 200 {
					t.Errorf("status %d %s", status, why)
				}
			})
		}
		all.Wait()
		asked, got := w.questions()
		for _, a := range got {
			if a.authorization != "Bearer "+coin(len(a.body)) {
				t.Errorf("%d bytes with %q", len(a.body), a.authorization)
			}
		}
		if len(asked) != 20 || len(got) != 20 {
			t.Errorf("asked %d times, sent %d times", len(asked), len(got))
		}
	})
}

// I14: without an answer that can be used nothing is sent, whatever there is of a body;
// and the next request is asked about again.
//
// seen red: ask ignoring the error; serve without prepare, before key was not given.
func TestAskFailsClosed(t *testing.T) {
	for name, answer := range map[string]func(question, int) (int, string){
		"failure":   func(question, int) (int, string) { return 500, bearer(canary) },
		"unknown":   func(question, int) (int, string) { return 401, bearer(canary) },
		"nothing":   func(question, int) (int, string) { return 200, "" },
		"no header": func(question, int) (int, string) { return 200, `{"headers": {}}` },
		"Host":      func(question, int) (int, string) { return 200, `{"headers": {"Host": "` + canary + `"}}` },
		"two lines": func(question, int) (int, string) { return 200, `{"headers": {"X-A": "` + canary + `\r\nX-B: c"}}` },
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, w := showing(t, answer)
				client := f.client(http2)
				for _, body := range []string{"", "a body", strings.Repeat("x", 2*shownSize)} {
					r, _ := http.NewRequest("POST", "https://api.test/v1", strings.NewReader(body))
					if status, why := f.answer(client, r); status != 502 || !strings.Contains(why, "a secret of the rule is not available: ") {
						t.Errorf("status %d %s", status, why)
					}
					if r := f.record(); len(r.Injected) > 0 || r.Error != "proxy_configuration_error" {
						t.Errorf("record %+v", r)
					}
				}
				if asked, got := w.questions(); len(asked) != 3 || len(got) > 0 {
					t.Errorf("asked %d times, arrived %+v", len(asked), got)
				}
				w.answer = bearerOf
				r, _ := http.NewRequest("POST", "https://api.test/v1", strings.NewReader("a body"))
				if status, why := f.answer(client, r); status != 200 {
					t.Errorf("later: status %d %s", status, why)
				}
			})
		})
	}
}

// By a 403 the callback refuses a request: its client is told, and nothing is sent.
//
// seen red: Fetch without Refused; failure without ErrRefused.
func TestAskDenied(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, w := showing(t, func(q question, n int) (int, string) {
			if q.Request.Path == "/denied" {
				return 403, bearer(canary)
			}
			return bearerOf(q, n)
		})
		client := f.client(http2)
		for _, path := range []string{"/denied", "/v1", "/denied"} {
			r, _ := http.NewRequest("POST", "https://api.test"+path, strings.NewReader("a body"))
			status, why := f.answer(client, r)
			if denied := path == "/denied"; denied != (status == 403 && strings.Contains(why, "http_request_denied") && strings.Contains(why, "the callback")) {
				t.Errorf("%s: status %d %s", path, status, why)
			}
		}
		if asked, got := w.questions(); len(asked) != 3 || len(got) != 1 {
			t.Errorf("asked %d times, sent %d times", len(asked), len(got))
		}
	})
}

// What an upstream refuses is passed on: the same question would have the same answer.
//
// seen red: ask with a.lease, when current asked again with no request.
func TestAskRefused(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, w := showing(t, bearerOf)
		w.status = 401
		for range 2 {
			if status, _ := f.get(f.client(http2), "https://api.test/v1"); status != 401 {
				t.Errorf("status %d", status)
			}
			if asked, got := w.questions(); len(asked) != 1 || len(got) != 1 {
				t.Errorf("asked %d times, sent %d times", len(asked), len(got))
			}
		}
	})
}

// I13: what the callback sets cannot come a second time in a trailer.
//
// seen red: heldBody.Read ending by itself; take without dropsTrailer.
func TestAskTrailer(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, w := showing(t, func(question, int) (int, string) { return 200, `{"headers": {"X-Key": "` + canary + `"}}` })
		r, _ := http.NewRequest("POST", "https://api.test/v1", unsized{strings.NewReader("a body")})
		r.Trailer = http.Header{"X-Key": {"mine"}, "X-Sum": {"1"}}
		if status, why := f.answer(f.client(http2), r); status != 200 {
			t.Fatalf("status %d %s", status, why)
		}
		if _, got := w.questions(); len(got) != 1 || got[0].trailer.Get("X-Sum") != "1" || got[0].trailer["X-Key"] != nil {
			t.Errorf("arrived: %+v", got)
		}
	})
}
