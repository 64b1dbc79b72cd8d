package sigv4

import (
	"context"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Signed is what takes the place of the client's signature.
type Signed struct {
	Fields []Field // to send in place of all that [Signs] reports
	Target string  // to send

	payload string
	seed    string // the signature
	scope   scope
	date    string
	key     []byte
}

// Signs reports whether a field is part of a signature, so that the client's is not to
// be sent.
func Signs(name string) bool {
	switch strings.ReplaceAll(strings.ToLower(name), "_", "-") { // which some servers take for one name
	case "authorization", "x-amz-date", "x-amz-security-token":
		return true
	}
	return false
}

// Sign signs a request as of t; one whose signature is in the query as of the time that
// it says, since it is valid for some time from then on. The claim must have a Payload.
func Sign(r Request, c *Claim, keys Keys, t time.Time) (*Signed, error) {
	if c.Query {
		t = c.Date
	}
	out, err := r.signable(c)
	if err != nil {
		return nil, err
	}
	s := &Signed{Target: r.Target, payload: c.Payload, scope: scopeAt(t, c), date: t.UTC().Format(timeFormat)}
	// A signer keeps a key for every region and service that it has seen, which are
	// the client's to choose: so one for each request.
	signer := v4.NewSigner(func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping, o.DisableHeaderHoisting = c.isS3(), true
	})
	credentials := aws.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken}
	if c.Query {
		signed, _, err := signer.PresignHTTP(context.Background(), credentials, out, c.Payload, c.Service, c.Region, t)
		if err != nil {
			return nil, Error("its URL cannot be signed")
		}
		path, _, _ := strings.Cut(r.Target, "?")
		_, query, _ := strings.Cut(signed, "?")
		s.Target = path + "?" + query
		return s, nil
	}
	if err := signer.SignHTTP(context.Background(), credentials, out, c.Payload, c.Service, c.Region, t); err != nil {
		return nil, Error("it cannot be signed")
	}
	for _, name := range []string{"X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "Authorization"} {
		value := out.Header.Get(name)
		if value != "" && (Signs(name) || r.values(name) == nil) {
			s.Fields = append(s.Fields, Field{name, value})
		}
	}
	_, s.seed, _ = strings.Cut(out.Header.Get("Authorization"), "Signature=")
	if c.Chunked() {
		s.key = s.scope.key(keys.SecretAccessKey)
	}
	return s, nil
}

// signable is the request as the SDK's signer takes it, with no fields but those that
// are to be signed: the ones that the client has signed, and all of x-amz-, as some
// services insist on.
func (r Request) signable(c *Claim) (*http.Request, error) {
	sent, rawQuery, _ := strings.Cut(r.Target, "?")
	canonical, err := canonicalPath(sent, c.isS3())
	if err != nil {
		return nil, err
	}
	query, err := r.query()
	if err != nil {
		return nil, err
	}
	if c.Query {
		query.Del("X-Amz-Signature")
		query.Del("X-Amz-Security-Token")
		rawQuery = query.Encode()
	}
	out := &http.Request{
		Method: r.Method, Host: r.Host, Header: make(http.Header),
		URL: &url.URL{Host: r.Host, Opaque: "//" + r.Host + canonical, RawQuery: rawQuery},
	}
	for name, value := range r.Fields {
		lower := strings.ToLower(name)
		signed := slices.Contains(c.Signed, lower)
		switch {
		case Signs(name):
		case lower == "content-length" && signed:
			out.ContentLength, _ = strconv.ParseInt(value, 10, 64)
		case lower != "host" && signed, strings.HasPrefix(lower, "x-amz-") && !c.Query:
			name = textproto.CanonicalMIMEHeaderKey(name)
			out.Header[name] = append(out.Header[name], value)
		}
	}
	if c.isS3() && !c.Query && out.Header["X-Amz-Content-Sha256"] == nil {
		out.Header.Set("X-Amz-Content-Sha256", c.Payload)
	}
	return out, nil
}

// canonicalPath is the path as it is signed. Amazon S3 takes it as it is, however it is
// encoded; for the others dots and doubled slashes are taken out, and the signer
// encodes it once more.
func canonicalPath(sent string, s3 bool) (string, error) {
	if !s3 {
		clean := path.Clean(sent)
		if clean != "/" && strings.HasSuffix(sent, "/") {
			clean += "/"
		}
		return clean, nil
	}
	segments := strings.Split(sent, "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return "", Error("its path is not well-formed")
		}
		segments[i] = strings.ReplaceAll(url.QueryEscape(plain), "+", "%20")
	}
	return strings.Join(segments, "/"), nil
}
