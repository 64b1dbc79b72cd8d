package http1

import "strconv"

// Kind says how the end of a body is found.
type Kind uint8

const (
	NoBody     Kind = iota // there is none
	Length                 // Content-Length
	Chunked                // Transfer-Encoding: chunked
	UntilClose             // responses only: the end of the connection
)

// Framing is how a body is delimited.
type Framing struct {
	Kind   Kind
	Length int64 // bytes, for Length
}

// Framing returns how the request's body is delimited, or an error if two
// recipients could disagree on it (RFC 9112 section 6.3).
func (r *Request) Framing() (Framing, error) {
	f, err := framing(r.Header, r.Minor)
	if f.Kind == UntilClose {
		f.Kind = NoBody // a request ends with its head when nothing says otherwise
	}
	return f, err
}

// Framing returns how the body of a response to a request with that method is
// delimited.
func (r *Response) Framing(method string) (Framing, error) {
	f, err := framing(r.Header, r.Minor)
	if r.Bodiless(method) {
		f = Framing{}
	}
	return f, err
}

// Bodiless reports whether the response ends with its head whatever its fields
// say: it answers HEAD, it opens a tunnel, or its status has no content (RFC 9112
// section 6.3).
func (r *Response) Bodiless(method string) bool {
	return method == "HEAD" || method == "CONNECT" && r.Status/100 == 2 ||
		r.Status < 200 || r.Status == 204 || r.Status == 304
}

func framing(h Header, minor int) (Framing, error) {
	var length, coding string
	lengths, codings := 0, 0
	for i := range h {
		switch {
		case equalFold(h[i].Name, "Content-Length"):
			length = h[i].Value
			lengths++
		case equalFold(h[i].Name, "Transfer-Encoding"):
			coding = h[i].Value
			codings++
		}
	}
	switch {
	case codings > 0 && lengths > 0:
		return Framing{}, errBothFramings
	case codings > 0 && minor == 0:
		return Framing{}, errOldCoding
	case codings > 1 || codings == 1 && !equalFold(coding, "chunked"):
		return Framing{}, errCoding
	case codings == 1:
		return Framing{Kind: Chunked}, nil
	case lengths == 0:
		return Framing{Kind: UntilClose}, nil
	}
	n, ok := parseLength(length)
	if lengths > 1 || !ok {
		return Framing{}, errLength
	}
	return Framing{Kind: Length, Length: n}, nil
}

// parseLength accepts digits alone: strconv would also take a sign.
func parseLength(s string) (int64, bool) {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
