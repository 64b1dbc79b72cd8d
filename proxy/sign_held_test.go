package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What was held back is let go when it has been sent: an answer that is long in coming
// keeps none of it.
//
// seen red: passed without end, for h1 and h2, for bodies and chunks.
func TestSignedLetGo(t *testing.T) {
	chunks, _ := chunked(3<<20, 1)
	for name, request := range map[string]func(*testing.T) *http.Request{
		"body": func(t *testing.T) *http.Request {
			return clientRequest(t, "POST", "/model/a/invoke", "bedrock", "", strings.Repeat("a", 3<<20))
		},
		"chunks": func(t *testing.T) *http.Request {
			return clientRequest(t, "PUT", "/b/k", "s3", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", chunks)
		},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, v := signing(t, unchanged)
				left := -1
				v.reply = func(http.ResponseWriter, *http.Request) {
					for deadline := time.Now().Add(5 * time.Second); left != 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
						left = f.proxy.reserve.total()
					}
				}
				if status, why := f.answer(f.client(http2), request(t)); status != 200 || left != 0 {
					t.Errorf("status %d %s, %d bytes still held back", status, why, left)
				}
			})
		})
	}
}

// A chunk that is signed waits in two places: both count.
//
// seen red: rechunk without cap(dst).
func TestSignedChunkCounted(t *testing.T) {
	const size = 8 << 20
	body, _ := chunked(size)
	overBoth(t, func(t *testing.T, http2 bool) {
		f, _ := signing(t, unchanged)
		r := clientRequest(t, "PUT", "/b/k", "s3", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", body)
		counted := make(chan int, 1)
		reader, writer := io.Pipe()
		r.Body, r.ContentLength = reader, int64(len(body))
		go func() { // all but the end, which keeps the exchange from it
			io.WriteString(writer, body[:len(body)-2])
			n := 0
			for deadline := time.Now().Add(5 * time.Second); n < 2*size && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				n = f.proxy.reserve.total()
			}
			counted <- n
			io.WriteString(writer, body[len(body)-2:])
			writer.Close()
		}()
		if status, why := f.answer(f.client(http2), r); status != 200 {
			t.Errorf("status %d %s", status, why)
		}
		if n := <-counted; n < 2*size || n > 4*size {
			t.Errorf("%d bytes count as held back, of a chunk of %d", n, size)
		}
	})
}

// A body that is held back and ends before its length over HTTP/2 is the client's error,
// and nothing of the request is sent.
//
// seen red: hold with bodyFailure for it, which made it an internal error.
func TestSignedShort(t *testing.T) {
	f, v := signing(t, unchanged)
	fields := get("/", pair{"content-length", "10"}, pair{"authorization", "AWS4-HMAC-SHA256 " +
		"Credential=AKIAKEYBEAREREXAMPLE/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=" + strings.Repeat("0", 64)})
	fields[0][1] = "POST"
	c := f.openHTTP2("api.test:443")
	c.headers(1, false, fields...)
	c.data(1, true, "short")
	if r := f.record(); r.Status != 400 || r.Error != "http_request_error" || len(r.Injected) > 0 {
		t.Errorf("record: %+v", r)
	}
	if got := v.requests(); len(got) > 0 {
		t.Errorf("arrived %q", got)
	}
}
