package proxy

import (
	"strings"
	"testing"
)

// A parameter is set once, in place of every spelling that means its name; the rest of
// the query stays byte for byte.
//
// seen red: decoded returning s; parameters splitting at & alone.
func TestSetParameter(t *testing.T) {
	for target, want := range map[string]string{
		"/":                           "/?key=v%20%2F%26",
		"/?":                          "/?key=v%20%2F%26",
		"/?a=1":                       "/?a=1&key=v%20%2F%26",
		"/?key=evil":                  "/?key=v%20%2F%26",
		"/?key":                       "/?key=v%20%2F%26",
		"/?key=evil&a=%zz&key=":       "/?a=%zz&key=v%20%2F%26",
		"/?%6bey=evil&KEY=x;k%65y=y":  "/?KEY=x&key=v%20%2F%26",
		"/?a=1;b=2&&c=3&":             "/?a=1;b=2&&c=3&&key=v%20%2F%26",
		"/?akey=1&key2=2&a=key":       "/?akey=1&key2=2&a=key&key=v%20%2F%26",
		"/a%3Fkey=1?b=?key=2":         "/a%3Fkey=1?b=?key=2&key=v%20%2F%26",
		"/v1//..;x/%2e?q=a+b%20c;d=1": "/v1//..;x/%2e?q=a+b%20c;d=1&key=v%20%2F%26",
	} {
		if got := setParameter(target, "key", "v /&"); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
		if got := hasParameter(target, "key"); got != (strings.Contains(target, "key=evil") || strings.Contains(target, "?key") && target != "/a%3Fkey=1?b=?key=2" || strings.Contains(target, "%6b")) {
			t.Errorf("%s: has it: %t", target, got)
		}
	}
}

// Signed URLs of AWS, Google and Azure are told from others that have a sig.
//
// seen red: isPresigned with ||.
func TestIsPresigned(t *testing.T) {
	for target, want := range map[string]bool{
		"/b/o?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A&X-Amz-Signature=f": true,
		"/b/o?X-Goog-Credential=A&X-Goog-Signature=f":                                true,
		"/c/b?sv=2022-11-02&se=2030&sr=b&sp=r&sig=abc%3D":                            true,
		"/?X-Amz-Signature=f": false, "/?sig=abc": false, "/?sig=abc&sv=1": false, "/?design=1&sv=1&se=2": false,
		"/X-Amz-Signature=f&X-Amz-Credential=A": false, "/": false, "/?x-amz-signature=f&X-Amz-Credential=A": false,
	} {
		if got := isPresigned(target); got != want {
			t.Errorf("%s: %t", target, got)
		}
	}
}

// What is not changed is not touched, whatever it is.
func FuzzParameters(f *testing.F) {
	for _, s := range []string{"/", "/?", "/?a=1&b", "/?;;&&", "/?a=%zz?&;=", "?&", "/?=&=;="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		same := parameters(target, func(_, piece string) string { return piece })
		if same != target {
			t.Errorf("%q became %q", target, same)
		}
		set := setParameter(target, "key", "value")
		count := 0
		parameters(set, func(name, _ string) string {
			if name == "key" {
				count++
			}
			return ""
		})
		if count != 1 || !strings.HasSuffix(set, "key=value") {
			t.Errorf("%q has it %d times: %q", target, count, set)
		}
		if path, _, _ := strings.Cut(target, "?"); !strings.HasPrefix(set, path+"?") {
			t.Errorf("the path of %q is another in %q", target, set)
		}
	})
}
