// Package sigv4 signs requests for AWS anew that a client has signed with keys of its
// own: Signature Version 4, as AWS's services and the stores that speak the protocol of
// Amazon S3 want it. It does no input or output.
//
//	claim, err := sigv4.Read(request)                  // what does the client's signature say?
//	claim.Payload = sigv4.Hash(body)                   // if it does not say it: claim.Payload == ""
//	signed, err := sigv4.Sign(request, claim, keys, t) // what to send in its place
//	chunks := signed.Chunks(limit)                     // if the body has signatures too: claim.Chunked()
//
// The client's signature is not verified, since the keys it was made with are worth
// nothing: it tells the region and the service to sign for, which fields to sign, and
// what the body is. Of those the new signature says the same.
//
// The canonical form and the signature of a request are those of the AWS SDK's signer.
// The chunks of a body are beyond it, and done here.
//
// # Non-goals
//
// Signature Version 4A, for requests to several regions at once, and signed event
// streams are refused. So are queries and paths that can be read in two ways: the
// signature would be for one of them.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"strings"
	"time"
)

// Keys are what to sign with.
type Keys struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // of temporary keys, else ""
}

// Request is a request as it is sent, without the fields that [Signed] has.
type Request struct {
	Method string
	Host   string // as in the Host field
	Target string // path and query, as sent
	Fields iter.Seq2[string, string]
}

// values are those of one field, in order.
func (r Request) values(name string) (all []string) {
	for n, v := range r.Fields {
		if strings.EqualFold(n, name) {
			all = append(all, v)
		}
	}
	return all
}

// Field is one header field.
type Field struct{ Name, Value string }

// An Error says why a request cannot be signed. It holds nothing that was sent.
type Error string

func (e Error) Error() string { return string(e) }

// Hash is the Payload of a body.
func Hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
)

// mac is HMAC-SHA256.
func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// scope is what a signature is for.
type scope struct{ date, region, service string }

func (s scope) String() string {
	return s.date + "/" + s.region + "/" + s.service + "/aws4_request"
}

// key is what everything within the scope is signed with.
func (s scope) key(secret string) []byte {
	return mac(mac(mac(mac([]byte("AWS4"+secret), s.date), s.region), s.service), "aws4_request")
}

func scopeAt(t time.Time, c *Claim) scope {
	return scope{t.UTC().Format("20060102"), c.Region, c.Service}
}
