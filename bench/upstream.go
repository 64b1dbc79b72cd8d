package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The hosts of the comparison. There is no DNS: each peer is told that they are
// on loopback.
const (
	apiHost   = "api.bench.test"
	sinkHost  = "sink.bench.test"
	rawHost   = "raw.bench.test" // tunnelled, not intercepted
	freshHost = "fresh.bench.test"

	secret = "bench-0123456789abcdef0123456789abcdef"
	header = "Bearer " + secret

	answerSize = 200 // bytes of the body at /
)

func freshName(i int) string { return fmt.Sprintf("h%d.%s", i, freshHost) }

// writeFiles makes the files that the upstream serves. They are holes, so that
// they take no room and come from memory.
func writeFiles(dir string) error {
	files := filepath.Join(dir, "www", "file")
	if err := os.MkdirAll(files, 0o755); err != nil {
		return err
	}
	if err := os.Symlink("file", filepath.Join(dir, "www", "text")); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		size int64
	}{{"1k", 1 << 10}, {"64k", 64 << 10}, {"1m", 1 << 20}, {"64m", 64 << 20}, {"1g", 1 << 30}} {
		name := filepath.Join(files, f.name)
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			return err
		}
		if err := os.Truncate(name, f.size); err != nil {
			return err
		}
	}
	return nil
}

// nginxCommon are the settings of nginx as upstream and as peer.
const nginxCommon = `
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid NAME.pid;
error_log stderr crit;
events { worker_connections 19000; }
http {
	access_log off;
	keepalive_requests 100000000;
	keepalive_timeout 300s;
	client_header_timeout 300s;
	client_body_temp_path NAME-tmp; proxy_temp_path NAME-tmp; fastcgi_temp_path NAME-tmp; uwsgi_temp_path NAME-tmp; scgi_temp_path NAME-tmp;
	ssl_certificate upstream.pem;
	ssl_certificate_key upstream.pem;
	ssl_protocols TLSv1.2 TLSv1.3;
	ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384;
`

// nginxUpstream answers 401 unless the header arrived.
const nginxUpstream = nginxCommon + `
	map $http_authorization $ok { default 0; "HEADER" 1; }
	types {}
	server {
		listen LISTEN ssl http2 backlog=4096;
		location = / { default_type application/json; if ($ok = 0) { return 401 "no"; } return 200 "BODY"; }
		location /file/ { default_type application/octet-stream; if ($ok = 0) { return 401 "no"; } root www; }
		location /text/ { default_type text/plain; if ($ok = 0) { return 401 "no"; } root www; }
	}
	server {
		listen LISTEN ssl http2;
		server_name RAWHOST;
		location = / { default_type application/json; return 200 "BODY"; }
		location /file/ { default_type application/octet-stream; root www; }
	}
}
`

// startUpstream starts nginx as the upstream of everybody.
func (e *env) startUpstream() (err error) {
	if e.upstream, err = e.freeAddress(); err != nil {
		return err
	}
	conf, err := e.write("upstream.conf", nginxUpstream,
		"NAME", "upstream", "LISTEN", e.upstream, "HEADER", header, "RAWHOST", rawHost, "BODY", strings.Repeat("x", answerSize))
	if err != nil {
		return err
	}
	_, _, err = e.processes.start(e.dir, []string{e.find("nginx"), "-p", e.dir, "-e", "stderr", "-c", conf}, nil, e.upstream)
	return err
}

// startSink starts an upstream in this process for what nginx does not do by
// itself: it reads uploads to the end, and writes events with the time in them.
func (e *env) startSink() error {
	cert, err := tls.LoadX509KeyPair(filepath.Join(e.dir, "upstream.pem"), filepath.Join(e.dir, "upstream.pem"))
	if err != nil {
		return err
	}
	if e.sink, err = e.freeAddress(); err != nil {
		return err
	}
	l, err := tls.Listen("tcp", e.sink, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go e.serveSink(conn)
		}
	}()
	return nil
}

func (e *env) serveSink(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, req.Body)
		switch {
		case err != nil:
			return
		case req.Header.Get("Authorization") != header:
			_, err = io.WriteString(conn, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
		case req.URL.Path == "/events":
			err = e.writeEvents(conn)
		default:
			_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok")
		}
		if err != nil {
			return
		}
	}
}

// writeEvents writes an event every few milliseconds until nobody reads.
func (e *env) writeEvents(conn net.Conn) error {
	const pause = 4 * time.Millisecond
	_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range 5000 {
		if err != nil {
			return err
		}
		event := fmt.Sprintf("data: %d\n\n", e.clock().Nanoseconds())
		_, err = fmt.Fprintf(conn, "%x\r\n%s\r\n", len(event), event)
		time.Sleep(pause)
	}
	io.WriteString(conn, "0\r\n\r\n")
	return nil
}

// env is what one run has set up.
type env struct {
	dir             string
	repo            string // the root module
	keybearer       string // binary
	upstream, sink  string // addresses
	processes       processes
	ca, interceptor *authority // of the upstreams; of the peers that take one
	begin           time.Time
	ports           sync.Mutex
	lastPort        int
}

// clock is the time since the beginning, for both ends of an event stream.
func (e *env) clock() time.Duration { return time.Since(e.begin) }

// freeAddress is a loopback address below the ports that the kernel gives to
// connections.
func (e *env) freeAddress() (string, error) {
	e.ports.Lock()
	defer e.ports.Unlock()
	for e.lastPort < 32000 {
		e.lastPort++
		address := fmt.Sprintf("127.0.0.1:%d", e.lastPort)
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address, nil
		}
	}
	return "", fmt.Errorf("no free port")
}

func (e *env) port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// write writes a file with placeholders replaced, and returns its name.
func (e *env) write(name, text string, replacements ...string) (string, error) {
	name = filepath.Join(e.dir, name)
	return name, os.WriteFile(name, []byte(strings.NewReplacer(replacements...).Replace(text)), 0o644)
}
