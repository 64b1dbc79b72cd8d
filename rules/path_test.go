package rules

import (
	"net/url"
	"path"
	"strings"
	"testing"
	"time"
)

func pathPatterns(t testing.TB, texts ...string) []pathPattern {
	t.Helper()
	var out []pathPattern
	for _, text := range texts {
		patterns, err := parsePathPattern(text)
		if err != nil {
			t.Fatalf("parsePathPattern(%q): %v", text, err)
		}
		out = append(out, patterns...)
	}
	return out
}

// I8: all readings match, none does, or the path is ambiguous.
func TestPaths(t *testing.T) {
	for _, tt := range []struct {
		patterns            string // separated by spaces
		all, none, confused []string
	}{
		{
			patterns: "/v1/*",
			all:      []string{"/v1/", "/v1/a", "/v1/a/b/c", "/v1/a%20b", "/v1/a;p=1/b", "/v1/a//b", "/v1/a/./b", "/v1/a/../b", "/v1/a%2Fb", "/v1/a%252Fb", `/v1/a\b`, "/v1/...", "/v1/.x", "/v1/100%", "/v1/%zz", "/v1/%", "/v1/a%3Bb"},
			none:     []string{"/v1", "/v2/a", "/", "", "*", "/v10/a", "/V1/a", "/x/v1/a", "v1/a"},
			confused: []string{
				"/v1/..", "/v1/../", "/v1/../admin", "/v1/a/../../admin", "/v1/%2e%2e/admin", "/v1/.%2e/admin",
				"/v1/..%2fadmin", "/v1/..%2Fadmin", "/v1/%2e%2e%2fadmin", "/v1/..%5cadmin", `/v1/..\admin`,
				"/v1/%252e%252e/admin", "/v1/..%252fadmin", "/v1/..;/admin", "/v1/..;x=y/admin", "/v1/..%3b/admin",
				"/v1/a;%2f..%2f..%2fadmin", "/v1/%2e%2e;/admin", "/v1/..%253b/admin", "/admin/../v1/a", "//v1/a", "/./v1/a",
				"/%76%31/a", "/v1%2fa", "/v1%252fa", `\v1\a`, "/v1//../../admin", "/v1;x/a", "/v1%3bx/a", "/v1/.;/../admin",
				`/v1/.\..\admin`, "/%2e/v1/a", "/v1%2F..%2Fv1/a",
			},
		},
		{patterns: "/*", all: []string{"/", "/a", "/a/b", "/../a", "/%2e%2e/a", "//a"}, none: []string{"", "*"}},
		{patterns: "/v1/chat", all: []string{"/v1/chat"}, none: []string{"/v1/chat/", "/v1/chats", "/v1/Chat"}, confused: []string{"/v1/%63hat", "/v1//chat", "/v1/chat;x"}},
		{patterns: "/a/*/c", all: []string{"/a/b/c", "/a/x%20y/c"}, none: []string{"/a/c", "/a/b/d/c"}, confused: []string{"/a/b%2Fd/c", "/a/..%2f/c"}},
		{patterns: "/a/**/c", all: []string{"/a/b/c", "/a/b/d/c", "/a/b%2Fd/c"}, none: []string{"/a/c"}, confused: []string{"/a/../b/c"}},
		{patterns: "/a?c", all: []string{"/abc"}, none: []string{"/ac", "/abbc", "/a/c"}},
		{patterns: "/{v1,v2}/{a,b*}", all: []string{"/v1/a", "/v2/bx"}, none: []string{"/v3/a", "/v1/c", "/v1/b/x"}},
		{patterns: "/v1/* /v2/*", all: []string{"/v1/a", "/v2/a", "/v1/../v2/a"}, confused: []string{"/v1/../v3/a"}},
		// %2F in names.
		{patterns: "/api/v4/projects/*", all: []string{"/api/v4/projects/group%2Fname/x", "/api/v4/projects/group%2fname", "/api/v4/projects/1/issues"}, confused: []string{"/api/v4/projects/..%2F..%2Fadmin"}},
		{patterns: "/api/v4/projects/group%2Fname/*", all: []string{"/api/v4/projects/group%2Fname/issues", "/api/v4/projects/group%2fname/issues"}, none: []string{"/api/v4/projects/group/name/issues", "/api/v4/projects/other%2Fname/issues"}, confused: []string{"/api/v4/projects/group%252Fname/issues"}},
		{patterns: "/@scope%2f*", all: []string{"/@scope%2fname", "/@scope%2Fname"}, none: []string{"/@scope/name", "/@other%2fname"}},
		{patterns: "/@scope/* /@scope%2f*", all: []string{"/@scope%2fname", "/@scope/name/-/name-1.0.0.tgz"}, confused: []string{"/@scope%2f..%2fother"}},
		{patterns: "/@scope/*", all: []string{"/@scope/name"}, confused: []string{"/@scope%2fname"}},
		// Patterns written with what a raw path can not hold.
		{patterns: "/é/*", all: []string{"/%C3%A9/x", "/%c3%a9/x"}, none: []string{"/e/x"}},
		{patterns: "/a b", all: []string{"/a%20b"}, none: []string{"/a+b"}},
		{patterns: "/a%2Ab", all: []string{"/a%2Ab"}, none: []string{"/axb", "/a%2Bb"}},
		{patterns: "/a%3Fb", all: []string{"/a%3fb"}, none: []string{"/axb"}},
		{patterns: "/a%252Ab", all: []string{"/a%252Ab"}, none: []string{"/axb"}},
		{patterns: "/a%252Fb", all: []string{"/a%252Fb"}, none: []string{"/a/b"}, confused: []string{"/a%252fb"}},
		{patterns: "/a%2A/*", all: []string{"/a%2A/x/y"}, none: []string{"/ab/x"}},
	} {
		t.Run(tt.patterns, func(t *testing.T) {
			patterns := pathPatterns(t, splitPatterns(tt.patterns)...)
			for want, paths := range map[pathVerdict][]string{everyForm: tt.all, noPath: tt.none, someForms: tt.confused} {
				for _, p := range paths {
					if got, with, without := (&pathReader{raw: p}).match(patterns); got != want {
						t.Errorf("%s: verdict %d, want %d (matching %q, not %q)", p, got, want, with, without)
					}
				}
			}
		})
	}
}

// splitPatterns splits at spaces before a slash.
func splitPatterns(s string) []string { return strings.Split(strings.ReplaceAll(s, " /", "\n/"), "\n") }

func TestPathPatternErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"":              "begin with a slash",
		"v1/*":          "begin with a slash",
		"*":             "begin with a slash",
		"https://x/v1":  "begin with a slash",
		"/{a":           "a { without its }",
		"/a}":           "a } without its {",
		"/[ab]":         "no meaning in a pattern",
		`/a\*`:          "no meaning in a pattern",
		"/a//b":         "slashes are merged",
		"/a/../b":       ". and .. are removed",
		"/a/.":          ". and .. are removed",
		"/a/./b":        ". and .. are removed",
		"/{a,..}/b":     ". and .. are removed",
		"/a/%2e%2e/b":   ". and .. are removed",
		"/a/%252e%252e": ". and .. are removed",
		"/a%2F/b":       "slashes are merged",
		"/a;v=1":        ";parameters",
		"/a%3bv":        ";parameters",
		"/a%5Cb":        "a backslash is read as a slash",
		"/%ff":          "not valid UTF-8",
	} {
		if _, err := parsePathPattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", pattern, err, want)
		}
	}
}

// A pattern that is accepted must be of use: it matches what it is written like.
func TestPathPatternMatchesItself(t *testing.T) {
	for _, pattern := range []string{"/", "/a", "/a/", "/*", "/a/*", "/a/**/b", "/a%2Fb", "/a%2Fb/*", "/%41", "/%2A", "/%252A", "/a%20b", "/.well-known/*", "/a..b", "/...", "/a%25"} {
		p := strings.ReplaceAll(pattern, "*", "x")
		if got, with, without := (&pathReader{raw: p}).match(pathPatterns(t, pattern)); got != everyForm {
			t.Errorf("%s on %s: verdict %d (matching %q, not %q)", pattern, p, got, with, without)
		}
	}
}

func TestRemoveDots(t *testing.T) {
	for in, want := range map[string]string{
		"/a/b/c/./../../g": "/a/g", "/a/..": "/", "/a/.": "/a/", "/..": "/", "/.": "/", "/../a": "/a",
		"/a//../b": "/a/b", "/a/..b": "/a/..b", "/a/b/../..": "/", "/...": "/...", "/a/../..//b": "//b",
	} {
		if got := removeDots(in); got != want {
			t.Errorf("removeDots(%q) = %q, want %q", in, got, want)
		}
	}
}

// I19: neither a path nor a pattern makes matching slow. gobwas/glob takes half a
// minute for the first of these.
func TestPathMatchingIsLinear(t *testing.T) {
	patterns := pathPatterns(t, "/*a*b*c*Q*x", "/**a**b**c**Q**x", "/*/*/*/*/*/Q/**/*x")
	for name, p := range map[string]string{
		"many restarts": "/" + strings.Repeat("abcd", 1000) + "x",
		"many segments": "/" + strings.Repeat("a/b/", 1000) + "x",
		"many readings": "/" + strings.Repeat(`..;a%252f\.%2e//`, 250),
	} {
		start := time.Now()
		(&pathReader{raw: p}).match(patterns)
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s: %v", name, d)
		}
	}
}

func TestTooManyReadingsAreAmbiguous(t *testing.T) {
	const confusing = `/a;b%253bc\..%255c..//.%252e/d;%3be/f\;g/..;/%2e;/x`
	forms := pathForms(confusing)
	if len(forms) != maxForms+1 || forms[maxForms].path != tooManyForms {
		t.Fatalf("%d forms; the test needs a more confusing path", len(forms))
	}
	if got, _, _ := (&pathReader{raw: confusing}).match(pathPatterns(t, "/*")); got != someForms {
		t.Errorf("verdict %d, want %d", got, someForms)
	}
}

// servers are ways in which real servers read a path.
var servers = map[string]func(string) string{
	"as sent":           func(s string) string { return s },
	"decode":            decodeOnce,
	"decode, clean":     func(s string) string { return clean(decodeOnce(s)) },
	"clean, decode":     func(s string) string { return decodeOnce(clean(s)) },
	"decode twice":      func(s string) string { return clean(decodeOnce(decodeOnce(s))) },
	"clean between":     func(s string) string { return clean(decodeOnce(clean(decodeOnce(s)))) },
	"servlet":           func(s string) string { return clean(decodeOnce(cutParameters(s))) },
	"decode, servlet":   func(s string) string { return clean(cutParameters(decodeOnce(s))) },
	"Windows":           func(s string) string { return clean(strings.ReplaceAll(decodeOnce(s), `\`, "/")) },
	"Windows, raw":      func(s string) string { return clean(strings.ReplaceAll(s, `\`, "/")) },
	"gateway, Windows":  func(s string) string { return clean(strings.ReplaceAll(decodeOnce(clean(decodeOnce(s))), `\`, "/")) },
	"gateway + servlet": func(s string) string { return clean(decodeOnce(cutParameters(clean(decodeOnce(s))))) },
}

func decodeOnce(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}

func cutParameters(s string) string {
	segments := strings.Split(s, "/")
	for i := range segments {
		segments[i], _, _ = strings.Cut(segments[i], ";")
	}
	return strings.Join(segments, "/")
}

func clean(s string) string { return path.Clean("/" + s) }

// FuzzPath: whatever matches lies below the pattern for every server.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"/v1/a", "/v1/..%2fadmin", "/v1/%252e%252e/x", `/v1/..\x`, "/v1/..;/x", "/v1/a%2Fb", "/v1//../../x", "/v1/a;%2f../b", "/v1/%3b%2f..%2f..%2f"} {
		f.Add(p)
	}
	patterns := pathPatterns(f, "/v1/*")
	f.Fuzz(func(t *testing.T, raw string) {
		if v, _, _ := (&pathReader{raw: raw}).match(patterns); v != everyForm {
			return
		}
		for name, read := range servers {
			if got := read(raw); !strings.HasPrefix(got+"/", "/v1/") {
				t.Fatalf("%q matches, and a server that reads %q sees %q", raw, name, got)
			}
		}
		for _, form := range pathForms(raw) {
			if v, _, _ := (&pathReader{raw: form.path}).match(patterns); form.decoded == 0 && v != everyForm {
				t.Fatalf("%q matches, its form %q does not", raw, form.path)
			}
		}
	})
}
