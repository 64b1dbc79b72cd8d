package http1

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestFields(t *testing.T) {
	tests := []struct {
		name, lines string
		want        Header
		err         error
	}{
		{"none", "", nil, nil},
		{"one", "A: b\r\n", Header{{"A", "b"}}, nil},
		{"order, case and repetition kept", "b: 1\r\nA: 2\r\nB: 3\r\n", Header{{"b", "1"}, {"A", "2"}, {"B", "3"}}, nil},
		{"no space", "A:b\r\n", Header{{"A", "b"}}, nil},
		{"much space", "A: \t b\tc  d \t \r\n", Header{{"A", "b\tc  d"}}, nil},
		{"empty", "A:\r\nB: \t \r\n", Header{{"A", ""}, {"B", ""}}, nil},
		{"colons in the value", "A: b: c:\r\n", Header{{"A", "b: c:"}}, nil},
		{"every token character", "!#$%&'*+-.^_`|~09AZaz: b\r\n", Header{{"!#$%&'*+-.^_`|~09AZaz", "b"}}, nil},
		{"bytes above ASCII in the value", "A: \x80\xc3\xa9\xff\r\n", Header{{"A", "\x80\xc3\xa9\xff"}}, nil},
		{"Unicode space is no space", "A: \u00a0b\u0085\r\n", Header{{"A", "\u00a0b\u0085"}}, nil},

		{"folded with a space", "A: b\r\n c\r\n", nil, errFolded},
		{"folded with a tab", "A: b\r\n\tc: d\r\n", nil, errFolded},
		{"space before the first field", " A: b\r\n", nil, errFolded},
		{"line of spaces", "A: b\r\n \r\n", nil, errFolded},
		{"space before the colon", "Transfer-Encoding : chunked\r\n", nil, errFieldName},
		{"tab before the colon", "Content-Length\t: 5\r\n", nil, errFieldName},
		{"vertical tab before the colon", "Content-Length\x0b: 5\r\n", nil, errFieldName},
		{"no colon", "A\r\n", nil, errFieldName},
		{"no name", ": b\r\n", nil, errFieldName},
		{"space in the name", "A B: c\r\n", nil, errFieldName},
		{"NUL in the name", "A\x00: b\r\n", nil, errFieldName},
		{"non-ASCII name", "\u212aey: b\r\n", nil, errFieldName},
		{"quote in the name", "\"A\": b\r\n", nil, errFieldName},
		{"CR in front", "\rA: b\r\n", nil, errFieldName},
		{"CR in the name", "A\rB: c\r\n", nil, errFieldName},
		{"NUL in the value", "A: b\x00c\r\n", nil, errFieldValue},
		{"CR in the value", "A: b\rc: d\r\n", nil, errFieldValue},
		{"CR at the end of the value", "A: b\r\r\n", nil, errFieldValue},
		{"CR for a value", "A:\r\r\n", nil, errFieldValue},
		{"LF in the value", "A: b\nC: d\r\n", nil, errFieldValue},
		{"vertical tab around the value", "Transfer-Encoding: \x0bchunked\r\n", nil, errFieldValue},
		{"form feed in the value", "A: b\x0c\r\n", nil, errFieldValue},
		{"escape in the value", "A: \x1b[0m\r\n", nil, errFieldValue},
		{"DEL in the value", "A: b\x7f\r\n", nil, errFieldValue},

		{"as many as allowed", strings.Repeat("A: b\r\n", MaxFields), slices.Repeat(Header{{"A", "b"}}, MaxFields), nil},
		{"one too many", strings.Repeat("A: b\r\n", MaxFields+1), nil, ErrTooManyFields},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var req Request
			var res Response
			var d Decoder
			d.Start(Framing{Kind: Chunked})
			_, _, trailerErr := d.Next([]byte("0\r\n" + tt.lines + "\r\n"))
			for _, got := range []struct {
				in     string
				header *Header
				err    error
			}{
				{"request", &req.Header, req.Parse("GET / HTTP/1.1\r\n" + tt.lines + "\r\n")},
				{"response", &res.Header, res.Parse("HTTP/1.1 200 OK\r\n" + tt.lines + "\r\n")},
				{"trailer", &d.Trailer, trailerErr},
			} {
				if bareLF := got.in == "trailer" && got.err == errBareLF && strings.Contains(tt.name, "LF"); got.err != tt.err && !bareLF {
					t.Errorf("%s: error %v, want %v", got.in, got.err, tt.err)
				}
				if tt.err == nil && (len(*got.header) != len(tt.want) || len(tt.want) > 0 && !reflect.DeepEqual(*got.header, tt.want)) {
					t.Errorf("%s: %q, want %q", got.in, *got.header, tt.want)
				}
			}
		})
	}
}

func TestHeaderLookups(t *testing.T) {
	h := Header{{"connection", "keep-alive , \tUpgrade"}, {"Accept", "1"}, {"CONNECTION", "x,,close"}, {"accept", "2"}}
	if v, ok := h.Get("ACCEPT"); v != "1" || !ok {
		t.Errorf("Get is not the first of that name: %q, %v", v, ok)
	}
	if v, ok := h.Get("Host"); v != "" || ok {
		t.Errorf("Get of a name that is not there: %q, %v", v, ok)
	}
	if n := h.Count("Connection"); n != 2 {
		t.Errorf("Count = %d, want 2", n)
	}
	tokens := map[string]bool{
		"upgrade": true, "Keep-Alive": true, "CLOSE": true, "x": true, // any field, any case, any place
		"keep": false, "upgrad": false, "upgrade2": false, "x,": false, // nothing but whole tokens
	}
	for token, want := range tokens {
		if got := h.HasToken("Connection", token); got != want {
			t.Errorf("HasToken(%q) = %v, want %v", token, got, want)
		}
	}
	if h.HasToken("Accept", "close") {
		t.Error("HasToken looked into a field of another name")
	}
}

// The Kelvin sign folds to k in Unicode. A name that contains it is another name.
func TestFoldingIsASCII(t *testing.T) {
	h := Header{{"Cookie", "\u212aeep"}}
	if n := h.Count("Coo\u212aie"); n != 0 {
		t.Errorf("Count folded the Kelvin sign: %d", n)
	}
	if v, ok := h.Get("Coo\u212aie"); ok {
		t.Errorf("Get folded the Kelvin sign: %q", v)
	}
	if h.HasToken("cookie", "keep") {
		t.Error("HasToken folded the Kelvin sign")
	}
	if equalFold("@[`{", "`{@[") {
		t.Error("equalFold folded what are no letters")
	}
}

func TestHeaderRemove(t *testing.T) {
	h := Header{{"A", "1"}, {"b", "2"}, {"a", "3"}, {"C", "4"}, {"b", "5"}}
	whole := h
	h.Remove(func(name string) bool { return equalFold(name, "B") })
	if want := (Header{{"A", "1"}, {"a", "3"}, {"C", "4"}}); !reflect.DeepEqual(h, want) {
		t.Errorf("got %v, want %v", h, want)
	}
	if tail := whole[len(h):]; tail[0] != (Field{}) || tail[1] != (Field{}) {
		t.Errorf("removed fields stay in memory: %v", tail)
	}
}
