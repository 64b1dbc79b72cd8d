package http1_test

import (
	"fmt"
	"strings"

	"keybearer/proxy/http1"
)

// A request is read, changed and written again, with everything else kept as the
// client spelled it.
func Example() {
	received := []byte("POST /v1/x HTTP/1.1\r\nHOST: api.example\r\nauthorization: Bearer placeholder\r\n" +
		"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")

	n, err := http1.RequestLength(received, 0)
	if err != nil || n == 0 {
		return // malformed, or not all there yet
	}
	var req http1.Request
	if err := req.Parse(string(received[:n])); err != nil {
		return
	}
	framing, err := req.Framing()
	if err != nil {
		return
	}
	req.Header.Remove(func(name string) bool { return strings.EqualFold(name, "Authorization") })
	req.Header = append(req.Header, http1.Field{Name: "Authorization", Value: "Bearer the-real-one"})
	out := req.Append(nil)

	var body http1.Decoder
	for body.Start(framing); !body.Done(); {
		content, used, err := body.Next(received[n:])
		if err != nil || used == 0 {
			return
		}
		out = http1.AppendChunk(out, content)
		n += used
	}
	out = http1.AppendTrailer(out, body.Trailer)

	fmt.Print(strings.ReplaceAll(string(out), "\r\n", "\n"))
	// Output:
	// POST /v1/x HTTP/1.1
	// HOST: api.example
	// transfer-encoding: chunked
	// Authorization: Bearer the-real-one
	//
	// 5
	// hello
	// 0
}
