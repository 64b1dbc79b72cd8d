package load

import (
	"bufio"
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Streams sends small requests over HTTP/2 connections with so many streams in
// flight on each, and returns how many were answered with a body of size bytes.
func (t Target) Streams(m Meter, conns, streams, size int, d time.Duration) (float64, error) {
	open := make([]*h2Conn, conns)
	defer func() {
		for _, c := range open {
			if c != nil {
				c.close()
			}
		}
	}()
	err := parallel(conns, func(i int) (err error) {
		open[i], err = t.openH2()
		if err != nil {
			return err
		}
		_, err = open[i].run(1, size, time.Now()) // one request: the connection stands
		return err
	})
	if err != nil {
		return 0, err
	}
	var total atomic.Int64
	m.Start()
	end := time.Now().Add(d)
	err = parallel(conns, func(i int) error {
		n, err := open[i].run(streams, size, end)
		total.Add(int64(n))
		return err
	})
	m.Stop()
	return float64(total.Load()), err
}

// h2Conn is an HTTP/2 connection that one goroutine both reads and writes.
type h2Conn struct {
	close   func() error
	w       *bufio.Writer
	r       *bufio.Reader
	framer  *http2.Framer
	request []byte // the header block, which refers to no dynamic table
	next    uint32 // stream
	body    map[uint32]int
}

func (t Target) openH2() (*h2Conn, error) {
	conn, err := t.Dial("h2")
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
		conn.Close()
		return nil, fmt.Errorf("the peer selected %q", got)
	}
	c := &h2Conn{close: conn.NetConn().Close, w: bufio.NewWriterSize(conn, 16<<10), r: bufio.NewReaderSize(conn, 32<<10), next: 1, body: make(map[uint32]int)}
	c.framer = http2.NewFramer(c.w, c.r)
	c.framer.SetReuseFrames()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	enc.SetMaxDynamicTableSize(0)
	block.Reset()
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", t.Host}, {":path", "/"},
		{"user-agent", "bench/1"}, {"accept", "*/*"}, {"accept-encoding", "gzip"}, {"x-request", "0123456789abcdef"}} {
		enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true})
	}
	c.request = bytes.Clone(block.Bytes())
	c.w.WriteString(http2.ClientPreface)
	c.framer.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 4096}, http2.Setting{ID: http2.SettingEnablePush, Val: 0})
	c.framer.WriteWindowUpdate(0, 1<<30)
	return c, c.w.Flush()
}

// run keeps streams in flight until the time is over, then waits for the last.
func (c *h2Conn) run(streams, size int, end time.Time) (answered int, err error) {
	flying := 0
	for range streams {
		c.send()
		flying++
	}
	for flying > 0 {
		if c.r.Buffered() == 0 {
			if err := c.w.Flush(); err != nil {
				return answered, err
			}
		}
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return answered, err
		}
		ended, err := c.handle(frame)
		if err != nil {
			return answered, err
		}
		if !ended {
			continue
		}
		id := frame.Header().StreamID
		if c.body[id] != size { // the upstream answers otherwise if the header is missing
			return answered, fmt.Errorf("a body of %d bytes instead of %d", c.body[id], size)
		}
		delete(c.body, id)
		answered++
		flying--
		if answered%1024 == 0 {
			c.framer.WriteWindowUpdate(0, uint32(1024*size))
		}
		if time.Now().Before(end) {
			c.send()
			flying++
		}
	}
	return answered, c.w.Flush()
}

// handle reports whether the frame ends its stream.
func (c *h2Conn) handle(frame http2.Frame) (ended bool, err error) {
	switch f := frame.(type) {
	case *http2.HeadersFrame:
		return f.StreamEnded(), nil
	case *http2.DataFrame:
		c.body[f.StreamID] += len(f.Data())
		return f.StreamEnded(), nil
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return false, c.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return false, c.framer.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		return false, fmt.Errorf("stream reset: %v", f.ErrCode)
	case *http2.GoAwayFrame:
		return false, fmt.Errorf("go away: %v", f.ErrCode)
	}
	return false, nil
}

func (c *h2Conn) send() {
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: c.request, EndStream: true, EndHeaders: true})
	c.next += 2
}
