package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"
)

// Requests sends small requests over keep-alive connections, one at a time on
// each, and returns how many were answered.
func (t Target) Requests(m Meter, conns int, d time.Duration) (float64, error) {
	return t.RequestsOver(m, conns, conns, d)
}

// RequestsOver is Requests with fewer requests in flight than connections: each
// of the workers goes round its share of the connections.
func (t Target) RequestsOver(m Meter, conns, workers int, d time.Duration) (float64, error) {
	open, err := t.OpenMany(conns, 30*time.Second)
	defer Close(open)
	if err != nil {
		return 0, err
	}
	if len(open) < conns {
		return 0, fmt.Errorf("only %d of %d connections in time", len(open), conns)
	}
	workers = min(workers, conns)
	var total atomic.Int64
	m.Start()
	end := time.Now().Add(d)
	err = parallel(workers, func(worker int) error {
		n := 0
		defer func() { total.Add(int64(n)) }()
		request := open[worker].request("/")
		for i := worker; time.Now().Before(end); i += workers {
			if i >= conns {
				i = worker
			}
			if err := open[i].exchange(request); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	m.Stop()
	return float64(total.Load()), err
}

// Connections opens connections, does one request on each and closes it. It
// returns how many it did. The host of each is what host returns; "" is the end.
func (t Target) Connections(m Meter, workers int, d time.Duration, host func() string) (float64, error) {
	var total atomic.Int64
	m.Start()
	end := time.Now().Add(d)
	err := parallel(workers, func(int) error {
		for time.Now().Before(end) {
			t := t
			if t.Host = host(); t.Host == "" {
				return nil
			}
			c, err := t.Open()
			if err != nil {
				return err
			}
			err = c.Get("/")
			c.NetConn().Close()
			if err != nil {
				return err
			}
			total.Add(1)
		}
		return nil
	})
	m.Stop()
	return float64(total.Load()), err
}

// Download reads the body at path again and again over each connection and
// returns how many bytes came.
func (t Target) Download(m Meter, path string, conns int, d time.Duration) (float64, error) {
	open, err := t.OpenMany(conns, patience)
	defer Close(open)
	if err != nil {
		return 0, err
	}
	var total atomic.Int64
	m.Start()
	end := time.Now().Add(d)
	err = parallel(len(open), func(worker int) error {
		n, err := open[worker].download(path, end)
		total.Add(n)
		return err
	})
	m.Stop()
	return float64(total.Load()), err
}

func (c *Conn) download(path string, end time.Time) (total int64, err error) {
	buf := make([]byte, 64<<10)
	c.SetDeadline(end.Add(patience))
	for time.Now().Before(end) {
		if _, err := c.Write(c.request(path)); err != nil {
			return total, err
		}
		status, length, err := c.head()
		if err != nil || status != 200 || length < 0 {
			return total, fmt.Errorf("download: status %d, length %d: %w", status, length, err)
		}
		for length > 0 && time.Now().Before(end) {
			n, err := c.r.Read(buf[:min(len(buf), length)])
			if err != nil {
				return total, err
			}
			total += int64(n)
			length -= n
		}
	}
	return total, nil
}

// Upload sends bodies of 16 MiB over each connection and returns how many bytes
// went.
func (t Target) Upload(m Meter, conns int, d time.Duration) (float64, error) {
	const size = 16 << 20
	open, err := t.OpenMany(conns, patience)
	defer Close(open)
	if err != nil {
		return 0, err
	}
	piece := make([]byte, 64<<10)
	var total atomic.Int64
	m.Start()
	end := time.Now().Add(d)
	err = parallel(len(open), func(worker int) error {
		c := open[worker]
		c.SetDeadline(end.Add(patience))
		for time.Now().Before(end) {
			head := "POST /upload HTTP/1.1\r\nHost: " + c.host + "\r\nContent-Type: application/octet-stream\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n"
			if _, err := io.WriteString(c, head); err != nil {
				return err
			}
			for sent := 0; sent < size; sent += len(piece) {
				if _, err := c.Write(piece); err != nil {
					return err
				}
				total.Add(int64(len(piece)))
			}
			status, length, err := c.head()
			if err != nil || status != 200 {
				return fmt.Errorf("upload: status %d: %w", status, err)
			}
			c.r.Discard(max(length, 0))
		}
		return nil
	})
	m.Stop()
	return float64(total.Load()), err
}

// Latencies does requests one after the other on one connection.
func (t Target) Latencies(d time.Duration) ([]time.Duration, error) {
	c, err := t.Open()
	if err != nil {
		return nil, err
	}
	defer c.NetConn().Close()
	request := c.request("/")
	for range 20 { // warm
		if err := c.exchange(request); err != nil {
			return nil, err
		}
	}
	var all []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); {
		begin := time.Now()
		if err := c.exchange(request); err != nil {
			return nil, err
		}
		all = append(all, time.Since(begin))
	}
	return all, nil
}

// Events reads an event stream whose events say when they were written, as what
// clock returns, and returns how long each took to arrive.
func (t Target) Events(d time.Duration, clock func() time.Duration) ([]time.Duration, error) {
	c, err := t.Open()
	if err != nil {
		return nil, err
	}
	defer c.NetConn().Close()
	c.SetDeadline(time.Now().Add(d + patience))
	if _, err := c.Write(c.request("/events")); err != nil {
		return nil, err
	}
	if status, _, err := c.head(); err != nil || status != 200 {
		return nil, fmt.Errorf("events: status %d: %w", status, err)
	}
	var all []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return all, err
		}
		sent, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: "))
		if !ok {
			continue // the frame of a chunk, or an empty line
		}
		ns, err := strconv.ParseInt(string(sent), 10, 64)
		if err != nil {
			return nil, errors.New("events: garbled")
		}
		all = append(all, clock()-time.Duration(ns))
	}
	return all, nil
}
