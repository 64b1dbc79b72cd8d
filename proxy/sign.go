package proxy

import (
	"net/http"
	"strings"
	"time"

	"keybearer/proxy/sigv4"
	"keybearer/rules"
)

// signer is what a rule signs requests for AWS with.
type signer struct {
	rule *rules.Signing
	keys sigv4.Keys
}

// newSigner expands the keys of a rule.
func newSigner(rule *rules.Signing, expand func(rules.Injection) (value string)) *signer {
	s := &signer{rule: rule}
	s.keys.AccessKeyID, s.keys.SecretAccessKey = expand(rule.AccessKeyID), expand(rule.SecretAccessKey)
	if rule.SessionToken != nil {
		s.keys.SessionToken = expand(*rule.SessionToken)
	}
	return s
}

// signature is the one that an exchange is to have.
type signature struct {
	claim  *sigv4.Claim
	chunks *sigv4.Chunks // sign the body, if it has signatures too
	held   *holding      // of the exchange
}

// foreign reports whether the URL is presigned with other keys than those that the
// client has been given, or in another way than AWS's: somebody has handed it out, and
// it is a credential by itself.
func (s *signer) foreign(h requestHead) bool {
	if !isPresigned(h.target()) || h.has(isAuthorization) {
		return false
	}
	c, err := sigv4.Read(sigv4.Request{Target: h.target(), Fields: h.fields})
	return err == nil && (c == nil || c.AccessKeyID != s.rule.Placeholder)
}

func isAuthorization(name string) bool { return strings.EqualFold(name, "Authorization") }

// claim reads the client's signature and takes it out: from here on the request has
// none, or the one that sign puts in.
func (x *exchange) claim(s *signer, h requestHead) error {
	r := x.signable(h)
	c, err := sigv4.Read(r)
	if err == nil && c == nil {
		if s.rule.Region == "" || s.rule.Service == "" {
			return failSignature.because("the request is not signed for AWS (Signature Version 4), so its region and service are not known")
		}
		c, err = sigv4.Unsigned(r, s.rule.Region, s.rule.Service)
	}
	if err != nil {
		return cannotSign(err)
	}
	c.For(s.rule.Region, s.rule.Service)
	h.remove(sigv4.Signs)
	x.signature = &signature{claim: c}
	return nil
}

// signable is the request as it is about to be sent.
func (x *exchange) signable(h requestHead) sigv4.Request {
	return sigv4.Request{Method: x.Method, Host: x.authority(), Target: h.target(), Fields: h.fields}
}

// sign signs the request, which has no signature, as the last thing before it is sent.
func (x *exchange) sign(h requestHead) error {
	signed, err := sigv4.Sign(x.signable(h), x.signature.claim, x.action.signer.keys, time.Now())
	if err != nil {
		return cannotSign(err)
	}
	for _, f := range signed.Fields {
		h.add(f.Name, f.Value)
	}
	h.setTarget(signed.Target)
	if x.signature.claim.Chunked() {
		x.signature.chunks = signed.Chunks(signedSize)
	}
	return nil
}

// unhashed reports whether the body must be known before the request can be signed.
func (s *signature) unhashed() bool { return s.claim.Payload == "" }

// hashed notes the body, of which this may be a part.
func (s *signature) hashed(body []byte, whole bool) error {
	if !whole || len(body) > signedSize {
		return failSignature.because("the request cannot be signed for AWS: its body has more than %d MiB, and its hash was not sent", signedSize>>20)
	}
	s.claim.Payload = sigv4.Hash(body)
	return nil
}

// rechunk appends to dst what is ready of the body, after another piece of it. Without
// signatures in the body that is the piece.
func (s *signature) rechunk(dst, piece []byte) ([]byte, error) {
	if s == nil || s.chunks == nil {
		return append(dst, piece...), nil
	}
	dst, err := s.chunks.Write(dst, piece)
	if err != nil {
		return dst, cannotSign(err)
	}
	return dst, s.held.hold(s.chunks.Held() + cap(dst))
}

// end says whether the body may end where it has.
func (s *signature) end() error {
	if s == nil || s.chunks == nil {
		return nil
	}
	if err := s.chunks.Close(); err != nil {
		return cannotSign(err)
	}
	return nil
}

func cannotSign(err error) error {
	return failSignature.because("the request cannot be signed for AWS: %s", err)
}

// refuses reports whether an upstream says by the status that the credentials are not
// valid. AWS does not tell that from missing permissions.
func (a *action) refuses(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden && a.signer != nil
}
