package sigv4

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// What is signed for several things, or read in several ways, is not signed.
//
// seen red: canonicalPath without PathUnescape; query without ParseQuery.
func TestAmbiguous(t *testing.T) {
	for _, target := range []string{"/%zz", "/a?%zz", "/a?b;c"} {
		r := Request{Method: "GET", Host: s3Host, Target: target, Fields: pairs(nil)}
		c, err := Unsigned(r, "us-east-1", "s3")
		if err == nil {
			_, err = Sign(r, c, Keys{AccessKeyID: s3ID, SecretAccessKey: s3Secret}, time.Now())
		}
		if e := Error(""); !errors.As(err, &e) {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// An access key ID may have slashes; spaces between the parts are the client's choice.
func TestSpelling(t *testing.T) {
	text := "AWS4-HMAC-SHA256 Signature=" + strings.Repeat("a", 64) + ",Credential=tenant/key/20260101/auto/s3/aws4_request,   SignedHeaders=host;x-amz-date"
	c, err := Read(Request{Target: "/", Fields: pairs([]string{"authorization", text})})
	if err != nil || c.AccessKeyID != "tenant/key" || c.Region != "auto" || c.Service != "s3" || len(c.Signed) != 2 || c.Payload != unsignedPayload {
		t.Errorf("%+v, %v", c, err)
	}
}
