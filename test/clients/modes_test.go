//go:build clients

package clients

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Random, so that no compression hides a lost or doubled byte.
var (
	uploadData   = randomBytes(2 << 20) // above git's http.postBuffer
	downloadData = randomBytes(8 << 20)
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// largeFile is large.bin, made once for all clients.
type largeFile struct {
	path string
	sum  [sha256.Size]byte
}

const largeSize = 64 << 20

func newLargeFile(dir string) (*largeFile, error) {
	f := &largeFile{path: filepath.Join(dir, "large.bin")}
	data := randomBytes(largeSize)
	f.sum = sha256.Sum256(data)
	return f, os.WriteFile(f.path, data, 0o444)
}

// same says why a body or file is not the large file, nil if it is.
func (f *largeFile) same(r io.Reader) error {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return fmt.Errorf("after %d bytes of %d: %w", n, largeSize, err)
	}
	if !bytes.Equal(h.Sum(nil), f.sum[:]) {
		return fmt.Errorf("%d bytes came of %d, or others", n, largeSize)
	}
	return nil
}

// example serves the modes, at the path behind /v1.
func (u *upstream) example(w http.ResponseWriter, r *http.Request) {
	answer := w.Header().Get("X-Answer")
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1") {
	case "GET /echo":
		// The whole request, as many a service does it: keybearer masks the secret.
		writeJSON(w, map[string]any{"answer": answer, "host": r.Host, "protocol": r.Proto, "headers": r.Header})
	case "POST /upload", "POST /continue":
		data, err := io.ReadAll(r.Body)
		if err == nil && !bytes.Equal(data, uploadData) {
			err = fmt.Errorf("%d bytes came of %d, or others", len(data), len(uploadData))
		}
		uploaded(w, answer, err)
	case "GET /download":
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(downloadData)
	case "POST /large":
		uploaded(w, answer, u.large.same(r.Body))
	case "GET /large":
		u.silent(r)
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeFile(w, r, u.large.path)
	case "GET /stream":
		u.stream(w, r, "text/plain", "line %d of %s\n")
	case "GET /events":
		u.stream(w, r, "text/event-stream", "data: event %d of %s\n\n")
	case "GET /websocket":
		u.silent(r)
		u.webSocket(w, r)
	case "GET /redirect":
		u.silent(r)
		w.Header().Set("Location", "https://"+unmatchedHost+"/v1/echo")
		w.WriteHeader(http.StatusFound)
	case "GET /gzip":
		u.gzip(w, r, answer)
	case "GET /trailers":
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Trailer", lastWord)
		fmt.Fprintf(w, "before the trailer of %s\n", answer)
		// Or the length is told, and curl is content in HTTP/2 when that has come.
		http.NewResponseController(w).Flush()
		w.Header().Set(lastWord, "the end of "+answer)
	case "GET /forever":
		u.forever(w, r, answer)
	default:
		http.NotFound(w, r)
	}
}

// uploaded answers with 400 if not all came that the clients send.
func uploaded(w http.ResponseWriter, answer string, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, map[string]string{"answer": answer})
}

// patience is how long the upstream waits for what a client is to print at once.
const patience = 20 * time.Second

// stream sends a piece only when the client has printed the one before: whoever
// collects a stream before passing it on waits for ever, or until it is cut off.
func (u *upstream) stream(w http.ResponseWriter, r *http.Request, mediaType, piece string) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	answer := w.Header().Get("X-Answer")
	u.silent(r) // each of its lines has been seen
	w.Header().Set("Content-Type", mediaType)
	for n := range 5 {
		text := fmt.Sprintf(piece, n+1, answer)
		io.WriteString(w, text)
		http.NewResponseController(w).Flush()
		if err := u.printed(ctx, strings.TrimSpace(strings.TrimPrefix(text, "data: "))); err != nil {
			u.note(r, fmt.Sprintf("the client did not print %q of what was sent: %v", text, err))
			panic(http.ErrAbortHandler) // nor shall it see the end
		}
	}
	u.note(r, streamed)
}

const streamed = "the client printed each line before the next was sent"

// checkStreamed: no piece waited for the next.
func checkStreamed(o outcome) error {
	for _, r := range o.requests {
		if r.note != streamed {
			return fmt.Errorf("%s: %s", r, r.note)
		}
	}
	return nil
}

// gzip sends what is to be decoded.
func (u *upstream) gzip(w http.ResponseWriter, r *http.Request, answer string) {
	w.Header().Set("Content-Type", "text/plain")
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		http.Error(w, "the request accepts no gzip", http.StatusNotAcceptable)
		return
	}
	u.note(r, zipped)
	u.shows(r, "decoded "+answer)
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	fmt.Fprintf(z, "decoded %s\n", answer)
	z.Close()
}

const zipped = "the answer was sent in gzip"

// checkGzip: the answer, which the client could decode, went encoded through the proxy.
func checkGzip(o outcome) error {
	for _, r := range o.requests {
		if r.note != zipped {
			return fmt.Errorf("%s: the answer was not sent in gzip; see scrub_responses in proxy/exchange.go", r)
		}
	}
	return nil
}

// lastWord is the name of the trailer.
const lastWord = "X-Last-Word"

// checkTrailers: the client shows the trailer, in whatever case.
func checkTrailers(o outcome) error {
	for _, r := range o.requests {
		want := strings.ToLower("trailer " + lastWord + ": the end of " + r.answer)
		if !strings.Contains(strings.ToLower(string(o.output)), want) {
			return fmt.Errorf("%s: the client did not print %q", r, want)
		}
	}
	return nil
}

// checkContinue: the client's expectation was the upstream's to answer. Over HTTP/2
// it works if the client has not waited for ever: net/http's server, so keybearer's
// and this one, takes the field out.
func checkContinue(o outcome) error {
	for _, r := range o.requests {
		if r.proto == http2 {
			continue
		}
		if got := r.header.Get("Expect"); !strings.EqualFold(got, "100-continue") {
			return fmt.Errorf("%s: the upstream saw Expect: %q, want 100-continue; see proxy/h1.go", r, got)
		}
	}
	return nil
}

// forever sends one line and waits for the client to leave.
func (u *upstream) forever(w http.ResponseWriter, r *http.Request, answer string) {
	line := "line 1 of " + answer
	u.shows(r, line)
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintln(w, line)
	http.NewResponseController(w).Flush()
	u.awaitHangUp(r)
}

// checkHangUp: the upstream learns soon that the client has gone.
func checkHangUp(o outcome) error {
	u := o.scene.upstream
	select {
	case <-u.hungUp:
	case <-time.After(5 * time.Second):
		return fmt.Errorf("5 s after the client's end the upstream's request still goes on, see proxy/h1_upload.go and h2_exchange.go: %s", u.seen())
	}
	for _, r := range u.seen() {
		if r.note != "" {
			return fmt.Errorf("%s: %s", r, r.note)
		}
	}
	return nil
}

// checkDownload: the file is the upstream's.
func checkDownload(o outcome) error {
	got, err := os.ReadFile(filepath.Join(o.dir, "download.bin"))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, downloadData) {
		return fmt.Errorf("download.bin has %d bytes that differ from the %d that the upstream sent", len(got), len(downloadData))
	}
	return nil
}

func checkLargeDownload(o outcome) error {
	f, err := os.Open(filepath.Join(o.dir, "large-download.bin"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := o.scene.upstream.large.same(f); err != nil {
		return fmt.Errorf("large-download.bin: %w", err)
	}
	return nil
}
