package http1

import (
	"bytes"
	"testing"
)

// typicalRequest is what an SDK sends.
const typicalRequest = "POST /v1/chat/completions HTTP/1.1\r\n" +
	"Host: api.openai.com\r\n" +
	"Accept: application/json\r\n" +
	"Accept-Encoding: gzip, deflate\r\n" +
	"Connection: keep-alive\r\n" +
	"Content-Type: application/json\r\n" +
	"User-Agent: OpenAI/Python 1.99.9\r\n" +
	"X-Stainless-Lang: python\r\n" +
	"X-Stainless-Package-Version: 1.99.9\r\n" +
	"X-Stainless-OS: Linux\r\n" +
	"X-Stainless-Arch: x64\r\n" +
	"X-Stainless-Runtime: CPython\r\n" +
	"X-Stainless-Runtime-Version: 3.13.5\r\n" +
	"Authorization: Bearer placeholder\r\n" +
	"X-Stainless-Async: false\r\n" +
	"X-Stainless-Retry-Count: 0\r\n" +
	"X-Stainless-Read-Timeout: 600\r\n" +
	"Content-Length: 123\r\n\r\n"

const typicalResponse = "HTTP/1.1 200 OK\r\n" +
	"Date: Mon, 27 Oct 2025 10:00:00 GMT\r\n" +
	"Content-Type: application/json\r\n" +
	"Transfer-Encoding: chunked\r\n" +
	"Connection: keep-alive\r\n" +
	"Server: nginx\r\n\r\n"

func chunkedBody(chunks, size int) []byte {
	var wire []byte
	for range chunks {
		wire = AppendChunk(wire, bytes.Repeat([]byte("x"), size))
	}
	return AppendTrailer(wire, nil)
}

// drain decodes all of wire.
func drain(tb testing.TB, d *Decoder, f Framing, wire []byte) {
	d.Start(f)
	for {
		_, n, err := d.Next(wire)
		if err != nil {
			tb.Fatal(err)
		}
		if n == 0 {
			break
		}
		wire = wire[n:]
	}
	if !d.Done() {
		tb.Fatal("body is not whole")
	}
}

// The journey of an exchange through the codec allocates nothing once its
// buffers have grown.
func TestAllocations(t *testing.T) {
	var (
		request   Request
		response  Response
		decoder   Decoder
		wire      = []byte(typicalRequest)
		partial   = wire[:len(wire)-1]
		answer    = []byte(typicalResponse)
		buf       = make([]byte, 0, 4<<10)
		plainBody = bytes.Repeat([]byte("x"), 4<<10)
		chunks    = chunkedBody(8, 512)
		fill      = request.Parse(typicalRequest)
	)
	if fill != nil {
		t.Fatal(fill)
	}
	dropped := "x-stainless-os"
	tests := []struct {
		name string
		do   func()
	}{
		{"RequestLength", func() { RequestLength(wire, 0) }},
		{"RequestLength goes on", func() { RequestLength(partial, 100) }},
		{"ResponseLength", func() { ResponseLength(answer, 0) }},
		{"parse a request", func() { request.Parse(typicalRequest) }},
		{"parse a response", func() { response.Parse(typicalResponse) }},
		{"request framing", func() { request.Framing() }},
		{"response framing", func() { response.Framing("GET") }},
		{"look-ups", func() {
			request.Header.Get("host")
			request.Header.Count("authorization")
			request.Header.HasToken("accept-encoding", "br")
		}},
		{"remove a field", func() { request.Header.Remove(func(name string) bool { return equalFold(name, dropped) }) }},
		{"append a request", func() { buf = request.Append(buf[:0]) }},
		{"append a response", func() { buf = response.Append(buf[:0]) }},
		{"append a chunk", func() { buf = AppendTrailer(AppendChunk(buf[:0], plainBody[:1000]), nil) }},
		{"decode a length", func() { drain(t, &decoder, Framing{Length, int64(len(plainBody))}, plainBody) }},
		{"decode chunks", func() { drain(t, &decoder, Framing{Kind: Chunked}, chunks) }},
	}
	for _, tt := range tests {
		if n := testing.AllocsPerRun(100, tt.do); n != 0 {
			t.Errorf("%s: %v allocations, want none", tt.name, n)
		}
	}
}

func BenchmarkParseRequest(b *testing.B) {
	wire := []byte(typicalRequest)
	var r Request
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		n, err := RequestLength(wire, 0)
		if n == 0 || err != nil {
			b.Fatal(n, err)
		}
		if err := r.Parse(typicalRequest[:n]); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Framing(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseResponse(b *testing.B) {
	wire := []byte(typicalResponse)
	var r Response
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		n, err := ResponseLength(wire, 0)
		if n == 0 || err != nil {
			b.Fatal(n, err)
		}
		if err := r.Parse(typicalResponse[:n]); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Framing("GET"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	var r Request
	if err := r.Parse(typicalRequest); err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.SetBytes(int64(len(typicalRequest)))
	b.ReportAllocs()
	for b.Loop() {
		buf = r.Append(buf[:0])
	}
}

func BenchmarkDecodeChunked(b *testing.B) {
	for _, bb := range []struct {
		name         string
		chunks, size int
	}{{"events", 64, 200}, {"bulk", 8, 16 << 10}} {
		b.Run(bb.name, func(b *testing.B) {
			wire := chunkedBody(bb.chunks, bb.size)
			var d Decoder
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				drain(b, &d, Framing{Kind: Chunked}, wire)
			}
		})
	}
}
