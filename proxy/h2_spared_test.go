package proxy

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
)

// closings counts how often a body is closed.
type closings struct {
	io.Reader
	n int
}

func (c *closings) Close() error { c.n++; return nil }

// A connection may end in the moment in which a head is written: the transport closes
// the body before it knows that the head has gone out, and then waits for a body that
// the client, which waits for the answer, never sends.
//
// seen red: h2_exchange.go WroteHeaders without Close (one call in 1500 hung, of an
// upstream that closes when it has the head).
func TestBodyClosedWhileHeadIsWrittenHTTP2(t *testing.T) {
	for _, test := range []struct {
		name  string
		steps string // w: the head is written; c: the transport closes the body
		want  int
	}{{"before", "c", 0}, {"behind", "wc", 1}, {"meanwhile", "cw", 1}} {
		t.Run(test.name, func(t *testing.T) {
			body := &closings{Reader: strings.NewReader("")}
			e := &h2{r: &http.Request{Body: body}}
			trace := httptrace.ContextClientTrace(e.withInformational(t.Context()))
			for _, step := range test.steps {
				if step == 'w' {
					trace.WroteHeaders()
				} else {
					requestBody{body, e}.Close()
				}
			}
			if body.n != test.want {
				t.Errorf("closed %d times, want %d", body.n, test.want)
			}
		})
	}
}
