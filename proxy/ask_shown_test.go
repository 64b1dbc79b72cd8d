package proxy

import (
	"strings"
	"testing"
)

// A callback decides about what it is shown, so that what JSON would show as something
// else than what is sent is refused: bytes that are not UTF-8. The method, too, is shown
// whole, or not at all.
//
// seen red: show without ValidString, of the target, of values; admit without the method.
func TestAskNotShowable(t *testing.T) {
	for name, fields := range map[string][]pair{
		"path":   {{":method", "GET"}, {":scheme", "https"}, {":authority", "api.test"}, {":path", "/v1/\xff"}},
		"query":  {{":method", "GET"}, {":scheme", "https"}, {":authority", "api.test"}, {":path", "/v1?caf\xe9"}},
		"value":  {{":method", "GET"}, {":scheme", "https"}, {":authority", "api.test"}, {":path", "/v1"}, {"x-name", "caf\xe9"}},
		"method": {{":method", strings.Repeat("A", 501)}, {":scheme", "https"}, {":authority", "api.test"}, {":path", "/v1"}},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, w := showing(t, bearerOf)
				resp := f.ask(http2, "api.test:443", fields...)
				if why := text(t, resp); resp.StatusCode != 400 || !strings.HasPrefix(why, "keybearer: ") {
					t.Errorf("status %d %s", resp.StatusCode, why)
				}
				if asked, got := w.questions(); len(asked) > 0 || len(got) > 0 {
					t.Errorf("asked about %+v, arrived %+v", asked, got)
				}
			})
		})
	}
}

// What is UTF-8 is shown as it is sent.
//
// seen red: show refusing what is not ASCII.
func TestAskShowsUTF8(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, w := showing(t, bearerOf)
		resp := f.ask(http2, "api.test:443", pair{":method", "GET"}, pair{":scheme", "https"}, pair{":authority", "api.test"}, pair{":path", "/v1/é<&>"}, pair{"x-name", "café \"<&>"})
		asked, _ := w.questions()
		if resp.StatusCode != 200 || len(asked) != 1 || asked[0].Request.Path != "/v1/é<&>" || asked[0].Request.Headers["X-Name"][0] != "café \"<&>" {
			t.Errorf("status %d, asked about %+v", resp.StatusCode, asked)
		}
	})
}

// I15: spaces around what a callback answers with are no part of the value (RFC 9110
// 5.5), neither where it is put in nor where it is looked for: upstreams take them off.
//
// seen red: parseAnswer without Trim.
func TestAskAnswerWithSpaces(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, w := showing(t, func(question, int) (int, string) {
			return 200, `{"headers": {"Authorization": " \t` + canary + ` \t"}}`
		})
		if status, echo := f.get(f.client(http2), "https://api.test/v1"); status != 200 || echo != strings.Repeat("*", len(canary)) {
			t.Errorf("status %d %q", status, echo)
		}
		if _, got := w.questions(); len(got) != 1 || got[0].authorization != canary {
			t.Errorf("arrived: %+v", got)
		}
	})
}

// A URL that is signed by itself is asked about, and may be refused; otherwise it goes
// out as it does past any rule, with nothing put in and without what the client sent in
// its place.
//
// seen red: inject with signed URLs in spite of an error; withhold without remove.
func TestAskPresigned(t *testing.T) {
	const url = "https://api.test/v1?X-Amz-Credential=a&X-Amz-Signature=b"
	overBoth(t, func(t *testing.T, http2 bool) {
		f, w := showing(t, bearerOf)
		client := f.client(http2)
		status, why := f.get(client, url)
		if asked, got := w.questions(); status != 200 || len(asked) != 1 || len(got) != 1 || got[0].authorization != "" {
			t.Errorf("status %d %s, asked about %+v, arrived %+v", status, why, asked, got)
		}
		w.answer = func(question, int) (int, string) { return 403, "" }
		status, why = f.get(client, url)
		if asked, got := w.questions(); status != 403 || len(asked) != 1 || len(got) != 0 {
			t.Errorf("refused: status %d %s, asked about %+v, arrived %+v", status, why, asked, got)
		}
	})
}
