package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"keybearer/rules"
)

// The attack tests play a hostile client against the promises of DESIGN 7. Each
// looks at two things: at what the upstreams understood, and at every byte that
// the client received, in which the canary must not be found in any spelling.
// "seen red" in a comment names the line that was broken once to see the test
// fail. docs/threat-model.md lists them all.

// arrival is one request as an upstream understood it.
type arrival struct {
	method, path, host string
	header             http.Header
	body               string
	whole              bool // it came to its end
}

// origin is an upstream that keeps the requests it understands, and answers 200.
type origin struct {
	*capture
	busy atomic.Int32 // connections
	mu   sync.Mutex
	got  []*arrival
}

func serveOrigin(t *testing.T, host string, http2 bool) *origin {
	t.Helper()
	o := new(origin)
	if http2 {
		o.capture = serveFrames(t, host, o.serveHTTP2)
	} else {
		o.capture = serveRaw(t, host, []string{protoHTTP1}, o.serveHTTP1)
	}
	return o
}

// servePlain is serveOrigin without TLS.
func servePlain(t *testing.T) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := new(origin)
	o.capture = serveListener(t, l, o.serveHTTP1)
	return o
}

func (o *origin) add(a *arrival) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.got = append(o.got, a)
}

func (o *origin) serveHTTP1(conn net.Conn) {
	o.busy.Add(1)
	defer o.busy.Add(-1)
	r := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		a := &arrival{method: req.Method, path: req.RequestURI, host: req.Host, header: req.Header}
		o.add(a)
		body, err := io.ReadAll(req.Body)
		a.body, a.whole = string(body), err == nil
		maps.Copy(a.header, req.Trailer) // a recipient may merge them (RFC 9110 section 6.5.1)
		if !a.whole {
			return
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"+map[bool]string{true: "", false: "ok"}[req.Method == "HEAD"])
	}
}

func (o *origin) serveHTTP2(c *frames) {
	o.busy.Add(1)
	defer o.busy.Add(-1)
	streams := make(map[uint32]*arrival)
	for {
		frame, err := c.read()
		if err != nil {
			return
		}
		id := frame.Header().StreamID
		a := streams[id]
		if a == nil {
			a = &arrival{header: make(http.Header)}
			streams[id] = a
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if a.method == "" {
				o.add(a)
			}
			a.take(frame)
			a.whole = frame.StreamEnded()
		case *http2.DataFrame:
			a.body += string(frame.Data())
			a.whole = frame.StreamEnded()
		}
		if a.whole {
			c.headers(id, false, pair{":status", "200"})
			c.data(id, true, "ok")
		}
	}
}

func (a *arrival) take(frame *http2.MetaHeadersFrame) {
	for _, f := range frame.Fields {
		switch f.Name {
		case ":method":
			a.method = f.Value
		case ":path":
			a.path = f.Value
		case ":authority":
			a.host = f.Value
		default:
			a.header.Add(f.Name, f.Value)
		}
	}
}

// settled closes the proxy and returns what the upstream understood once its last
// connection has ended: from then on nothing more can arrive.
func (o *origin) settled(f *fixture) []*arrival {
	f.t.Helper()
	f.end()
	f.await(func() bool { return o.busy.Load() == 0 })
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.got)
}

// nothing checks that no request arrived.
func (o *origin) nothing(f *fixture) {
	f.t.Helper()
	for _, a := range o.settled(f) {
		f.t.Errorf("the upstream received %+v", a)
	}
	if strings.Contains(o.String(), canary) {
		f.t.Error("the upstream received the secret")
	}
}

// besiege is a proxy whose one rule injects the canary at api.test, which is an
// origin. Whatever its clients receive is searched for the canary.
func besiege(t *testing.T, http2 bool, c rules.Config) (*fixture, *origin) {
	t.Helper()
	o := serveOrigin(t, "api.test", http2)
	f := start(t, c, map[string]string{"api.test:443": o.addr})
	f.watch(canary)
	return f, o
}

// hear reads all that the client is sent until the connection ends.
func (f *fixture) hear(conn net.Conn) string {
	b, _ := io.ReadAll(conn)
	f.heard(string(b))
	return string(b)
}

func (f *fixture) heard(s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.received.WriteString(s)
}

// attack sends raw bytes in a new intercepted connection to the target and returns
// all that came back. The bytes must make the proxy end the connection.
func (f *fixture) attack(target, raw string) string {
	f.t.Helper()
	conn := f.open(target, protoHTTP1)
	defer conn.Close()
	go io.WriteString(conn, raw) // the proxy may stop reading at any point
	return f.hear(conn)
}

// statuses are the statuses of the responses in s, one after the other.
func statuses(s string) (all []int) {
	r := bufio.NewReader(strings.NewReader(s))
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return all
		}
		all = append(all, resp.StatusCode)
		io.Copy(io.Discard, resp.Body)
	}
}

// outcome reads a stream to its end and keeps what came. The status is 0 if
// stream or connection were broken off.
func (f *fixture) outcome(c *frames, stream uint32) (status int, text string) {
	a := new(answer)
	for a.ended == "" {
		frame, err := c.read()
		if err != nil {
			return 0, "closed"
		}
		if goAway, ok := frame.(*http2.GoAwayFrame); ok && goAway.ErrCode != http2.ErrCodeNo {
			f.heard(string(goAway.DebugData()))
			return 0, "goaway " + goAway.ErrCode.String()
		}
		if frame.Header().StreamID == stream {
			a.take(frame)
		}
	}
	text = fmt.Sprintf("%v %s %v", a.heads, a.body, a.trailer)
	f.heard(text)
	if a.ended == "reset" || len(a.heads) == 0 {
		return 0, "reset " + a.resetFor.String()
	}
	return a.status(), text
}

// askRaw sends one request as HEADERS, then data if there is any, on a new
// stream, and returns how it went.
func (f *fixture) askRaw(c *frames, data string, fields ...pair) (status int, text string) {
	stream := c.next
	c.next += 2
	c.headers(stream, data == "", fields...)
	if data != "" {
		c.data(stream, true, data)
	}
	return f.outcome(c, stream)
}

// request is a request head without the empty line, for HTTP/1.1.
func rawRequest(method, path, host string, lines ...string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, host)
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	return b.String() + "\r\n"
}

// last is a request after which the proxy ends the connection, if it still reads.
var last = rawRequest("GET", "/last", "api.test", "Connection: close")

// checkKeyed checks that a request carries the canary, exactly once.
func (a *arrival) checkKeyed(t *testing.T) {
	t.Helper()
	found := 0
	for name, values := range a.header {
		if sameField(name, "Authorization") {
			found += len(values)
			if !slices.Equal(values, []string{"Bearer " + canary}) {
				t.Errorf("%s %s arrived with %s %q", a.method, a.path, name, values)
			}
		}
	}
	if found != 1 {
		t.Errorf("%s %s arrived with %d credentials, want 1: %v", a.method, a.path, found, a.header)
	}
}

// checkBare checks that a request carries no secret.
func (a *arrival) checkBare(t *testing.T) {
	t.Helper()
	if how := spelled(canary, fmt.Sprint(a)); how != "" {
		t.Errorf("%s %s arrived with the secret %s: %v", a.method, a.path, how, a.header)
	}
}
