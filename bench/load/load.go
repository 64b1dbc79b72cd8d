// Package load drives a proxy and counts what it did: raw HTTP/1.1 and HTTP/2 on
// TLS connections of its own, without net/http, so that the generator leaves the
// processor to what is measured.
//
// Every function sets its connections up, starts the meter, does one kind of work
// until the time is over, and stops the meter.
package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Target is a server to load and the way to it.
type Target struct {
	Addr    string // TCP address to connect to: a forward proxy, a reverse proxy or the server itself
	Forward bool   // Addr is a forward proxy: say CONNECT first
	Host    string // host:port of the server
	Roots   *x509.CertPool
	Classic bool // offer X25519 and P-256 only, as clients without post-quantum key exchange do
}

// Meter measures from Start to Stop.
type Meter interface {
	Start()
	Stop()
}

// patience bounds what a peer may take for one step.
const patience = 15 * time.Second

// Dial opens a connection through the proxy, TLS included. The protocol is the
// only one offered.
func (t Target) Dial(protocol string) (*tls.Conn, error) {
	raw, err := net.DialTimeout("tcp", t.Addr, patience)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(time.Now().Add(patience))
	if t.Forward {
		if err := connect(raw, t.Host); err != nil {
			raw.Close()
			return nil, err
		}
	}
	host, _, _ := strings.Cut(t.Host, ":")
	config := &tls.Config{ServerName: host, RootCAs: t.Roots, NextProtos: []string{protocol}}
	if t.Classic {
		config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	}
	conn := tls.Client(raw, config)
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	raw.SetDeadline(time.Time{})
	return conn, nil
}

func connect(raw net.Conn, host string) error {
	if _, err := io.WriteString(raw, "CONNECT "+host+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
		return err
	}
	head := make([]byte, 0, 1024)
	for !bytes.Contains(head, []byte("\r\n\r\n")) {
		if len(head) == cap(head) {
			return errors.New("CONNECT: long answer")
		}
		n, err := raw.Read(head[len(head):cap(head)])
		if err != nil {
			return fmt.Errorf("CONNECT: %w", err)
		}
		head = head[:len(head)+n]
	}
	if !bytes.Contains(head[:min(len(head), 16)], []byte(" 200")) {
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return fmt.Errorf("CONNECT: %s", line)
	}
	return nil
}

// Conn is an HTTP/1.1 connection with one request at a time.
type Conn struct {
	*tls.Conn
	r    *bufio.Reader
	host string
}

// Open opens an HTTP/1.1 connection.
func (t Target) Open() (*Conn, error) {
	conn, err := t.Dial("http/1.1")
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: conn, r: bufio.NewReaderSize(conn, 4<<10), host: t.Host}, nil
}

// request returns the bytes of a GET as a small API client sends it.
func (c *Conn) request(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + c.host + "\r\nUser-Agent: bench/1\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nX-Request: 0123456789abcdef\r\n\r\n")
}

// Get sends a request and reads the whole answer.
func (c *Conn) Get(path string) error { return c.exchange(c.request(path)) }

func (c *Conn) exchange(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	status, length, err := c.head()
	if err != nil {
		return err
	}
	if status != 200 {
		return fmt.Errorf("status %d", status)
	}
	if length < 0 {
		return errors.New("answer without Content-Length")
	}
	_, err = c.r.Discard(length)
	return err
}

// head reads a response head. The length is -1 if there is no Content-Length.
func (c *Conn) head() (status, length int, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < 12 {
		return 0, 0, fmt.Errorf("status line %q", line)
	}
	status, _ = strconv.Atoi(string(line[9:12]))
	length = -1
	const field = "content-length:"
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		if len(line) <= 2 {
			return status, length, nil
		}
		if len(line) > len(field) && strings.EqualFold(string(line[:len(field)]), field) {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(line[len(field):])))
		}
	}
}

// OpenMany opens n connections, each of which does one request, or as many as
// the time allows.
func (t Target) OpenMany(n int, limit time.Duration) ([]*Conn, error) {
	var mu sync.Mutex
	var conns []*Conn
	var started atomic.Int64
	end := time.Now().Add(limit)
	err := parallel(8, func(int) error {
		for started.Add(1) <= int64(n) && time.Now().Before(end) {
			c, err := t.Open()
			if err == nil {
				err = c.Get("/")
			}
			if err != nil {
				return err
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
		return nil
	})
	if len(conns) == 0 && err == nil {
		err = errors.New("no connection in time")
	}
	return conns, err
}

// Close closes connections, without a word to the other side.
func Close(conns []*Conn) {
	for _, c := range conns {
		c.NetConn().Close()
	}
}

// parallel runs f in n goroutines and returns the first error.
func parallel(n int, f func(worker int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}
