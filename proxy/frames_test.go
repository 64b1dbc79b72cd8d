package proxy

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames is one end of an HTTP/2 connection on which a test sends what it likes.
// Frames may be sent by several goroutines, and are read by one.
type frames struct {
	t    *testing.T
	conn net.Conn
	next uint32 // client: the next stream

	mu sync.Mutex // guards sending
	fr *http2.Framer
	hb bytes.Buffer
	he *hpack.Encoder
}

func newFrames(t *testing.T, conn net.Conn) *frames {
	c := &frames{t: t, conn: conn, next: 1, fr: http2.NewFramer(conn, conn)}
	c.he = hpack.NewEncoder(&c.hb)
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.fr.AllowIllegalWrites = true
	return c
}

// openHTTP2 is open with HTTP/2 and nothing but the preface sent.
func (f *fixture) openHTTP2(target string) *frames {
	f.t.Helper()
	conn := f.open(target, protoHTTP2)
	if p := conn.ConnectionState().NegotiatedProtocol; p != protoHTTP2 {
		f.t.Fatalf("the proxy selected %q", p)
	}
	return f.prefaced(conn)
}

func (f *fixture) prefaced(conn net.Conn) *frames {
	c := newFrames(f.t, conn)
	io.WriteString(conn, http2.ClientPreface)
	c.fr.WriteSettings()
	c.fr.WriteWindowUpdate(0, 1<<30)
	return c
}

// pair is a field; names are sent as they are.
type pair [2]string

// get is the pseudo-header of a GET with more fields.
func get(path string, more ...pair) []pair {
	return append([]pair{{":method", "GET"}, {":scheme", "https"}, {":authority", "api.test"}, {":path", path}}, more...)
}

// headers sends a HEADERS frame on a stream.
func (c *frames) headers(stream uint32, end bool, fields ...pair) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hb.Reset()
	for _, f := range fields {
		c.he.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	for block, first := c.hb.Bytes(), true; first || len(block) > 0; first = false {
		part := block[:min(len(block), 16<<10)]
		block = block[len(part):]
		if first {
			c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: part, EndStream: end, EndHeaders: len(block) == 0})
		} else {
			c.fr.WriteContinuation(stream, len(block) == 0, part)
		}
	}
}

func (c *frames) data(stream uint32, end bool, data string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fr.WriteData(stream, end, []byte(data))
}

func (c *frames) reset(stream uint32, code http2.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fr.WriteRSTStream(stream, code)
}

// read returns the next frame that is about a stream, and keeps the connection
// going meanwhile.
func (c *frames) read() (http2.Frame, error) {
	for {
		frame, err := c.fr.ReadFrame()
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				c.fr.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				c.fr.WritePing(true, frame.Data)
			}
		case *http2.DataFrame:
			if n := frame.Length; n > 0 {
				c.fr.WriteWindowUpdate(0, n)
				if !frame.StreamEnded() {
					c.fr.WriteWindowUpdate(frame.StreamID, n)
				}
			}
		}
		c.mu.Unlock()
		switch frame.(type) {
		case *http2.MetaHeadersFrame, *http2.DataFrame, *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return frame, nil
		}
	}
}

// answer is what came back on one stream.
type answer struct {
	heads    []rawFields // 1xx and final, keys as sent, :status among them
	body     string
	trailer  rawFields
	ended    string // the frame that ended the stream: "headers", "data", "trailer", "reset"
	resetFor http2.ErrCode
}

// rawFields are fields with their names as sent, which http.Header would change.
type rawFields map[string][]string

func (a *answer) head() rawFields { return a.heads[len(a.heads)-1] }

func (a *answer) status() int {
	status, _ := strconv.Atoi(a.head()[":status"][0])
	return status
}

// answer reads one stream to its end.
func (c *frames) answer(stream uint32) *answer {
	c.t.Helper()
	a := new(answer)
	for a.ended == "" {
		frame, err := c.read()
		if err != nil {
			c.t.Fatalf("stream %d: %v", stream, err)
		}
		if goAway, ok := frame.(*http2.GoAwayFrame); ok && goAway.ErrCode != http2.ErrCodeNo {
			c.t.Fatalf("GOAWAY %v %q", goAway.ErrCode, goAway.DebugData())
		}
		if frame.Header().StreamID == stream {
			a.take(frame)
		}
	}
	return a
}

func (a *answer) take(frame http2.Frame) {
	switch frame := frame.(type) {
	case *http2.MetaHeadersFrame:
		h := make(rawFields)
		for _, f := range frame.Fields {
			h[f.Name] = append(h[f.Name], f.Value)
		}
		if _, ok := h[":status"]; ok {
			a.heads = append(a.heads, h)
			a.end(frame.StreamEnded(), "headers")
			return
		}
		a.trailer = h
		a.end(frame.StreamEnded(), "trailer")
	case *http2.DataFrame:
		a.body += string(frame.Data())
		a.end(frame.StreamEnded(), "data")
	case *http2.RSTStreamFrame:
		a.resetFor = frame.ErrCode
		a.end(true, "reset")
	}
}

func (a *answer) end(ended bool, how string) {
	if ended {
		a.ended = how
	}
}

// ask sends one request without a body and returns its answer.
func (c *frames) ask(fields ...pair) *answer {
	c.t.Helper()
	stream := c.next
	c.next += 2
	c.headers(stream, true, fields...)
	return c.answer(stream)
}

// serveFrames runs an HTTP/2 upstream for host that calls handle for each
// connection once the prefaces are exchanged.
func serveFrames(t *testing.T, host string, handle func(c *frames)) *capture {
	t.Helper()
	return serveRaw(t, host, []string{protoHTTP2}, func(conn net.Conn) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(conn, preface); err != nil {
			return
		}
		c := newFrames(t, conn)
		c.fr.WriteSettings()
		c.fr.WriteWindowUpdate(0, 1<<30)
		handle(c)
	})
}

// ask sends one request without a body over either protocol, on a connection of
// its own. The fields hold :method, :path and :authority; the latter is Host in
// HTTP/1.1.
func (f *fixture) ask(http2 bool, target string, fields ...pair) *http.Response {
	f.t.Helper()
	conn := f.open(target, protocolsOf(http2)...)
	defer conn.Close()
	return f.askOn(conn, fields)
}

// askOn is ask, as the first request on a connection.
func (f *fixture) askOn(conn *tls.Conn, fields []pair) *http.Response {
	f.t.Helper()
	if conn.ConnectionState().NegotiatedProtocol == protoHTTP2 {
		return f.askHTTP2(conn, fields)
	}
	var b strings.Builder
	pseudo := make(map[string]string)
	for _, p := range fields {
		switch {
		case p[0] == ":authority":
			b.WriteString("Host: " + p[1] + "\r\n")
		case strings.HasPrefix(p[0], ":"):
			pseudo[p[0]] = p[1]
		default:
			b.WriteString(p[0] + ": " + p[1] + "\r\n")
		}
	}
	raw := pseudo[":method"] + " " + pseudo[":path"] + " HTTP/1.1\r\n" + b.String() + "\r\n"
	return f.do(conn, pseudo[":method"], raw)
}

func (f *fixture) askHTTP2(conn *tls.Conn, fields []pair) *http.Response {
	f.t.Helper()
	a := f.prefaced(conn).ask(fields...)
	if len(a.heads) == 0 {
		f.t.Fatalf("no response: ended by %s %v", a.ended, a.resetFor)
	}
	resp := &http.Response{StatusCode: a.status(), Header: make(http.Header)}
	for name, values := range a.head() {
		for _, v := range values {
			resp.Header.Add(name, v)
		}
	}
	f.keep(resp, []byte(a.body))
	resp.Body = io.NopCloser(strings.NewReader(a.body))
	return resp
}

// overBoth runs a test over HTTP/1.1 and HTTP/2.
func overBoth(t *testing.T, test func(t *testing.T, http2 bool)) {
	t.Run("h1", func(t *testing.T) { test(t, false) })
	t.Run("h2", func(t *testing.T) { test(t, true) })
}

// protocolsOf is what an upstream selects from when a test is about one protocol.
func protocolsOf(http2 bool) []string {
	if http2 {
		return []string{protoHTTP2}
	}
	return []string{protoHTTP1}
}

// writeOnly is a connection that keeps what is written and has nothing to read.
type writeOnly struct {
	net.Conn
	w io.Writer
}

func (c *writeOnly) Write(b []byte) (int, error) { return c.w.Write(b) }
func (c *writeOnly) Read([]byte) (int, error)    { return 0, io.EOF }

func tlsClientFor(conn net.Conn, name string) *tls.Conn {
	return tls.Client(conn, &tls.Config{ServerName: name})
}
