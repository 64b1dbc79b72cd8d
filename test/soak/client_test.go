package soak

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"
)

const localhost = "127.0.0.1"

// client is one that keeps a connection of its own, from an address of its own.
func (k *keybearer) client(http2 bool, from string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: k.addr}),
		DialContext:     dialer.DialContext,
		Protocols:       protocols,
		TLSClientConfig: &tls.Config{RootCAs: k.roots, Time: k.clock},
	}}
}

// overBoth runs a test with a client of either protocol.
func overBoth(t *testing.T, k *keybearer, test func(t *testing.T, c *http.Client)) {
	for _, http2 := range []bool{false, true} {
		name := "HTTP1"
		if http2 {
			name = "HTTP2"
		}
		t.Run(name, func(t *testing.T) {
			c := k.client(http2, localhost)
			defer c.CloseIdleConnections()
			test(t, c)
		})
	}
}

// connect opens a connection to a target through it: what a tunnel is.
func (k *keybearer) connect(target string) (net.Conn, error) {
	conn, err := net.Dial("tcp", k.addr)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", target)
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	defer conn.SetReadDeadline(time.Time{})
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b[0]) {
		if _, err := io.ReadFull(conn, b); err != nil {
			conn.Close()
			return nil, err
		}
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		conn.Close()
		return nil, fmt.Errorf("CONNECT: %.200s", head)
	}
	return conn, nil
}

// secure is connect and TLS, offering HTTP/1.1.
func (k *keybearer) secure(host string) (*tls.Conn, error) {
	conn, err := k.connect(host + ":443")
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, &tls.Config{RootCAs: k.roots, ServerName: host, NextProtos: []string{"http/1.1"}})
	if err := secured.Handshake(); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// fetch returns status and body of a GET, or the error.
func fetch(c *http.Client, url string) (status int, body string, err error) {
	resp, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// expect fetches, and wants status and a body that begins with text.
func expect(t *testing.T, c *http.Client, url string, status int, text string) {
	t.Helper()
	got, body, err := fetch(c, url)
	if err != nil || got != status || !bytes.HasPrefix([]byte(body), []byte(text)) {
		t.Errorf("%s: %d %.200q, %v; want %d %q", url, got, body, err, status, text)
	}
}

// once is a client whose connection does not outlive a call.
func (k *keybearer) once(http2 bool, call func(c *http.Client)) {
	c := k.client(http2, localhost)
	defer c.CloseIdleConnections()
	call(c)
}
