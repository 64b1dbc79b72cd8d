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

	"keybearer/rules"
	"keybearer/secrets"
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

// awsRule is a rule that signs, with values for its secrets.
func awsRule() (rules.RuleConfig, map[string]string) {
	return rules.RuleConfig{Name: "aws", MatchHosts: []string{"api.test"}, AWS: &rules.AWSConfig{
		AccessKeyID:     &rules.CredentialConfig{Value: "${ID}"},
		SecretAccessKey: &rules.CredentialConfig{Value: "${SECRET}"},
		SessionToken:    &rules.CredentialConfig{Value: "${TOKEN}"},
	}}, map[string]string{"ID": realKey.AccessKeyID, "SECRET": realKey.SecretAccessKey, "TOKEN": realKey.SessionToken}
}

func signing(t *testing.T, change func(*rules.RuleConfig)) (*fixture, *verifier) {
	t.Helper()
	v := &verifier{key: realKey}
	rule, values := awsRule()
	change(&rule)
	c := rules.Config{Rules: []rules.RuleConfig{rule}}
	f := start(t, config(), map[string]string{"api.test:443": serveHTTP(t, "api.test", v)})
	f.setPolicy(c, values)
	return f, v
}

func unchanged(*rules.RuleConfig) {}

// clientRequest is one that a client has signed with the keys that it was given.
func clientRequest(t *testing.T, method, target, service, hash, body string, fields ...string) *http.Request {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, "https://api.test"+target, content)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(fields); n += 2 {
		r.Header[fields[n]] = append(r.Header[fields[n]], fields[n+1])
	}
	if hash != "" {
		r.Header.Set("X-Amz-Content-Sha256", hash)
	}
	dummy := aws.Credentials{AccessKeyID: "AKIAKEYBEAREREXAMPLE", SecretAccessKey: dummySecret, SessionToken: "dummy"}
	if err := v4.NewSigner().SignHTTP(context.Background(), dummy, r, "not verified", service, "eu-central-1", time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	return r
}

func (f *fixture) answer(c *http.Client, r *http.Request) (status int, why string) {
	f.t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	f.keep(resp, body)
	return resp.StatusCode, resp.Header.Get("Proxy-Status")
}

func hexHash(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// What the client has signed with its own keys arrives signed with the real ones,
// whatever it says of its body; a body whose hash it does not say is held back to find
// out.
//
// seen red: sign not removing the client's; inject without claim; h2 sign not
// hashing; claim without For; keep dropping a piece.
func TestSigned(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 40<<10)
	for _, tt := range []struct {
		name string
		r    func(t *testing.T) *http.Request
	}{
		{"hash", func(t *testing.T) *http.Request {
			return clientRequest(t, "PUT", "/bucket/a%20b%2Fc%2Bd", "s3", hexHash("body"), "body", "Content-Type", "text/plain", "X-Amz-Meta-A", "1", "X-Amz-Meta-A", " 2  3 ")
		}},
		{"no body", func(t *testing.T) *http.Request {
			return clientRequest(t, "GET", "/?list-type=2&prefix=a%20b%2F&delimiter=%2F&x", "s3", hexHash(""), "")
		}},
		{"unsigned payload", func(t *testing.T) *http.Request {
			return clientRequest(t, "PUT", "/b/k", "s3", "UNSIGNED-PAYLOAD", "body")
		}},
		{"unsigned chunks", func(t *testing.T) *http.Request {
			return clientRequest(t, "PUT", "/b/k", "s3", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "4\r\nbody\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "X-Amz-Trailer", "x-amz-checksum-crc32")
		}},
		{"hash not sent", func(t *testing.T) *http.Request {
			return clientRequest(t, "POST", "/model/a%3A0/invoke", "bedrock", "", "a body", "Content-Type", "application/json")
		}},
		{"hash of a long body not sent", func(t *testing.T) *http.Request { return clientRequest(t, "POST", "/", "dynamodb", "", long) }},
		{"hash of a body without length not sent", func(t *testing.T) *http.Request {
			r := clientRequest(t, "POST", "/", "dynamodb", "", "")
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(long)), -1
			return r
		}},
		{"hash of no body not sent", func(t *testing.T) *http.Request {
			return clientRequest(t, "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "sts", "", "")
		}},
		{"waits to be told to send", func(t *testing.T) *http.Request {
			r := clientRequest(t, "POST", "/", "sqs", "", long)
			r.Header.Set("Expect", "100-continue")
			return r
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, v := signing(t, unchanged)
				client := f.client(http2)
				client.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
				status, why := f.answer(client, tt.r(t))
				if got := v.requests(); status != 200 || len(got) != 1 {
					t.Errorf("status %d %s, arrived %q", status, why, got)
				}
				if r := f.record(); r.Rule != "aws" || !slices.Equal(r.Injected, []string{"AWS signature"}) {
					t.Errorf("record: %+v", r)
				}
			})
		})
	}
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

// All else that the rule does comes before the signature, and is signed.
//
// seen red: inject signing before searchable and before the settings.
func TestSignedLast(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, v := signing(t, func(r *rules.RuleConfig) {
			r.InjectHeaders = map[string]string{"X-Amz-Request-Payer": "requester"}
			r.InjectQuery = map[string]string{"versionId": "a b"}
			r.RemoveHeaders = []string{"X-Amz-Meta-Secret"}
			r.AWS.Region, r.AWS.Service = "us-west-2", "s3"
		})
		r := clientRequest(t, "GET", "/b/k?versionId=1", "execute-api", hexHash(""), "", "Accept-Encoding", "gzip", "X-Amz-Meta-Secret", "1")
		status, why := f.answer(f.client(http2), r)
		if got := v.requests(); status != 200 || len(got) != 1 {
			t.Fatalf("status %d %s, arrived %q", status, why, got)
		}
		if h := v.sent[0]; !strings.Contains(h.Get("Authorization"), "/us-west-2/s3/") || !strings.Contains(h.Get("Authorization"), "accept-encoding;") ||
			h.Get("X-Amz-Request-Payer") != "requester" || h["X-Amz-Meta-Secret"] != nil || h.Get("X-Amz-Security-Token") != realKey.SessionToken {
			t.Errorf("arrived: %v", h)
		}
	})
}

// What cannot be signed is not sent: no signature and nothing to take its place, one
// of another kind, or one that is not well-formed.
//
// seen red: claim passing on what Read does not know; Read without readQuery's checks.
func TestNotSigned(t *testing.T) {
	credential := "AKIAKEYBEAREREXAMPLE/20260101/us-east-1/s3/aws4_request"
	zero := strings.Repeat("0", 64)
	good := "AWS4-HMAC-SHA256 Credential=" + credential + ", SignedHeaders=host, Signature=" + zero
	for name, fields := range map[string][]string{
		"none":              nil,
		"bearer":            {"Authorization", "Bearer x"},
		"version 2":         {"Authorization", "AWS AKIA:x"},
		"version 4A":        {"Authorization", strings.Replace(good, "HMAC", "ECDSA-P256", 1)},
		"two":               {"Authorization", good, "Authorization", good},
		"no signature":      {"Authorization", strings.TrimSuffix(good, "Signature="+zero)},
		"no scope":          {"Authorization", strings.Replace(good, credential, "AKIA/us-east-1/s3/aws4_request", 1)},
		"odd region":        {"Authorization", strings.Replace(good, "us-east-1", "us\"east", 1)},
		"odd signed header": {"Authorization", strings.Replace(good, "=host", "=ho st", 1)},
		"twice the scope":   {"Authorization", good + ", Credential=" + credential},
		"odd payload":       {"Authorization", good, "X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-EVENTS"},
		"two payloads":      {"Authorization", good, "X-Amz-Content-Sha256", zero, "X-Amz-Content-Sha256", zero},
		"odd query":         {"Authorization", good, ":query", "a;b"},
		"query and field":   {"Authorization", good, ":query", "X-Amz-Signature=" + zero + "&X-Amz-Credential=" + credential},
		"half in the query": {":query", "X-Amz-Signature=" + zero},
		"4A in the query":   {":query", "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Signature=" + zero + "&X-Amz-Credential=" + credential},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, v := signing(t, unchanged)
				r, err := http.NewRequest("GET", "https://api.test/", nil)
				if err != nil {
					t.Fatal(err)
				}
				for n := 0; n < len(fields); n += 2 {
					if fields[n] == ":query" {
						r.URL.RawQuery = fields[n+1]
						continue
					}
					r.Header[fields[n]] = append(r.Header[fields[n]], fields[n+1])
				}
				status, why := f.answer(f.client(http2), r)
				if got := v.requests(); status != 403 || !strings.Contains(why, "AWS") || len(got) > 0 {
					t.Errorf("status %d %s, arrived %q", status, why, got)
				}
				if r := f.record(); r.Error != "http_request_denied" || len(r.Injected) > 0 {
					t.Errorf("record: %+v", r)
				}
			})
		})
	}
}

// A request without a signature is signed if the rule says for which region and
// service.
//
// seen red: claim without Unsigned; readPayload without isS3.
func TestSignedAnonymous(t *testing.T) {
	for _, service := range []string{"s3", "dynamodb"} {
		overBoth(t, func(t *testing.T, http2 bool) {
			f, v := signing(t, func(r *rules.RuleConfig) { r.AWS.Region, r.AWS.Service = "eu-central-1", service })
			client := f.client(http2)
			for _, body := range []string{"", "a body"} {
				r, err := http.NewRequest("POST", "https://api.test/b/k", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer x")
				status, why := f.answer(client, r)
				if got := v.requests(); status != 200 || len(got) != 1 {
					t.Errorf("%s, body %q: status %d %s, arrived %q", service, body, status, why, got)
				}
			}
		})
	}
}

// A URL that the client has presigned is signed anew; one of somebody else, who has
// handed it out, is left alone.
//
// seen red: foreign always false, and always true.
func TestSignedURL(t *testing.T) {
	for _, tt := range []struct {
		name, id string
		status   int
	}{{"own", "AKIAKEYBEAREREXAMPLE", 200}, {"foreign", "AKIAOTHER", 403}} {
		t.Run(tt.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, v := signing(t, unchanged)
				r, err := http.NewRequest("GET", "https://api.test/b/a%20b?X-Amz-Expires=60&response-content-type=text%2Fplain", nil)
				if err != nil {
					t.Fatal(err)
				}
				url, _, err := v4.NewSigner().PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: tt.id, SecretAccessKey: dummySecret}, r,
					"UNSIGNED-PAYLOAD", "s3", "eu-central-1", time.Now())
				if err != nil {
					t.Fatal(err)
				}
				if r, err = http.NewRequest("GET", url, nil); err != nil {
					t.Fatal(err)
				}
				status, why := f.answer(f.client(http2), r)
				if got := v.requests(); status != tt.status || len(got) != 1 {
					t.Errorf("status %d %s, arrived %q", status, why, got)
				}
				if r := f.record(); (len(r.Injected) > 0) != (tt.status == 200) || strings.Contains(r.Reason, "presigned_url") != (tt.status == 403) {
					t.Errorf("record: %+v", r)
				}
			})
		})
	}
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

// The chunks of an upload arrive with signatures that follow from the new one, as they
// come and of the same length; a body that is not made of such chunks does not arrive.
//
// seen red: next and rechunkedBody without rechunk, take and Read without end.
func TestSignedChunks(t *testing.T) {
	whole, _ := chunked(64<<10, 3<<20, 1)
	for name, body := range map[string]string{"whole": whole, "cut": whole[:len(whole)-4], "none": strings.Repeat("a", 5000)} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, http2 bool) {
				f, v := signing(t, unchanged)
				r := clientRequest(t, "PUT", "/b/k", "s3", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", body)
				status, why := f.answer(f.client(http2), r)
				got := v.requests()
				if name != "whole" {
					if status != 403 || !strings.Contains(why, "signed chunks") || len(got) == 1 && got[0] == "PUT signed" {
						t.Errorf("status %d %s, arrived %q", status, why, got)
					}
					return
				}
				if status != 200 || len(got) != 1 || len(v.body) != len(body) {
					t.Fatalf("status %d %s, arrived %q with %d bytes of %d", status, why, got, len(v.body), len(body))
				}
				if err := v.chunks(); err != nil {
					t.Error(err)
				}
			})
		})
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

// Bodies are not held back without end, neither of one request nor of all.
//
// seen red: keep without signedSize; hold without signedSizes.
func TestSignedTooLarge(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, v := signing(t, unchanged)
		client := f.client(http2)
		r := clientRequest(t, "POST", "/", "dynamodb", "", "")
		r.Body, r.ContentLength = io.NopCloser(io.LimitReader(endless{}, signedSize+1)), signedSize+1
		if status, why := f.answer(client, r); status != 403 || !strings.Contains(why, "MiB") {
			t.Errorf("too large: status %d %s", status, why)
		}
		f.record()
		if n := f.proxy.heldBack.Load(); n != 0 {
			t.Errorf("%d bytes are held back after the end", n)
		}
		f.proxy.heldBack.Store(signedSizes)
		if status, why := f.answer(client, clientRequest(t, "POST", "/", "dynamodb", "", "a body")); status != 503 {
			t.Errorf("too many: status %d %s", status, why)
		}
		f.record()
		if n := f.proxy.heldBack.Load(); n != signedSizes {
			t.Errorf("%d bytes are held back after the end", n-signedSizes)
		}
		if got := v.requests(); len(got) > 0 {
			t.Errorf("arrived %q", got)
		}
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// Keys with a lifetime that AWS refuses are fetched anew, and the request is signed with
// the new ones.
//
// seen red: refuses without signer; replace without sign.
func TestSignedRenewed(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, v := signing(t, unchanged)
		rule, values := awsRule()
		rule.AWS.SecretAccessKey = &rules.CredentialConfig{Value: "${KEY}"}
		set, problems := rules.Compile(rules.Config{Rules: []rules.RuleConfig{rule}}, rules.Tunnel)
		if set == nil {
			t.Fatal(problems)
		}
		var environ []string
		for name, value := range values {
			environ = append(environ, name+"="+value)
		}
		store, err := secrets.Open(secrets.Sources{Environ: environ, Named: map[string]secrets.Source{"KEY": {Fetch: minted{&mint{next: coins}}}}})
		if err != nil {
			t.Fatal(err)
		}
		f.policy, _ = NewPolicy(set, store)
		f.proxy.SetPolicy(f.policy)
		v.key.SecretAccessKey = coin(2)
		status, why := f.answer(f.client(http2), clientRequest(t, "GET", "/b/k", "s3", hexHash(""), ""))
		if got := v.requests(); status != 200 || len(got) != 2 || got[1] != "GET signed" {
			t.Errorf("status %d %s, arrived %q", status, why, got)
		}
	})
}

// Of what was sent nothing comes back in text; an object that is stored compressed comes
// as it is.
//
// seen red: newAction without secret; bodyNeedles without its exception.
func TestSignedResponse(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, v := signing(t, unchanged)
		v.reply = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			if r.URL.Path == "/b/gz" {
				w.Header().Set("Content-Encoding", "gzip")
				io.WriteString(w, "\x1f\x8b as it is")
				return
			}
			fmt.Fprintf(w, "<StringToSign>%s</StringToSign>", r.Header)
		}
		client := f.client(http2)
		for path, want := range map[string]string{"/b/gz": "\x1f\x8b as it is", "/b/k": "<StringToSign>"} {
			resp, err := client.Do(clientRequest(t, "GET", path, "s3", hexHash(""), ""))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			f.keep(resp, body)
			if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(string(body), want) || bytes.Contains(body, []byte(canary)) {
				t.Errorf("%s: %d %q, %v", path, resp.StatusCode, body, err)
			}
		}
	})
}

func hmacOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, text)
	return h.Sum(nil)
}
