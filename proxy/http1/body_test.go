package http1

import (
	"reflect"
	"strings"
	"testing"
)

// body is what a Decoder made of some bytes.
type body struct {
	content string
	trailer Header
	n       int // bytes consumed
	whole   bool
	err     error
}

// decode decodes wire as it arrives in pieces that end at the cuts, and then its
// end.
func decode(f Framing, wire []byte, cuts ...int) body {
	var d Decoder
	d.Start(f)
	var b body
	for _, arrived := range append(cuts, len(wire)) {
		for {
			content, n, err := d.Next(wire[b.n:arrived])
			b.content += string(content)
			b.n += n
			if err != nil {
				b.err = err
				return b
			}
			if n == 0 {
				break
			}
		}
	}
	b.whole = d.Done()
	if b.whole && len(d.Trailer) > 0 {
		b.trailer = d.Trailer
	}
	if f.Kind == UntilClose {
		b.whole = d.Close()
	}
	return b
}

// everyByte returns the cuts that let n bytes arrive one by one.
func everyByte(n int) []int {
	cuts := make([]int, n)
	for i := range cuts {
		cuts[i] = i
	}
	return cuts
}

func TestDecoder(t *testing.T) {
	chunked := Framing{Kind: Chunked}
	tests := []struct {
		name    string
		framing Framing
		wire    string
		want    body
	}{
		{"no body", Framing{}, "GET /", body{whole: true}},
		{"empty length", Framing{Length, 0}, "GET /", body{whole: true}},
		{"length", Framing{Length, 5}, "helloGET /", body{content: "hello", n: 5, whole: true}},
		{"length cut short", Framing{Length, 5}, "hell", body{content: "hell", n: 4}},
		{"until close", Framing{Kind: UntilClose}, "0\r\n\r\n", body{content: "0\r\n\r\n", n: 5, whole: true}},

		{"empty", chunked, "0\r\n\r\nGET", body{n: 5, whole: true}},
		{"one chunk", chunked, "5\r\nhello\r\n0\r\n\r\nGET", body{content: "hello", n: 15, whole: true}},
		{"two chunks", chunked, "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", body{content: "abc", n: 18, whole: true}},
		{"content that looks like framing", chunked, "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", body{content: "\r\n0\r\n\r\n", n: 17, whole: true}},
		{"hexadecimal size", chunked, "0A\r\n0123456789\r\n00\r\n\r\n", body{content: "0123456789", n: 22, whole: true}},
		{"lower-case size", chunked, "a\r\n0123456789\r\n0\r\n\r\n", body{content: "0123456789", n: 20, whole: true}},
		{"extensions dropped", chunked, "1;a=b;c=\"\t;d\xe9\"\r\nx\r\n0;e\r\n\r\n", body{content: "x", n: 26, whole: true}},
		{"trailer", chunked, "0\r\nA: b\r\nc:D\r\n\r\nGET", body{trailer: Header{{"A", "b"}, {"c", "D"}}, n: 16, whole: true}},
		{"largest size", chunked, "fffffffffffffff\r\nx", body{content: "x", n: 18}},

		{"nothing yet", chunked, "", body{}},
		{"cut in the size", chunked, "5", body{}},
		{"cut in the size line", chunked, "5\r", body{}},
		{"cut before the content", chunked, "5\r\n", body{n: 3}},
		{"cut in the content", chunked, "5\r\nhe", body{content: "he", n: 5}},
		{"cut behind the content", chunked, "5\r\nhello", body{content: "hello", n: 8}},
		{"cut in the end of a chunk", chunked, "5\r\nhello\r", body{content: "hello", n: 8}},
		{"cut before the last chunk", chunked, "5\r\nhello\r\n", body{content: "hello", n: 10}},
		{"cut before the trailer", chunked, "0\r\n", body{n: 3}},
		{"cut in the empty line", chunked, "0\r\n\r", body{n: 3}},
		{"cut in the trailer", chunked, "0\r\nA: b\r\n\r", body{n: 3}},

		{"no size", chunked, "\r\n\r\n", body{err: errChunkSize}},
		{"extension without a size", chunked, ";a\r\n\r\n", body{err: errChunkSize}},
		{"plus", chunked, "+5\r\nhello\r\n0\r\n\r\n", body{err: errChunkSize}},
		{"minus", chunked, "-5\r\nhello\r\n0\r\n\r\n", body{err: errChunkSize}},
		{"prefix", chunked, "0x5\r\nhello\r\n0\r\n\r\n", body{err: errChunkSize}},
		{"underscore", chunked, "1_0\r\n", body{err: errChunkSize}},
		{"space before the size", chunked, " 5\r\nhello\r\n0\r\n\r\n", body{err: errChunkSize}},
		{"space behind the size", chunked, "5 \r\nhello\r\n0\r\n\r\n", body{err: errChunkSize}},
		{"space before the extension", chunked, "5 ;a\r\nhello\r\n0\r\n\r\n", body{err: errChunkSize}},
		{"no hexadecimal digit", chunked, "5g\r\nhello\r\n", body{err: errChunkSize}},
		{"Arabic digit", chunked, "\u0665\r\nhello\r\n", body{err: errChunkSize}},
		{"size of 2^60", chunked, "1000000000000000\r\nx", body{err: errChunkSize}},
		{"size wraps around to 5", chunked, "10000000000000005\r\nhello\r\n0\r\n\r\n", body{err: errChunkSize}},
		{"NUL in the size", chunked, "5\x00\r\nhello\r\n", body{err: errChunkSize}},
		{"NUL in an extension", chunked, "5;\x00\r\nhello\r\n", body{err: errChunkSize}},
		{"CR in an extension", chunked, "5;a\rb\r\nhello\r\n", body{err: errChunkSize}},
		{"two CR behind the size", chunked, "5\r\r\nhello\r\n", body{err: errChunkSize}},
		{"two CR behind an extension", chunked, "5;\r\r\nhello\r\n", body{err: errChunkSize}},
		{"LF behind the size", chunked, "5\nhello\r\n0\r\n\r\n", body{err: errBareLF}},
		{"LF for a size", chunked, "\n5\r\nhello", body{err: errBareLF}},
		{"LF in an extension", chunked, "5;a\nb\r\nhello\r\n", body{err: errBareLF}},
		{"LF behind a chunk", chunked, "1\r\nx\n0\r\n\r\n", body{content: "x", n: 4, err: errChunkEnd}},
		{"CR behind a chunk", chunked, "1\r\nx\r0\r\n\r\n", body{content: "x", n: 4, err: errChunkEnd}},
		{"chunk longer than its size", chunked, "1\r\nxy\r\n0\r\n\r\n", body{content: "x", n: 4, err: errChunkEnd}},
		{"chunk shorter than its size", chunked, "3\r\nx\r\n0\r\n\r\n", body{content: "x\r\n", n: 6, err: errChunkEnd}},
		{"LF for the empty line", chunked, "0\r\n\n", body{n: 3, err: errBareLF}},
		{"LF in the trailer", chunked, "0\r\nA: b\n\r\n", body{n: 3, err: errBareLF}},
		{"CR in front of the trailer", chunked, "0\r\n\rA: b\r\n\r\n", body{n: 3, err: errFieldName}},
		{"folded trailer", chunked, "0\r\nA: b\r\n c\r\n\r\n", body{n: 3, err: errFolded}},
		{"request for a trailer", chunked, "0\r\nGET / HTTP/1.1\r\n\r\n", body{n: 3, err: errFieldName}},
		{"trailer with Transfer-Encoding", chunked, "0\r\ntransfer-encoding: chunked\r\n\r\n", body{n: 3, err: errTrailerField}},
		{"trailer with Content-Length", chunked, "0\r\nContent-Length: 0\r\n\r\n", body{n: 3, err: errTrailerField}},
		{"trailer with Host", chunked, "0\r\nA: b\r\nHOST: evil\r\n\r\n", body{n: 3, err: errTrailerField}},
		{"trailer with Connection", chunked, "0\r\nConnection: close\r\n\r\n", body{n: 3, err: errTrailerField}},
		{"trailer with Trailer", chunked, "0\r\nTrailer: A\r\n\r\n", body{n: 3, err: errTrailerField}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wire := []byte(tt.wire)
			if got := decode(tt.framing, wire); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("in one piece: %+v, want %+v", got, tt.want)
			}
			if got := decode(tt.framing, wire, everyByte(len(wire))...); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("byte by byte: %+v, want %+v", got, tt.want)
			}
			for i := range wire {
				if got := decode(tt.framing, wire, i); !reflect.DeepEqual(got, tt.want) {
					t.Errorf("cut at %d: %+v, want %+v", i, got, tt.want)
				}
			}
		})
	}
}

// A limit that only held for what arrives in small pieces would be none, and one
// recipient would see a message where another sees an error.
func TestChunkedLimits(t *testing.T) {
	sizeLine := func(n int) string { return "0;" + strings.Repeat("e", n-len("0;\r\n")) + "\r\n" }
	trailer := func(n int) string { return "A: " + strings.Repeat("b", n-len("A: \r\n\r\n")) + "\r\n\r\n" }
	tests := []struct {
		name, wire string
		err        error
	}{
		{"longest size line", sizeLine(maxChunkLine) + "\r\n", nil},
		{"size line too long", sizeLine(maxChunkLine+1) + "\r\n", errChunkLine},
		{"endless size line", "0;" + strings.Repeat("e", 3*maxChunkLine), errChunkLine},
		{"zeros", strings.Repeat("0", 16) + "\r\n\r\n", errChunkSize},
		{"longest trailer", "0\r\n" + trailer(maxTrailer), nil},
		{"trailer too long", "0\r\n" + trailer(maxTrailer+1), errTrailer},
		{"endless trailer", "0\r\n" + strings.Repeat("A: b\r\n", maxTrailer), errTrailer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wire := []byte(tt.wire)
			for how, got := range map[string]body{
				"in one piece": decode(Framing{Kind: Chunked}, wire),
				"byte by byte": decode(Framing{Kind: Chunked}, wire, everyByte(len(wire))...),
			} {
				if got.err != tt.err || got.whole != (tt.err == nil) {
					t.Errorf("%s: whole %v, error %v; want error %v", how, got.whole, got.err, tt.err)
				}
			}
		})
	}
}

// A caller with a buffer of 8 KiB never waits for bytes that have no room.
func TestDecoderNeedsAtMost8KiB(t *testing.T) {
	for _, c := range []byte("0;\r x\xff") {
		for _, start := range []string{"", "0;", "1\r\nx", "0\r\n", "0\r\n\r", "0\r\nA:"} {
			wire := append([]byte(start), strings.Repeat(string(c), 8<<10)...)
			var d Decoder
			d.Start(Framing{Kind: Chunked})
			for len(wire) >= 8<<10 && !d.Done() {
				_, n, err := d.Next(wire)
				if err != nil {
					break
				}
				if n == 0 {
					t.Fatalf("waits for more behind %d bytes: %q and many %q", len(wire), start, c)
				}
				wire = wire[n:]
			}
		}
	}
}

func TestDecoderZeroValue(t *testing.T) {
	var d Decoder
	if !d.Done() || !d.Close() {
		t.Error("the zero Decoder is not that of an empty body")
	}
	if content, n, err := d.Next([]byte("GET")); len(content) != 0 || n != 0 || err != nil {
		t.Errorf("Next = %q, %d, %v", content, n, err)
	}
}

// A decoder that is reused holds nothing of the body before.
func TestDecoderRestart(t *testing.T) {
	var d Decoder
	d.Start(Framing{Kind: Chunked})
	if _, _, err := d.Next([]byte("0\r\nA: b\r\n\r\n")); err != nil || len(d.Trailer) != 1 {
		t.Fatalf("trailer %v, error %v", d.Trailer, err)
	}
	d.Start(Framing{Kind: Length, Length: 2})
	if d.Done() || len(d.Trailer) != 0 {
		t.Errorf("after Start: done %v, trailer %v", d.Done(), d.Trailer)
	}
	if content, n, err := d.Next([]byte("abc")); string(content) != "ab" || n != 2 || err != nil || !d.Done() {
		t.Errorf("Next = %q, %d, %v; done %v", content, n, err, d.Done())
	}
}

// Only a body without framing may end where the connection does.
func TestDecoderClose(t *testing.T) {
	tests := []struct {
		framing Framing
		wire    string
		want    bool
	}{
		{Framing{}, "", true},
		{Framing{Kind: UntilClose}, "", true},
		{Framing{Kind: UntilClose}, "abc", true},
		{Framing{Length, 3}, "ab", false},
		{Framing{Length, 3}, "abc", true},
		{Framing{Kind: Chunked}, "", false},
		{Framing{Kind: Chunked}, "0\r\n", false},
		{Framing{Kind: Chunked}, "0\r\n\r\n", true},
	}
	for _, tt := range tests {
		var d Decoder
		d.Start(tt.framing)
		for wire := []byte(tt.wire); len(wire) > 0; {
			_, n, err := d.Next(wire)
			if err != nil {
				t.Fatal(err)
			}
			wire = wire[n:]
		}
		if tt.framing.Kind == UntilClose && d.Done() {
			t.Errorf("%+v %q: done before the end of the connection", tt.framing, tt.wire)
		}
		if got := d.Close(); got != tt.want || d.Done() != tt.want {
			t.Errorf("%+v %q: Close %v, Done %v; want %v", tt.framing, tt.wire, got, d.Done(), tt.want)
		}
	}
}

func TestAppendChunked(t *testing.T) {
	wire := AppendChunk([]byte("before "), []byte("0123456789abcdef0"))
	wire = AppendChunk(wire, nil)
	wire = AppendChunk(wire, []byte("x"))
	wire = AppendTrailer(wire, Header{{"A", "b"}})
	if got, want := string(wire), "before 11\r\n0123456789abcdef0\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := string(AppendTrailer(nil, nil)), "0\r\n\r\n"; got != want {
		t.Errorf("without fields: got %q, want %q", got, want)
	}
}
