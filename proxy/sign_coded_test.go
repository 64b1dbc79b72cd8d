package proxy

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
)

// Signed chunks within the chunks of HTTP/1.1, cut where they like, arrive signed anew.
//
// seen red: next without what is left of a signed chunk.
func TestSignedChunksInChunks(t *testing.T) {
	f, v := signing(t, unchanged)
	conn := f.open("api.test:443")
	body, _ := chunked(70<<10, 3, 1)
	go func() {
		fmt.Fprintf(conn, "PUT /b/k HTTP/1.1\r\nHost: api.test\r\nX-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\n"+
			"Authorization: AWS4-HMAC-SHA256 Credential=AKIAKEYBEAREREXAMPLE/20260101/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=%s\r\n"+
			"Transfer-Encoding: chunked\r\n\r\n", strings.Repeat("0", 64))
		for i := 0; i < len(body); i += 997 {
			piece := body[i:min(i+997, len(body))]
			fmt.Fprintf(conn, "%x\r\n%s\r\n", len(piece), piece)
		}
		io.WriteString(conn, "0\r\n\r\n")
	}()
	resp := f.read(bufio.NewReader(conn), "PUT")
	if got := v.requests(); resp.StatusCode != 200 || len(got) != 1 || len(v.body) != len(body) {
		t.Fatalf("status %d %s, arrived %q with %d bytes of %d", resp.StatusCode, resp.Header.Get("Proxy-Status"), got, len(v.body), len(body))
	}
	if err := v.chunks(); err != nil {
		t.Error(err)
	}
}
