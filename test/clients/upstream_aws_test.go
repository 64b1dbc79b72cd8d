//go:build clients

package clients

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"os"
	"strconv"
	"strings"
	"time"
)

// storeExample is the example's host with a store that speaks the protocol of Amazon
// S3, behind a gateway that wants a bearer token: what the client signs with a key of
// its own is replaced. Requests that are equal but for the query, those of the parts of
// a file, may come in any order.
var storeExample = exampleWith((*upstream).store, map[string]steps{
	"get": {requests: []string{"GET /v1/bucket"}},
	"all": {
		[]string{"GET /v1/bucket", "PUT /v1/bucket/upload.bin", "HEAD /v1/bucket/download.bin", "GET /v1/bucket/download.bin"},
		checkDownload,
	},
	"large-upload":   {[]string{"POST /v1/bucket/large.bin", "PUT /v1/bucket/large.bin", "POST /v1/bucket/large.bin"}, checkParts},
	"large-download": {[]string{"HEAD /v1/bucket/large.bin", "GET /v1/bucket/large.bin"}, checkLargeDownload},
	"continue":       {[]string{"PUT /v1/bucket/continue.bin"}, checkSlowedDown},
	"hang-up":        {[]string{"HEAD /v1/bucket/forever.bin", "GET /v1/bucket/forever.bin"}, checkHangUp},
})

// partSize is the command line's own.
const partSize = 8 << 20

func (u *upstream) store(w http.ResponseWriter, r *http.Request) {
	answer := w.Header().Get("X-Answer")
	w.Header().Set("ETag", `"of-the-file"`) // of which all parts have to be
	u.silent(r)                             // but for the list
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1/bucket") {
	case "GET ":
		u.shows(r, answer)
		writeXML(w, `<ListBucketResult><Name>bucket</Name><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>`+
			`<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>1</Size></Contents></ListBucketResult>`, answer)
	case "PUT /upload.bin":
		receive(w, r, uploadData)
	case "HEAD /download.bin", "GET /download.bin":
		serveRange(w, r, bytes.NewReader(downloadData))
	case "POST /large.bin":
		w.Header().Del("ETag")
		if r.URL.Query().Has("uploads") {
			writeXML(w, `<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>large.bin</Key><UploadId>1</UploadId></InitiateMultipartUploadResult>`)
			return
		}
		writeXML(w, `<CompleteMultipartUploadResult><Bucket>bucket</Bucket><Key>large.bin</Key><ETag>"of-the-file"</ETag></CompleteMultipartUploadResult>`)
	case "PUT /large.bin":
		u.storePart(w, r)
	case "HEAD /large.bin", "GET /large.bin":
		http.ServeFile(w, r, u.large.path)
	case "PUT /continue.bin":
		u.slowDown(w, r)
	case "HEAD /forever.bin":
		w.Header().Set("Content-Length", strconv.Itoa(partSize-1)) // in one part
	case "GET /forever.bin":
		w.Header().Set("Content-Length", strconv.Itoa(partSize-1))
		w.Write(downloadData[:partSize/2])
		http.NewResponseController(w).Flush()
		u.awaitHangUp(r)
	default:
		http.NotFound(w, r)
	}
}

// receive answers with 400 if the body is not the wanted one.
func receive(w http.ResponseWriter, r *http.Request, want []byte) {
	got, err := io.ReadAll(unchunked(r))
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%d bytes came of %d, or others", len(got), len(want))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// unchunked is the body without the chunks that newer clients put into it for a
// checksum behind the last.
func unchunked(r *http.Request) io.Reader {
	if strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") {
		return httputil.NewChunkedReader(r.Body)
	}
	return r.Body
}

func (u *upstream) storePart(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.URL.Query().Get("partNumber"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f, err := os.Open(u.large.path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	part := make([]byte, partSize)
	if _, err := f.ReadAt(part, int64(number-1)*partSize); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	u.note(r, partNote(number))
	receive(w, r, part)
}

func partNote(number int) string { return fmt.Sprintf("part %d", number) }

// checkParts: each part came, whole.
func checkParts(o outcome) error {
	came := map[string]bool{}
	for _, r := range o.requests {
		came[r.note] = true
	}
	for n := range largeSize / partSize {
		if !came[partNote(n+1)] {
			return fmt.Errorf("part %d of the file did not come", n+1)
		}
	}
	return nil
}

// slowDown refuses the first request before its body has been sent, which the client
// then does not send: what follows on its connection must not be taken for the body.
func (u *upstream) slowDown(w http.ResponseWriter, r *http.Request) {
	if len(u.seen()) > 1 {
		receive(w, r, uploadData)
		return
	}
	w.Header().Del("ETag")
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusServiceUnavailable)
	io.WriteString(w, `<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
}

// checkSlowedDown: the client asked twice, and expected the store's word each time.
func checkSlowedDown(o outcome) error {
	if len(o.requests) != 2 {
		return fmt.Errorf("the upstream saw %s, want a request that it refuses and one that it takes", o.requests)
	}
	return checkContinue(o)
}

// serveRange answers with the part of the data that the client asks for.
func serveRange(w http.ResponseWriter, r *http.Request, data io.ReadSeeker) {
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Unix(1767225600, 0), data) // the command line wants a date
}

func writeXML(w http.ResponseWriter, format string, args ...any) {
	w.Header().Set("Content-Type", "application/xml")
	fmt.Fprintf(w, format, args...)
}
