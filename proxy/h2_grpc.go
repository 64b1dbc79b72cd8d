package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The status codes of gRPC that a failure may have.
const (
	grpcCancelled         = 1
	grpcUnknown           = 2
	grpcDeadlineExceeded  = 4
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcInternal          = 13
	grpcUnavailable       = 14
	grpcUnauthenticated   = 16
)

// isGRPC reports whether the request is a gRPC call, whose client looks for the outcome
// in the trailers: it takes a reset for INTERNAL, which is not tried again, and does not
// show the text of another answer. Another answer that has begun is cut off by a reset, as
// it would be for anyone.
func (e *h2) isGRPC() bool {
	return isGRPC(e.r.Header) && (!e.answered || isGRPC(e.w.Header()))
}

func isGRPC(h http.Header) bool {
	mediaType := h.Get("Content-Type")
	return mediaType == "application/grpc" || strings.HasPrefix(mediaType, "application/grpc+") || strings.HasPrefix(mediaType, "application/grpc;")
}

// renewGRPC is renew for a call whose outcome says what a 401 says elsewhere. It is for
// the next call: this one had messages, and its client may try again by itself.
func (e *h2) renewGRPC(resp *http.Response) {
	if e.action == nil || e.action.lease == nil || !e.isGRPC() {
		return
	}
	if isUnauthenticated(resp.Header) || isUnauthenticated(resp.Trailer) {
		e.renew(http.StatusUnauthorized, false, nil)
	}
}

func isUnauthenticated(h http.Header) bool {
	return h.Get("Grpc-Status") == strconv.Itoa(grpcUnauthenticated)
}

// endGRPC ends the call with a status: a head alone if none has been sent, or trailers.
func (e *h2) endGRPC(f *failure, err error) {
	h, prefix := e.w.Header(), ""
	if e.answered {
		prefix = http.TrailerPrefix
	}
	h.Set(prefix+"Grpc-Status", strconv.Itoa(e.grpcStatus(f, err)))
	h.Set(prefix+"Grpc-Message", grpcMessage(fmt.Sprintf("keybearer: %s. Next: %s.", f.reason, f.next)))
	h.Set(prefix+"Proxy-Status", f.proxyStatus())
	if !e.answered {
		h.Set("Content-Type", e.r.Header.Get("Content-Type"))
		h["Date"], h["Content-Length"] = nil, nil
		e.w.WriteHeader(http.StatusOK)
	}
}

// grpcStatus is what a client would make of the failure without a proxy ("HTTP2
// Transport Mapping" in gRPC over HTTP/2). A server resets a call whose time is up,
// often before the client has noticed.
func (e *h2) grpcStatus(f *failure, err error) int {
	if e.timeIsUp() {
		return grpcDeadlineExceeded
	}
	var reset streamReset
	if errors.As(err, &reset) {
		switch reset.Code {
		case 0x7: // REFUSED_STREAM, RFC 9113 section 7
			return grpcUnavailable
		case 0x8: // CANCEL
			return grpcCancelled
		case 0xb: // ENHANCE_YOUR_CALM
			return grpcResourceExhausted
		case 0xc: // INADEQUATE_SECURITY
			return grpcPermissionDenied
		}
		return grpcInternal
	}
	switch f.status {
	case 400, 405, 421, 431:
		return grpcInternal
	case 407:
		return grpcUnauthenticated
	case 403:
		return grpcPermissionDenied
	case 408, 502, 503, 504:
		return grpcUnavailable
	}
	return grpcUnknown
}

// streamReset is net/http's error for a stream that the peer has reset: its As fills
// any struct of these fields.
type streamReset struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamReset) Error() string { return "the stream was reset" }

// timeIsUp reports whether the call's Grpc-Timeout has passed.
func (e *h2) timeIsUp() bool {
	text := e.r.Header.Get("Grpc-Timeout")
	if len(text) < 2 {
		return false
	}
	unit := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second,
		'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 27) // eight digits
	return err == nil && unit > 0 && time.Since(e.Start) >= time.Duration(n)*unit
}

// grpcMessage is text as Grpc-Message carries it.
func grpcMessage(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
