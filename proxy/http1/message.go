package http1

import (
	"bytes"
	"strconv"
	"strings"
)

// Request is the head of a request.
type Request struct {
	Method string // a token, case as sent
	Target string // the request target, every byte as sent
	Minor  int    // 0 or 1, of HTTP/1.x
	Header Header
}

// Response is the head of a response.
type Response struct {
	Minor  int // 0 or 1, of HTTP/1.x
	Status int // 100 to 999
	Reason string
	Header Header
}

// RequestLength returns the length in bytes of the request head that b begins
// with, its empty line included, or 0 if more bytes are needed. It finds an
// error as early as the bytes allow, so that a client that does not speak HTTP
// is not waited for: a first byte no method begins with, a first line that is no
// request line, a bare line feed. Bytes before scanned were seen by an earlier
// call; 0 is always right.
func RequestLength(b []byte, scanned int) (int, error) {
	if len(b) > 0 && !isToken[b[0]] {
		return 0, errRequestLine
	}
	n, err := headLength(b, scanned)
	if n > 0 || err != nil {
		return n, err
	}
	// A first line that ended before scanned was looked at then.
	if lf := bytes.IndexByte(b, '\n'); lf >= scanned {
		err = new(Request).parseLine(string(b[:lf-1]))
	}
	return 0, err
}

// ResponseLength returns the length in bytes of the response head that b begins
// with, or 0 if more bytes are needed. See [RequestLength].
func ResponseLength(b []byte, scanned int) (int, error) {
	if !bytes.HasPrefix(b, version) && !bytes.HasPrefix(version, b) {
		return 0, errStatusLine
	}
	return headLength(b, scanned)
}

var (
	crlf    = []byte("\r\n")
	version = []byte("HTTP/1.")
)

func headLength(b []byte, scanned int) (int, error) {
	// Every line feed looks back at its line end, so none is looked at twice.
	for i := scanned; ; {
		lf := bytes.IndexByte(b[i:], '\n')
		if lf < 0 {
			return 0, nil
		}
		i += lf
		if i == 0 || b[i-1] != '\r' {
			return 0, errBareLF
		}
		if i >= 3 && b[i-2] == '\n' {
			return i + 1, nil
		}
		i++
	}
}

// Parse reads a head that [RequestLength] has measured.
func (r *Request) Parse(head string) error {
	line, fields, _ := strings.Cut(head, "\r\n")
	if err := r.parseLine(line); err != nil {
		return err
	}
	return r.Header.parse(fields)
}

func (r *Request) parseLine(line string) error {
	method, rest, ok := strings.Cut(line, " ")
	if !ok || method == "" {
		return errRequestLine
	}
	for i := 0; i < len(method); i++ {
		if !isToken[method[i]] {
			return errRequestLine
		}
	}
	target, proto, ok := strings.Cut(rest, " ")
	if !ok || target == "" {
		return errRequestLine
	}
	for i := 0; i < len(target); i++ {
		// A fragment never belongs in a request target (RFC 9112 section 3.2),
		// and recipients do not agree on what to do with one.
		if c := target[i]; c <= ' ' || c == 0x7f || c == '#' {
			return errRequestLine
		}
	}
	minor, ok := parseVersion(proto)
	if !ok {
		return errRequestLine
	}
	r.Method, r.Target, r.Minor = method, target, minor
	return nil
}

func parseVersion(s string) (minor int, ok bool) {
	switch s {
	case "HTTP/1.1":
		return 1, true
	case "HTTP/1.0":
		return 0, true
	}
	return 0, false
}

// Append appends the head, its empty line included.
func (r *Request) Append(dst []byte) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Target...)
	dst = append(dst, " HTTP/1."...)
	dst = append(dst, byte('0'+r.Minor), '\r', '\n')
	dst = r.Header.Append(dst)
	return append(dst, "\r\n"...)
}

// Parse reads a head that [ResponseLength] has measured.
func (r *Response) Parse(head string) error {
	line, fields, _ := strings.Cut(head, "\r\n")
	if err := r.parseLine(line); err != nil {
		return err
	}
	return r.Header.parse(fields)
}

func (r *Response) parseLine(line string) error {
	proto, rest, ok := strings.Cut(line, " ")
	minor, known := parseVersion(proto)
	if !ok || !known || len(rest) < 3 {
		return errStatusLine
	}
	// RFC 9112 section 4 wants a space behind the status even when there is no
	// reason; servers leave it out, and nobody reads that differently.
	status, reason := rest[:3], rest[3:]
	if reason != "" && reason[0] != ' ' {
		return errStatusLine
	}
	for i := range 3 {
		if status[i] < '0' || status[i] > '9' {
			return errStatusLine
		}
	}
	for i := 0; i < len(reason); i++ {
		if isControl[reason[i]] {
			return errStatusLine
		}
	}
	code := int(status[0]-'0')*100 + int(status[1]-'0')*10 + int(status[2]-'0')
	if code < 100 {
		return errStatusLine
	}
	r.Minor, r.Status, r.Reason = minor, code, strings.TrimPrefix(reason, " ")
	return nil
}

// Append appends the head, its empty line included.
func (r *Response) Append(dst []byte) []byte {
	dst = append(dst, "HTTP/1."...)
	dst = append(dst, byte('0'+r.Minor), ' ')
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, r.Reason...)
	dst = append(dst, "\r\n"...)
	dst = r.Header.Append(dst)
	return append(dst, "\r\n"...)
}
