package http1

import (
	"errors"
	"reflect"
	"testing"
)

// message is what the codec made of the bytes of one message.
type message struct {
	request  Request
	response Response
	framing  Framing
	body     body
	n        int // bytes of the head
}

var errMore = errors.New("needs more bytes")

// readRequest reads the request at the beginning of wire. A body that is broken
// or not there yet is no error: it is found in body.
func readRequest(wire []byte) (m message, err error) {
	if m.n, err = RequestLength(wire, 0); err != nil {
		return m, err
	}
	if m.n == 0 {
		return m, errMore
	}
	if err = m.request.Parse(string(wire[:m.n])); err != nil {
		return m, err
	}
	if m.framing, err = m.request.Framing(); err == nil {
		m.body = decode(m.framing, wire[m.n:])
	}
	return m, err
}

// readResponse reads the response to a request with that method.
func readResponse(wire []byte, method string) (m message, err error) {
	if m.n, err = ResponseLength(wire, 0); err != nil {
		return m, err
	}
	if m.n == 0 {
		return m, errMore
	}
	if err = m.response.Parse(string(wire[:m.n])); err != nil {
		return m, err
	}
	if m.framing, err = m.response.Framing(method); err == nil {
		m.body = decode(m.framing, wire[m.n:])
	}
	return m, err
}

// append writes the message as a proxy would send it on.
func (m *message) append() []byte {
	var wire []byte
	if m.request.Method != "" {
		wire = m.request.Append(nil)
	} else {
		wire = m.response.Append(nil)
	}
	if m.framing.Kind != Chunked {
		return append(wire, m.body.content...)
	}
	half := len(m.body.content) / 2
	wire = AppendChunk(wire, []byte(m.body.content[:half]))
	wire = AppendChunk(wire, []byte(m.body.content[half:]))
	return AppendTrailer(wire, m.body.trailer)
}

var requestSeeds = []string{
	"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
	"GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\npragma: no-cache\r\n\r\n",
	"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n\x16\x03\x01",
	"OPTIONS * HTTP/1.0\r\n\r\n",
	"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\nGET",
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n1\r\nx\r\n00\r\nA: b\r\nc:\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 010\r\n\r\n0123456789",
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
	"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	"POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"GET / HTTP/1.1\r\nA: b\r\n c: d\r\n\r\n",
	"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
	"GET / HTTP/1.1\nA: b\n\n",
	"GET //a/../%2e#b HTTP/1.1\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}

func FuzzRequest(f *testing.F) {
	for _, seed := range requestSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		if len(wire) > 4<<10 {
			t.Skip("longer than it takes")
		}
		m, err := readRequest(wire)
		checkLength(t, RequestLength, wire, err)
		if err != nil {
			return
		}
		checkSplits(t, m.framing, wire[m.n:])
		compareRequest(t, m, wire)
		if !m.body.whole {
			return
		}
		written := m.append()
		again, err := readRequest(written)
		checkSame(t, m, again, written, err)
		compareRequest(t, again, written)
	})
}

var responseSeeds = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\nHTTP",
	"HTTP/1.1 200 OK\r\n\r\nuntil the end",
	"HTTP/1.0 200\r\nA:b\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 304  Not\tModified \r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 099 x\r\n\r\n",
	"HTTP/1.1 200 OK\nA: b\n\n",
}

func FuzzResponse(f *testing.F) {
	for _, seed := range responseSeeds {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, wire []byte, head bool) {
		if len(wire) > 4<<10 {
			t.Skip("longer than it takes")
		}
		method := "GET"
		if head {
			method = "HEAD"
		}
		m, err := readResponse(wire, method)
		checkLength(t, ResponseLength, wire, err)
		if err != nil {
			return
		}
		checkSplits(t, m.framing, wire[m.n:])
		compareResponse(t, m, wire, method)
		if !m.body.whole {
			return
		}
		written := m.append()
		again, err := readResponse(written, method)
		checkSame(t, m, again, written, err)
		compareResponse(t, again, written, method)
	})
}

func FuzzChunked(f *testing.F) {
	for _, seed := range []string{
		"5\r\nhello\r\n0\r\n\r\nGET",
		"1;a=\"b;c\"\r\nx\r\n0;d\r\nA: b\r\nc:\r\n\r\n",
		"0A\r\n0123456789\r\n000\r\n\r\n",
		"fffffffffffffff\r\nx",
		"10000000000000005\r\nhello\r\n0\r\n\r\n",
		"0x5\r\nhello\r\n0\r\n\r\n",
		"5 \r\nhello\r\n0\r\n\r\n",
		"1\r\nx\n0\r\n\r\n",
		"0\r\nContent-Length: 5\r\n\r\nhello",
		"0\r\n\rA: b\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		if len(wire) > 512 {
			t.Skip("longer than it takes")
		}
		framing := Framing{Kind: Chunked}
		want := decode(framing, wire)
		for i := range wire {
			if got := decode(framing, wire, i); !reflect.DeepEqual(got, want) {
				t.Fatalf("%q cut at %d: %+v; in one piece %+v", wire, i, got, want)
			}
		}
		checkSplits(t, framing, wire)
		head := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		message := append(head, wire...)
		m, err := readResponse(message, "GET")
		if err != nil || !reflect.DeepEqual(m.body, want) {
			t.Fatalf("%q behind a head: %+v, %v; alone %+v", wire, m.body, err, want)
		}
		compareResponse(t, m, message, "GET")
	})
}

// checkLength lets the bytes arrive one by one. The first answer must be the one
// for all of them, whatever an earlier call has seen; want is what the whole
// message came to.
func checkLength(t *testing.T, length lengthFunc, wire []byte, want error) {
	t.Helper()
	whole, _ := length(wire, 0)
	for at := range len(wire) + 1 {
		n, err := length(wire[:at], 0)
		for _, scanned := range []int{at / 2, at - 4, at - 3, at - 2, at - 1} {
			if scanned < 0 {
				continue
			}
			if n2, err2 := length(wire[:at], scanned); n2 != n || err2 != err {
				t.Fatalf("length(%q, %d) = %d, %v; with scanned 0 it is %d, %v", wire[:at], scanned, n2, err2, n, err)
			}
		}
		switch {
		case err != nil && (want == nil || want == errMore):
			t.Fatalf("%q is refused after %d bytes (%v), but the whole is not", wire, at, err)
		case err == nil && n > 0 && n != whole:
			t.Fatalf("%q is %d bytes long after %d bytes, and then %d", wire, n, at, whole)
		}
		if err != nil || n > 0 {
			return
		}
	}
}

// checkSplits decodes a body that arrives byte by byte, and in two halves.
func checkSplits(t *testing.T, f Framing, wire []byte) {
	t.Helper()
	want := decode(f, wire)
	for _, cuts := range [][]int{everyByte(len(wire)), {len(wire) / 2}} {
		if got := decode(f, wire, cuts...); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q in pieces: %+v; in one %+v", wire, got, want)
		}
	}
}

// checkSame checks that what was written reads as the message it was written
// from, and that it ends where it should.
func checkSame(t *testing.T, m, again message, written []byte, err error) {
	t.Helper()
	n := again.n + again.body.n
	m.n, m.body.n, again.n, again.body.n = 0, 0, 0, 0
	if err != nil || !reflect.DeepEqual(m, again) {
		t.Fatalf("%q reads as %+v, %v; it was written from %+v", written, again, err, m)
	}
	if n != len(written) {
		t.Fatalf("%q ends after %d of %d bytes", written, n, len(written))
	}
}
