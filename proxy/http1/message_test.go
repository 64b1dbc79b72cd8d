package http1

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestRequestLine(t *testing.T) {
	tests := []struct {
		name, line string
		want       Request
		err        error
	}{
		{"origin form", "GET /a/b?c=d HTTP/1.1", Request{Method: "GET", Target: "/a/b?c=d", Minor: 1}, nil},
		{"absolute form", "GET http://h/ HTTP/1.1", Request{Method: "GET", Target: "http://h/", Minor: 1}, nil},
		{"authority form", "CONNECT h:443 HTTP/1.1", Request{Method: "CONNECT", Target: "h:443", Minor: 1}, nil},
		{"asterisk form", "OPTIONS * HTTP/1.1", Request{Method: "OPTIONS", Target: "*", Minor: 1}, nil},
		{"HTTP/1.0", "GET / HTTP/1.0", Request{Method: "GET", Target: "/"}, nil},
		{"any token is a method", "m-!#$%&'*+.^_`|~9 / HTTP/1.1", Request{Method: "m-!#$%&'*+.^_`|~9", Target: "/", Minor: 1}, nil},
		{"target bytes untouched", "GET /%2E%2e//\\;\"<>{}\xc3\xa9 HTTP/1.1", Request{Method: "GET", Target: "/%2E%2e//\\;\"<>{}\xc3\xa9", Minor: 1}, nil},

		{"empty line", "", Request{}, errRequestLine},
		{"method alone", "GET", Request{}, errRequestLine},
		{"no method", " / HTTP/1.1", Request{}, errRequestLine},
		{"no target", "GET  HTTP/1.1", Request{}, errRequestLine},
		{"no version", "GET /", Request{}, errRequestLine},
		{"empty version", "GET / ", Request{}, errRequestLine},
		{"two spaces before the target", "GET  / HTTP/1.1", Request{}, errRequestLine},
		{"two spaces before the version", "GET /  HTTP/1.1", Request{}, errRequestLine},
		{"space in the target", "GET /a b HTTP/1.1", Request{}, errRequestLine},
		{"two versions", "GET / HTTP/1.1 HTTP/1.1", Request{}, errRequestLine},
		{"space behind the version", "GET / HTTP/1.1 ", Request{}, errRequestLine},
		{"space before the method", " GET / HTTP/1.1", Request{}, errRequestLine},
		{"tabs for spaces", "GET\t/\tHTTP/1.1", Request{}, errRequestLine},
		{"colon in the method", "GE:T / HTTP/1.1", Request{}, errRequestLine},
		{"non-ASCII method", "G\xc3\x89T / HTTP/1.1", Request{}, errRequestLine},
		{"NUL in the method", "GET\x00 / HTTP/1.1", Request{}, errRequestLine},
		{"NUL in the target", "GET /\x00 HTTP/1.1", Request{}, errRequestLine},
		{"tab in the target", "GET /\t HTTP/1.1", Request{}, errRequestLine},
		{"CR in the target", "GET /\r HTTP/1.1", Request{}, errRequestLine},
		{"LF in the target", "GET /\n HTTP/1.1", Request{}, errRequestLine},
		{"DEL in the target", "GET /\x7f HTTP/1.1", Request{}, errRequestLine},
		{"fragment", "GET /a#b HTTP/1.1", Request{}, errRequestLine},
		{"CR behind the version", "GET / HTTP/1.1\r", Request{}, errRequestLine},
		{"lower-case version", "GET / http/1.1", Request{}, errRequestLine},
		{"HTTP/0.9", "GET / HTTP/0.9", Request{}, errRequestLine},
		{"HTTP/1.2", "GET / HTTP/1.2", Request{}, errRequestLine},
		{"HTTP/1.10", "GET / HTTP/1.10", Request{}, errRequestLine},
		{"HTTP/1", "GET / HTTP/1", Request{}, errRequestLine},
		{"HTTP/2 preface", "PRI * HTTP/2.0", Request{}, errRequestLine},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r Request
			err := r.Parse(tt.line + "\r\n\r\n")
			if r.Header = nil; err != tt.err || !reflect.DeepEqual(r, tt.want) {
				t.Errorf("Parse(%q) = %+v, %v; want %+v, %v", tt.line, r, err, tt.want, tt.err)
			}
		})
	}
}

func TestStatusLine(t *testing.T) {
	tests := []struct {
		name, line string
		want       Response
		err        error
	}{
		{"usual", "HTTP/1.1 200 OK", Response{Minor: 1, Status: 200, Reason: "OK"}, nil},
		{"HTTP/1.0", "HTTP/1.0 404 Not Found", Response{Status: 404, Reason: "Not Found"}, nil},
		{"empty reason", "HTTP/1.1 200 ", Response{Minor: 1, Status: 200}, nil},
		{"no space behind the status", "HTTP/1.1 200", Response{Minor: 1, Status: 200}, nil},
		{"reason kept as it is", "HTTP/1.1 200  a\tb \xe9 ", Response{Minor: 1, Status: 200, Reason: " a\tb \xe9 "}, nil},
		{"lowest status", "HTTP/1.1 100 Continue", Response{Minor: 1, Status: 100, Reason: "Continue"}, nil},
		{"highest status", "HTTP/1.1 999 x", Response{Minor: 1, Status: 999, Reason: "x"}, nil},

		{"empty line", "", Response{}, errStatusLine},
		{"version alone", "HTTP/1.1", Response{}, errStatusLine},
		{"no status", "HTTP/1.1 ", Response{}, errStatusLine},
		{"two digits", "HTTP/1.1 20", Response{}, errStatusLine},
		{"two digits and a reason", "HTTP/1.1 20 OK", Response{}, errStatusLine},
		{"four digits", "HTTP/1.1 2000 OK", Response{}, errStatusLine},
		{"below 100", "HTTP/1.1 099 OK", Response{}, errStatusLine},
		{"sign", "HTTP/1.1 +20 OK", Response{}, errStatusLine},
		{"letters", "HTTP/1.1 2x0 OK", Response{}, errStatusLine},
		{"two spaces", "HTTP/1.1  200 OK", Response{}, errStatusLine},
		{"tab behind the status", "HTTP/1.1 200\tOK", Response{}, errStatusLine},
		{"control in the reason", "HTTP/1.1 200 O\x00K", Response{}, errStatusLine},
		{"CR in the reason", "HTTP/1.1 200 O\rK", Response{}, errStatusLine},
		{"LF in the reason", "HTTP/1.1 200 O\nX: y", Response{}, errStatusLine},
		{"Shoutcast", "ICY 200 OK", Response{}, errStatusLine},
		{"HTTP/2", "HTTP/2 200 OK", Response{}, errStatusLine},
		{"lower-case version", "http/1.1 200 OK", Response{}, errStatusLine},
		{"space in front", " HTTP/1.1 200 OK", Response{}, errStatusLine},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r Response
			err := r.Parse(tt.line + "\r\n\r\n")
			if r.Header = nil; err != tt.err || !reflect.DeepEqual(r, tt.want) {
				t.Errorf("Parse(%q) = %+v, %v; want %+v, %v", tt.line, r, err, tt.want, tt.err)
			}
		})
	}
}

// Order, case and spelling go through; only what carries no meaning, the space
// around a value, is normalised.
func TestHeadsRoundTrip(t *testing.T) {
	const fields = "host: A.example\r\nX-b: 1\r\nx-B: 2\r\nAccept:*/*\r\nCOOKIE:  a=b; \tc \t\r\nempty:\r\nX-b: 3\r\n\r\n"
	const written = "host: A.example\r\nX-b: 1\r\nx-B: 2\r\nAccept: */*\r\nCOOKIE: a=b; \tc\r\nempty: \r\nX-b: 3\r\n\r\n"

	var req Request
	if err := req.Parse("pOsT /%7e?%7E HTTP/1.0\r\n" + fields); err != nil {
		t.Fatal(err)
	}
	if got, want := string(req.Append([]byte("before "))), "before pOsT /%7e?%7E HTTP/1.0\r\n"+written; got != want {
		t.Errorf("request:\n got %q\nwant %q", got, want)
	}

	var res Response
	if err := res.Parse("HTTP/1.1 299 fine  indeed\r\n" + fields); err != nil {
		t.Fatal(err)
	}
	if got, want := string(res.Append([]byte("before "))), "before HTTP/1.1 299 fine  indeed\r\n"+written; got != want {
		t.Errorf("response:\n got %q\nwant %q", got, want)
	}
	if err := res.Parse("HTTP/1.0 200\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, want := string(res.Append(nil)), "HTTP/1.0 200 \r\n\r\n"; got != want {
		t.Errorf("response without a reason: got %q, want %q", got, want)
	}
}

// A message that is reused holds nothing of the one before.
func TestParseForgets(t *testing.T) {
	var r Request
	for _, head := range []string{"POST /a HTTP/1.0\r\nA: 1\r\nB: 2\r\n\r\n", "GET /b HTTP/1.1\r\nC: 3\r\n\r\n"} {
		if err := r.Parse(head); err != nil {
			t.Fatal(err)
		}
	}
	want := Request{Method: "GET", Target: "/b", Minor: 1, Header: Header{{"C", "3"}}}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v, want %+v", r, want)
	}
}

func TestParseNeedsTheEmptyLine(t *testing.T) {
	for _, head := range []string{"", "GET / HTTP/1.1", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nA: b", "GET / HTTP/1.1\r\nA: b\r\n"} {
		if err := new(Request).Parse(head); err == nil {
			t.Errorf("Parse(%q) accepted a head that does not end", head)
		}
	}
}

type lengthFunc func(b []byte, scanned int) (int, error)

func TestLength(t *testing.T) {
	tests := []struct {
		name   string
		length lengthFunc
		wire   string
		at     int   // bytes that have to arrive before there is an answer
		want   int   // the answer
		err    error // or why there is none
	}{
		{"request", RequestLength, "GET / HTTP/1.1\r\nA: b\r\n\r\nbody\r\n\r\n", 24, 24, nil},
		{"request without fields", RequestLength, "GET / HTTP/1.1\r\n\r\nGET", 18, 18, nil},
		{"request cut short", RequestLength, "GET / HTTP/1.1\r\nA: b\r\n\r", -1, 0, nil},
		{"TLS on the plaintext port", RequestLength, "\x16\x03\x01\x02\x00", 1, 0, errRequestLine},
		{"empty line in front", RequestLength, "\r\nGET / HTTP/1.1\r\n\r\n", 1, 0, errRequestLine},
		{"HTTP/0.9", RequestLength, "GET /\r\nmore", 7, 0, errRequestLine},
		{"HTTP/2 preface", RequestLength, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 16, 0, errRequestLine},
		{"line feed behind the request line", RequestLength, "GET / HTTP/1.1\nA: b\r\n\r\n", 15, 0, errBareLF},
		{"line feed behind a field", RequestLength, "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", 21, 0, errBareLF},
		{"line feed for the empty line", RequestLength, "GET / HTTP/1.1\r\n\nx", 17, 0, errBareLF},
		{"carriage returns before a line feed", RequestLength, "GET / HTTP/1.1\r\nA: b\r\r\n\r\n", 25, 25, nil}, // Parse refuses it

		{"response", ResponseLength, "HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", 25, 25, nil},
		{"response cut short", ResponseLength, "HTTP/1.1 200 OK\r\n", -1, 0, nil},
		{"no HTTP response", ResponseLength, "HTTQ", 4, 0, errStatusLine},
		{"HTTP/2 settings frame", ResponseLength, "\x00\x00\x12\x04", 1, 0, errStatusLine},
		{"empty line before a response", ResponseLength, "\r\nHTTP/1.1 200 OK\r\n\r\n", 1, 0, errStatusLine},
		{"line feed in a response", ResponseLength, "HTTP/1.1 200 OK\nA: b\r\n\r\n", 16, 0, errBareLF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, n, err := firstAnswer(t, tt.length, []byte(tt.wire))
			if at != tt.at || n != tt.want || err != tt.err {
				t.Errorf("after %d bytes: %d, %v; want after %d: %d, %v", at, n, err, tt.at, tt.want, tt.err)
			}
		})
	}
}

// firstAnswer lets the bytes arrive one by one and returns how many it took to
// get an answer, or -1. The answer must not depend on how many of the bytes an
// earlier call has seen.
func firstAnswer(t *testing.T, length lengthFunc, wire []byte) (at, n int, err error) {
	t.Helper()
	for at = range len(wire) + 1 {
		n, err = length(wire[:at], 0)
		for scanned := range at {
			if n2, err2 := length(wire[:at], scanned); n2 != n || err2 != err {
				t.Fatalf("length(%q, %d) = %d, %v; with scanned 0 it is %d, %v", wire[:at], scanned, n2, err2, n, err)
			}
		}
		if n != 0 || err != nil {
			return at, n, err
		}
	}
	return -1, 0, nil
}

// The text of an error can be shown to anyone: it is one of ours, whatever was
// sent.
func TestErrorHoldsNoInput(t *testing.T) {
	err := new(Request).Parse("GET / HTTP/1.1\r\nauthorization: s3cr3t\x00\r\n\r\n")
	var e Error
	if !errors.As(err, &e) || e != errFieldValue {
		t.Fatalf("got %v, want %v", err, errFieldValue)
	}
	if got := err.Error(); got != "malformed HTTP/1.1 message: "+string(errFieldValue) || strings.Contains(got, "s3cr3t") {
		t.Errorf("text: %q", got)
	}
}
