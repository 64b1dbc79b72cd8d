package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"keybearer/rules"
	"keybearer/secrets"
)

// awsRule is a rule that signs, with values for its secrets.
func awsRule() (rules.RuleConfig, map[string]string) {
	return rules.RuleConfig{Name: "aws", MatchHosts: []string{"api.test"}, AWS: &rules.AWSConfig{
		AccessKeyID:     &rules.SecretConfig{Value: "${ID}"},
		SecretAccessKey: &rules.SecretConfig{Value: "${SECRET}"},
		SessionToken:    &rules.SecretConfig{Value: "${TOKEN}"},
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
	resp, _ := f.exchange(c, r)
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
// seen red: claim not removing the client's; inject without claim; h2 sign not
// hashing; keep dropping a byte; hold without 100 Continue.
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

// All else that the rule does comes before the signature, and is signed.
//
// seen red: claim without For; signable without x-amz-; Accept-Encoding set after the
// signature.
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

// So is one that is signed in another way, unless it has a signature of AWS's as well.
//
// seen red: foreign without c == nil, and without isAuthorization.
func TestSignedOtherwise(t *testing.T) {
	for _, query := range []string{"X-Goog-Signature=00&X-Goog-Credential=x", "sig=x&sv=1&se=2"} {
		overBoth(t, func(t *testing.T, http2 bool) {
			f, v := signing(t, unchanged)
			client := f.client(http2)
			r, err := http.NewRequest("GET", "https://api.test/b/k?"+query, nil)
			if err != nil {
				t.Fatal(err)
			}
			if status, why := f.answer(client, r); status != 403 || why != "" || len(v.requests()) != 1 {
				t.Errorf("%s: status %d %s", query, status, why)
			}
			both := clientRequest(t, "GET", "/b/k?"+query, "s3", hexHash(""), "")
			both.Header.Set("Authorization", strings.Replace(both.Header.Get("Authorization"), "AKIAKEYBEAREREXAMPLE", "AKIAOTHER", 1))
			if status, why := f.answer(client, both); status != 200 {
				t.Errorf("%s with a signature: status %d %s", query, status, why)
			}
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
				if held := v.sent[len(v.sent)-1].Get("X-Amz-Content-Sha256") != "UNSIGNED-PAYLOAD"; held != (service != "s3") {
					t.Errorf("%s: the body was held back: %v", service, held)
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

// Keys with a lifetime that AWS refuses are fetched anew, and the request is signed with
// the new ones.
//
// seen red: refuses without signer; replace without sign, and without remove.
func TestSignedRenewed(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, v := signing(t, unchanged)
		rule, values := awsRule()
		rule.AWS.SecretAccessKey = &rules.SecretConfig{Value: "${KEY}"}
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
