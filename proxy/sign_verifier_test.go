package proxy

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// verifier is an upstream that answers 403 to requests which are not signed with the
// one key that it knows, as AWS does.
type verifier struct {
	mu    sync.Mutex
	key   aws.Credentials
	got   []string // of each request what it was, and what is wrong with it
	sent  []http.Header
	body  []byte // of the last request
	reply http.HandlerFunc
}

// realKey is the key of the rules in these tests; a client has another one.
var realKey = aws.Credentials{AccessKeyID: "AKIA" + canary, SecretAccessKey: "secret-" + canary, SessionToken: "token-" + canary}

const dummySecret = "the-client-has-this"

func (v *verifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	v.mu.Lock()
	defer v.mu.Unlock()
	wrong := "signed"
	if err == nil {
		err = v.verify(r, body)
	}
	if err != nil {
		wrong = err.Error()
		w.WriteHeader(http.StatusForbidden)
	}
	v.got, v.sent, v.body = append(v.got, r.Method+" "+wrong), append(v.sent, r.Header), body
	if v.reply != nil && err == nil {
		v.reply(w, r)
	}
}

// verify signs the request itself, and compares.
func (v *verifier) verify(r *http.Request, body []byte) error {
	query, presigned := r.URL.Query(), r.URL.Query().Has("X-Amz-Signature")
	credential, signed, date := query.Get("X-Amz-Credential"), query.Get("X-Amz-SignedHeaders"), query.Get("X-Amz-Date")
	authorization := r.Header["Authorization"]
	if !presigned {
		if len(authorization) != 1 || len(r.Header["X-Amz-Date"]) != 1 {
			return fmt.Errorf("%d signatures", len(authorization))
		}
		rest, _ := strings.CutPrefix(authorization[0], "AWS4-HMAC-SHA256 Credential=")
		credential, rest, _ = strings.Cut(rest, ", SignedHeaders=")
		signed, _, _ = strings.Cut(rest, ", Signature=")
		date = r.Header.Get("X-Amz-Date")
	}
	scope := strings.Split(credential, "/")
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil || len(scope) != 5 || !presigned && time.Since(at).Abs() > time.Minute {
		return fmt.Errorf("date %s, scope %s", date, scope)
	}
	hash := r.Header.Get("X-Amz-Content-Sha256")
	sum := sha256.Sum256(body)
	switch {
	case presigned:
		hash = "UNSIGNED-PAYLOAD"
	case hash == "":
		hash = hex.EncodeToString(sum[:])
	case len(hash) == 64 && hash != hex.EncodeToString(sum[:]):
		return fmt.Errorf("the hash is of another body than %q", body)
	}
	again := &http.Request{Method: r.Method, Host: r.Host, URL: r.URL, Header: http.Header{}}
	for name, values := range r.Header {
		if slices.Contains(strings.Split(signed, ";"), strings.ToLower(name)) {
			again.Header[name] = slices.Clone(values)
		} else if strings.HasPrefix(name, "X-Amz-") {
			return fmt.Errorf("%s is not signed", name)
		}
	}
	if slices.Contains(strings.Split(signed, ";"), "content-length") {
		again.ContentLength = r.ContentLength
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = scope[3] == "s3" })
	if presigned {
		url := *r.URL
		again.URL = &url
		q := url.Query()
		q.Del("X-Amz-Signature")
		again.URL.RawQuery = q.Encode()
		want, _, err := signer.PresignHTTP(context.Background(), v.key, again, hash, scope[3], scope[2], at)
		if _, want, _ = strings.Cut(want, "X-Amz-Signature="); err != nil || want != query.Get("X-Amz-Signature") {
			return fmt.Errorf("the signature in the query is not %s", want)
		}
		return nil
	}
	again.Header.Del("Authorization")
	if err := signer.SignHTTP(context.Background(), v.key, again, hash, scope[3], scope[2], at); err != nil {
		return err
	}
	if want := again.Header["Authorization"]; !slices.Equal(want, authorization) {
		return fmt.Errorf("the signature is %q and not %q", authorization, want)
	}
	return nil
}

func (v *verifier) requests() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := v.got
	v.got = nil
	return all
}

// The verifier does not take the client's own signature: without it the tests above
// would say nothing.
func TestVerifierRefusesDummy(t *testing.T) {
	v := &verifier{key: realKey}
	r := clientRequest(t, "PUT", "/bucket/key", "s3", hexHash("body"), "body")
	w := httptest.NewRecorder()
	r.Body = io.NopCloser(strings.NewReader("body"))
	if v.ServeHTTP(w, r); w.Code != 403 {
		t.Errorf("status %d", w.Code)
	}
}

// chunks verifies the chunks of the last request.
func (v *verifier) chunks() error {
	h := v.sent[len(v.sent)-1]
	_, last, _ := strings.Cut(h.Get("Authorization"), "Signature=")
	date := h.Get("X-Amz-Date")
	scope := date[:8] + "/eu-central-1/s3/aws4_request"
	key := []byte("AWS4" + v.key.SecretAccessKey)
	for word := range strings.SplitSeq(scope, "/") {
		key = hmacOf(key, word)
	}
	for rest := v.body; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\r\n"))
		var size int
		var signature string
		if _, err := fmt.Sscanf(string(line), "%x;chunk-signature=%s", &size, &signature); err != nil {
			return err
		}
		last = hex.EncodeToString(hmacOf(key, strings.Join([]string{"AWS4-HMAC-SHA256-PAYLOAD", date, scope, last, hexHash(""), hexHash(string(after[:size]))}, "\n")))
		if last != signature {
			return fmt.Errorf("a chunk of %d bytes has another signature", size)
		}
		rest = after[size+2:]
	}
	return nil
}

// chunked is a body with the signatures of a client.
func chunked(sizes ...int) (string, int) {
	var b bytes.Buffer
	total := 0
	for _, size := range append(sizes, 0) {
		fmt.Fprintf(&b, "%x;chunk-signature=%s\r\n%s\r\n", size, strings.Repeat("0", 64), strings.Repeat("a", size))
		total += size
	}
	return b.String(), total
}

func hmacOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, text)
	return h.Sum(nil)
}
