package sigv4

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// An upload of Amazon S3's documentation: in chunks of 64 KiB, 1 KiB and nothing.
var upload = vector{"S3: upload in chunks", s3Secret, s3ID, s3Scope, s3Date, "PUT", "s3.amazonaws.com", "/examplebucket/chunkObject.txt",
	[]string{"x-amz-storage-class", "REDUCED_REDUNDANCY", "x-amz-content-sha256", chunkedPayload, "Content-Encoding", "aws-chunked",
		"x-amz-decoded-content-length", "66560", "Content-Length", "66824"},
	"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class", chunkedPayload,
	"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"}

var chunkSignatures = []string{
	"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
	"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
	"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
}

// The same with a checksum behind the last chunk.
var uploadTrailer = vector{"S3: upload in chunks with a trailer", s3Secret, s3ID, s3Scope, s3Date, "PUT", "s3.amazonaws.com", "/examplebucket/chunkObject.txt",
	[]string{"x-amz-storage-class", "REDUCED_REDUNDANCY", "x-amz-content-sha256", trailerPayload, "Content-Encoding", "aws-chunked",
		"x-amz-decoded-content-length", "66560", "x-amz-trailer", "x-amz-checksum-crc32c"},
	"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer", trailerPayload,
	"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"}

var trailerSignatures = []string{
	"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
	"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
	"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
	"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435",
}

// body is that of one of the uploads, with those signatures.
func body(signatures []string) []byte {
	var b bytes.Buffer
	for n, size := range []int{65536, 1024, 0} {
		fmt.Fprintf(&b, "%x;chunk-signature=%s\r\n%s\r\n", size, signatures[n], strings.Repeat("a", size))
	}
	if len(signatures) > 3 {
		b.Truncate(b.Len() - 2)
		fmt.Fprintf(&b, "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:%s\r\n\r\n", signatures[3])
	}
	return b.Bytes()
}

func dummies(n int) []string {
	return strings.Split(strings.Repeat(strings.Repeat("0", 64)+" ", n), " ")[:n]
}

func (v vector) chunks(t *testing.T, limit int) *Chunks {
	t.Helper()
	r, c, at := v.request(t)
	signed, err := Sign(r, c, Keys{AccessKeyID: v.id, SecretAccessKey: v.secret}, at)
	if err != nil || !c.Chunked() {
		t.Fatalf("chunked %v, %v", c.Chunked(), err)
	}
	if signed.seed != v.want {
		t.Fatalf("signature %s, want %s", signed.seed, v.want)
	}
	return signed.Chunks(limit)
}

// The chunks of an upload get the signatures that AWS says are right, wherever the body
// is cut, and nothing else of it changes.
//
// seen red: chain not keeping last; sign without Hash(nil); tail with the line as it is.
func TestChunks(t *testing.T) {
	for v, want := range map[*vector][]string{&upload: chunkSignatures, &uploadTrailer: trailerSignatures} {
		t.Run(v.name, func(t *testing.T) {
			in, out := body(dummies(len(want))), body(want)
			for _, step := range []int{1, 7, 64, 1000, 65536, len(in)} {
				c := v.chunks(t, 65536)
				var got []byte
				var err error
				for rest := in; len(rest) > 0 && err == nil; rest = rest[min(step, len(rest)):] {
					got, err = c.Write(got, rest[:min(step, len(rest))])
				}
				if err := errors.Join(err, c.Close()); err != nil || !bytes.Equal(got, out) {
					t.Errorf("in pieces of %d: %v, %d bytes of %d, or others", step, err, len(got), len(out))
				}
			}
		})
	}
}

// A body that is not what the head says is refused, and nothing of the chunk that is
// wrong is passed on.
//
// seen red: begin without isHash and without limit; Close always nil; Write without
// maxLine.
func TestNotChunks(t *testing.T) {
	zero := strings.Repeat("0", 64)
	for name, text := range map[string]string{
		"no signature":             "1\r\na\r\n0\r\n\r\n",
		"at once: short signature": "1;chunk-signature=00\r\na\r\n",
		"at once: no size":         ";chunk-signature=" + zero + "\r\na\r\n",
		"at once: negative size":   "-1;chunk-signature=" + zero + "\r\n",
		"at once: too large":       "10001;chunk-signature=" + zero + "\r\n",
		"at once: huge":            "ffffffffffffffffffff;chunk-signature=" + zero + "\r\n",
		"data too long":            "1;chunk-signature=" + zero + "\r\nabc\r\n",
		"at once: long line":       strings.Repeat("0", maxLine+1),
		"cut in a chunk":           "2;chunk-signature=" + zero + "\r\na",
		"cut between chunks":       "1;chunk-signature=" + zero + "\r\na\r\n",
		"nothing":                  "",
		"a trailer":                "0;chunk-signature=" + zero + "\r\nx:y\r\n\r\n",
		"a trailer signature":      "0;chunk-signature=" + zero + "\r\nx-amz-trailer-signature:" + zero + "\r\n\r\n",
		"more":                     "0;chunk-signature=" + zero + "\r\n\r\n1;chunk-signature=" + zero + "\r\na\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := upload.chunks(t, 65536)
			out, err := c.Write(nil, []byte(text))
			if err == nil && strings.HasPrefix(name, "at once: ") {
				t.Error("not refused as soon as it is seen")
			}
			if err == nil {
				err = c.Close()
			}
			var wrong Error
			if !errors.As(err, &wrong) || bytes.Contains(out, []byte(zero)) {
				t.Errorf("%v, and passed on %q", err, out)
			}
		})
	}
	for name, text := range map[string]string{
		"no trailer signature": "0;chunk-signature=" + zero + "\r\nx:y\r\n\r\n",
		"two":                  "0;chunk-signature=" + zero + "\r\nx-amz-trailer-signature:" + zero + "\r\nx-amz-trailer-signature:" + zero + "\r\n\r\n",
	} {
		c := uploadTrailer.chunks(t, 65536)
		if _, err := c.Write(nil, []byte(text)); err == nil && c.Close() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A chunk that is announced costs no memory before it comes.
//
// seen red: begin with slices.Grow(c.held, c.size).
func TestChunkAnnounced(t *testing.T) {
	c := upload.chunks(t, 16<<20)
	if _, err := c.Write(nil, []byte("1000000;chunk-signature="+strings.Repeat("0", 64)+"\r\nabc")); err != nil || c.Held() > 1<<10 {
		t.Errorf("%v, %d bytes held", err, c.Held())
	}
}

// Whatever the body is and wherever it is cut, the same comes out, no longer than what
// went in.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("1;chunk-signature="+strings.Repeat("0", 64)+"\r\na\r\n0;chunk-signature="+strings.Repeat("0", 64)+"\r\n\r\n"), 3, false)
	f.Add([]byte("0;chunk-signature="+strings.Repeat("0", 64)+"\r\nx:y\r\nx-amz-trailer-signature:"+strings.Repeat("0", 64)+"\r\n\r\n"), 1, true)
	f.Fuzz(func(t *testing.T, body []byte, cut int, trailers bool) {
		s := &Signed{payload: chunkedPayload, key: []byte("key")}
		if trailers {
			s.payload = trailerPayload
		}
		once, again := s.Chunks(1<<10), s.Chunks(1<<10)
		want, err := once.Write(nil, body)
		cut = min(max(cut, 0), len(body))
		got, first := again.Write(nil, body[:cut])
		var second error
		if first == nil {
			got, second = again.Write(got, body[cut:])
		}
		if (err == nil) != (first == nil && second == nil) || err == nil && (!bytes.Equal(got, want) || len(want) > len(body)) {
			t.Errorf("%q, %v or %q, %v, %v", want, err, got, first, second)
		}
		if err == nil && once.Close() == nil && len(want) != len(body) {
			t.Errorf("%d bytes of %d", len(want), len(body))
		}
	})
}
