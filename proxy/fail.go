package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"

	"keybearer/proxy/http1"
)

// failure is a response of the proxy's own: why a request was refused or could
// not be served. Nothing in it comes from a secret, a response or an error
// string: what the client may read is written here.
type failure struct {
	status int
	kind   string // RFC 9209 section 2.3 error type
	reason string // what happened
	next   string // what to do about it
}

func (f *failure) Error() string { return f.reason }

// because is a row of the table with its own words for what happened.
func (f failure) because(format string, args ...any) *failure {
	f.reason = fmt.Sprintf(format, args...)
	return &f
}

// The table of DESIGN 8: one row per way to fail.
var (
	failMalformed = failure{400, "http_request_error", "the request is malformed",
		"check what the client sends; keybearer accepts only unambiguous HTTP/1.1"}
	failTarget = failure{400, "http_request_error", "the target is not valid",
		"name a host and a port between 1 and 65535, as in CONNECT api.example.com:443"}
	failNotProxy = failure{400, "http_request_error", "this is a forward proxy, not a web server",
		"set HTTPS_PROXY and HTTP_PROXY to this address instead of opening it; see keybearer env"}
	failNotTunnelled = failure{400, "http_request_error", "the client asks for an https:// URL without CONNECT",
		"use a client that opens a tunnel (axios does from 1.16.1 on), or one with an agent that does: what it sends now, anybody on the way can read"}
	failCredentials = failure{407, "http_request_denied", "this proxy wants credentials",
		"put the username and password of client_auth, or the name and token of one of clients, into the proxy's URL, http://USER:PASSWORD@HOST:PORT"}
	failAccount = failure{403, "http_request_denied", "the credentials with which the connection was opened are no longer valid",
		"open a connection with those that are valid now"}
	failUser = failure{403, "http_request_denied", "this proxy serves one user of this machine only",
		"start one of your own with keybearer run"}
	failDenied = failure{403, "http_request_denied", "the host may not be reached through this proxy",
		"name it in a rule, in no_proxy or in access_control; keybearer explain URL shows the decision"}
	failAmbiguous = failure{403, "http_request_denied", "ambiguous_path: some readings of the path match the rule and others do not",
		"send the path in its plain form, without encoded dots or slashes, //, backslashes or ;parameters"}
	failPlaceholder = failure{403, "http_request_denied", "the request holds the placeholder of a secret that does not go here",
		"send it only to the hosts and paths of the rule that has it; keybearer explain URL shows which rule matches"}
	failSignature = failure{403, "http_request_denied", "the request cannot be signed for AWS",
		"sign it with Signature Version 4 and the keys that keybearer run and env hand out, or set region and service in the rule's aws"}
	failProhibited = failure{403, "destination_ip_prohibited", "the host has a special-purpose address",
		"name the host in a rule or in no_proxy, or its address in allow_private; a cloud metadata address only in allow_private"}
	failLoop = failure{403, "proxy_loop_detected", "the target is this proxy itself",
		"call the real host"}
	failMisdirected = failure{421, "http_request_error", "the request names another host than the connection",
		"open a connection of its own for each host"}
	failMethod = failure{405, "http_request_denied", "the method is not allowed here",
		"CONNECT, TRACE, TRACK and PRI are not forwarded"}
	failHeadSize = failure{431, "http_request_error", "the request head is too large",
		"send fewer or shorter headers"}
	failHeadTime = failure{408, "http_request_error", "the request head did not arrive in time",
		"send the request at once"}
	failDNS = failure{502, "dns_error", "the host name does not resolve",
		"check the name, and that keybearer's machine can resolve it"}
	failRefused = failure{502, "connection_refused", "the upstream refused the connection",
		"check that the upstream is running and the port is right"}
	failUnroutable = failure{502, "destination_ip_unroutable", "there is no route to the upstream",
		"check the network of keybearer's machine"}
	failTimeout = failure{504, "connection_timeout", "connecting to the upstream took too long",
		"check firewalls between keybearer and the upstream"}
	failCertificate = failure{502, "tls_certificate_error", "the upstream's certificate is not valid for the host",
		"if a private authority signed it, name that authority's PEM file in upstream_ca; verification cannot be turned off"}
	failTLS = failure{502, "tls_protocol_error", "the TLS handshake with the upstream failed",
		"check that the upstream speaks TLS 1.2 or later on this port, and whether it wants a client certificate (client_certificate of the rule)"}
	failAlert = failure{502, "tls_alert_received", "the upstream ended TLS with an alert, instead of answering",
		"it may want a client certificate, or not accept the one that it was shown: see client_certificate of the rule, and keybearer explain URL"}
	failNotHTTP2 = failure{502, "tls_protocol_error", "the upstream no longer selects HTTP/2",
		"open a new connection: it will speak what the upstream speaks now"}
	failProtocol = failure{502, "http_protocol_error", "the upstream's response is malformed",
		"check the upstream; keybearer accepts only unambiguous HTTP"}
	failIncomplete = failure{502, "http_response_incomplete", "the upstream closed the connection before it answered",
		"try again; if it stays, check the upstream"}
	failResponseTime = failure{504, "http_response_timeout", "the upstream did not answer in time",
		"try again; if it stays, check the upstream"}
	failSecret = failure{502, "proxy_configuration_error", "a secret of the rule is not available",
		"see keybearer's log, and keybearer check; the request was not sent"}
	failCallback = failure{403, "http_request_denied", "the callback that decides about the request refuses it",
		"ask whoever runs that callback; the request was not sent"}
	failProxy = failure{502, "destination_unavailable", "cannot be used",
		"check upstream_proxy, and the network between keybearer and that proxy"}
	failProxyCredentials = failure{502, "proxy_configuration_error", "the upstream proxy wants other credentials",
		"check the username and the password in upstream_proxy"}
	failProxyRefused = failure{502, "destination_unavailable", "the upstream proxy opened no tunnel",
		"ask those who run that proxy whether it lets you reach the host; upstream_no_proxy names hosts that are reached without it"}
	failAuthority = failure{502, "proxy_configuration_error", "keybearer's authority signs no certificate for the host",
		"see keybearer ca: the authority may be constrained to other hosts, or have expired"}
	failConnections = failure{503, "connection_limit_reached", "too many connections are open",
		"close some, or try again later"}
	failInternal = failure{500, "proxy_internal_error", "keybearer made an error; the request was not sent",
		"please report it with the line of the log"}
)

// fail is the one door from an error to what the client is told. An error that is
// not a failure yet is one of dialling or of the TLS handshake with the upstream.
func fail(err error) *failure {
	var (
		f           *failure
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		record      tls.RecordHeaderError
		network     net.Error
		operation   *net.OpError
	)
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &dns):
		if dns.IsTimeout {
			return failDNS.because("resolving %s took too long", dns.Name)
		}
		return failDNS.because("the host name %s does not resolve", dns.Name)
	case errors.As(err, &certificate):
		return &failCertificate
	case errors.Is(err, syscall.ECONNREFUSED):
		return &failRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return &failUnroutable
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return &failTimeout
	case errors.As(err, &alert), errors.As(err, &record), errors.Is(err, errHandshake):
		return &failTLS
	case errors.Is(err, syscall.ECONNRESET):
		return &failRefused
	case errors.As(err, &operation):
		return &failUnroutable // no permission, no descriptor, no such address family
	}
	return &failInternal
}

// isAlert reports whether the other end of TLS has ended it for a reason. In TLS 1.3 that
// is how a server tells that it wants another client certificate, after the handshake:
// it is the answer to the first request.
func isAlert(err error) bool {
	var operation *net.OpError
	return errors.As(err, &operation) && operation.Op == "remote error"
}

// errHandshake marks errors of the TLS handshake that have no type of their own.
var errHandshake = errors.New("tls handshake")

// note puts the failure into a record.
func (f *failure) note(r *Record) {
	r.Status, r.Error, r.Reason = f.status, f.kind, f.reason
}

// proxyStatus is the value of the Proxy-Status field (RFC 9209). The details are
// an sf-string: printable ASCII, with \ before " and \.
func (f *failure) proxyStatus() string {
	var details strings.Builder
	for _, c := range []byte(f.reason) {
		switch {
		case c == '"' || c == '\\':
			details.WriteByte('\\')
			details.WriteByte(c)
		case c < ' ' || c > '~':
			details.WriteByte('?')
		default:
			details.WriteByte(c)
		}
	}
	return fmt.Sprintf(`keybearer; error=%s; details="%s"`, f.kind, details.String())
}

func (f *failure) text() string {
	return fmt.Sprintf("keybearer: %s.\nNext: %s.\n", f.reason, f.next)
}

// response is the failure as an HTTP/1.1 response that ends the connection.
func (f *failure) response(method string) []byte {
	body := f.text()
	r := http1.Response{Minor: 1, Status: f.status, Reason: http.StatusText(f.status), Header: http1.Header{
		{Name: "Proxy-Status", Value: f.proxyStatus()},
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Content-Length", Value: strconv.Itoa(len(body))},
		{Name: "Connection", Value: "close"},
	}}
	if f.status == http.StatusProxyAuthRequired {
		r.Header = append(r.Header, http1.Field{Name: "Proxy-Authenticate", Value: `Basic realm="keybearer"`})
	}
	out := r.Append(nil)
	if method == http.MethodHead {
		return out
	}
	return append(out, body...)
}

// serve is the failure as an HTTP/2 response.
func (f *failure) serve(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Proxy-Status", f.proxyStatus())
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if *f == failNotHTTP2 {
		// What the upstream speaks may have changed: the next connection of the
		// client asks anew. net/http makes a GOAWAY of it, and sends it before the
		// response, whereupon Python's httpx reads no further: so only here.
		h.Set("Connection", "close")
	}
	w.WriteHeader(f.status)
	io.WriteString(w, f.text())
}
