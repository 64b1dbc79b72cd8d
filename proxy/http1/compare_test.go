package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"testing"
)

// compareRequest checks that a request means the same to net/http, if that
// accepts it too.
func compareRequest(t *testing.T, m message, wire []byte) {
	t.Helper()
	in := bytes.NewReader(wire)
	br := bufio.NewReader(in)
	r, err := http.ReadRequest(br)
	if err != nil {
		return
	}
	if r.Method != m.request.Method || r.RequestURI != m.request.Target || r.ProtoMajor != 1 || r.ProtoMinor != m.request.Minor {
		t.Fatalf("%q: net/http reads %s %q %s; we read %+v", wire, r.Method, r.RequestURI, r.Proto, m.request)
	}
	if host, _ := m.request.Header.Get("Host"); r.URL.Host == "" && r.Host != host {
		t.Fatalf("%q: net/http reads host %q, we %q", wire, r.Host, host)
	}
	compareHeader(t, wire, r.Header, m.request.Header)
	compareFraming(t, wire, m.framing, r.ContentLength, r.TransferEncoding)
	content, err := io.ReadAll(r.Body)
	compareBody(t, wire, m, string(content), err, len(wire)-in.Len()-br.Buffered(), r.Trailer)
}

// compareResponse checks that a response means the same to net/http, if that
// accepts it too.
func compareResponse(t *testing.T, m message, wire []byte, method string) {
	t.Helper()
	in := bytes.NewReader(wire)
	br := bufio.NewReader(in)
	r, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		return
	}
	if r.StatusCode != m.response.Status || r.ProtoMajor != 1 || r.ProtoMinor != m.response.Minor {
		t.Fatalf("%q: net/http reads %s %d; we read %+v", wire, r.Proto, r.StatusCode, m.response)
	}
	compareHeader(t, wire, r.Header, m.response.Header)
	if !m.response.Bodiless(method) {
		compareFraming(t, wire, m.framing, r.ContentLength, r.TransferEncoding)
	}
	content, err := io.ReadAll(r.Body)
	compareBody(t, wire, m, string(content), err, len(wire)-in.Len()-br.Buffered(), r.Trailer)
}

// compareHeader compares the fields, but for those that net/http moves elsewhere
// or adds.
func compareHeader(t *testing.T, wire []byte, theirs http.Header, ours Header) {
	t.Helper()
	h := http.Header{}
	for _, f := range ours {
		h.Add(f.Name, f.Value)
	}
	if h.Get("Pragma") == "no-cache" && h["Cache-Control"] == nil {
		delete(theirs, "Cache-Control") // net/http's own
	}
	for _, moved := range []string{"Host", "Transfer-Encoding", "Trailer"} {
		delete(h, moved)
		delete(theirs, moved)
	}
	if !reflect.DeepEqual(h, theirs) {
		t.Fatalf("%q: net/http reads fields %q, we %q", wire, theirs, h)
	}
}

func compareFraming(t *testing.T, wire []byte, ours Framing, length int64, coding []string) {
	t.Helper()
	var theirs Framing
	switch {
	case slices.Equal(coding, []string{"chunked"}):
		theirs = Framing{Kind: Chunked}
	case length < 0:
		theirs = Framing{Kind: UntilClose}
	case length > 0 || ours.Kind == Length: // net/http does not tell an empty body from none
		theirs = Framing{Length, length}
	}
	if ours != theirs {
		t.Fatalf("%q: net/http reads framing %v, we %v", wire, theirs, ours)
	}
}

// compareBody compares the bodies if both codecs accept them. They must not
// differ on whether the end is there.
func compareBody(t *testing.T, wire []byte, m message, content string, err error, n int, trailer http.Header) {
	t.Helper()
	if m.body.err != nil {
		return
	}
	if m.body.whole && errors.Is(err, io.ErrUnexpectedEOF) || !m.body.whole && err == nil {
		t.Fatalf("%q: net/http ends with %v; we read %+v", wire, err, m.body)
	}
	if err != nil {
		return
	}
	if content != m.body.content || n != m.n+m.body.n {
		t.Fatalf("%q: net/http reads %q up to %d; we read %+v behind %d", wire, content, n, m.body, m.n)
	}
	h := http.Header{}
	for _, f := range m.body.trailer {
		h.Add(f.Name, f.Value)
	}
	for name, values := range trailer {
		if len(values) == 0 {
			delete(trailer, name) // announced, and never sent
		}
	}
	if len(h)+len(trailer) > 0 && !reflect.DeepEqual(h, trailer) {
		t.Fatalf("%q: net/http reads trailer %q, we %q", wire, trailer, h)
	}
}
