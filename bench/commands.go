package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const nginxPeer = nginxCommon + `
	upstream api { server UPSTREAM; keepalive 64; keepalive_requests 100000000; keepalive_timeout 300s; }
	upstream sink { server SINK; keepalive 64; keepalive_timeout 300s; }
	client_max_body_size 0;
	proxy_max_temp_file_size 0;
	proxy_http_version 1.1;
	proxy_set_header Host $http_host;
	proxy_set_header Connection "";
	proxy_set_header Authorization "HEADER";
	proxy_ssl_server_name on;
	proxy_ssl_name APIHOST;
	proxy_ssl_verify on;
	proxy_ssl_trusted_certificate ca.pem;
	server {
		listen LISTEN ssl backlog=4096;
		location / { proxy_pass https://api; }
		location = /upload { proxy_request_buffering off; proxy_pass https://sink; }
		location = /events { proxy_buffering off; proxy_pass https://sink; }
	}
}
`

func nginx(e *env, i *instance) ([]string, error) {
	conf, err := e.write(i.dir+".conf", nginxPeer, "NAME", i.dir, "LISTEN", i.addr,
		"UPSTREAM", e.upstream, "SINK", e.sink, "HEADER", header, "APIHOST", apiHost)
	return []string{e.find("nginx"), "-p", e.dir, "-e", "stderr", "-c", conf}, err
}

const haproxyPeer = `
global
	maxconn 9000
	nbthread 1
	ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384
defaults
	mode http
	timeout connect 10s
	timeout client 300s
	timeout server 300s
	timeout http-keep-alive 300s
frontend one
	bind LISTEN ssl crt upstream.pem alpn http/1.1
	http-request set-header Authorization "HEADER"
	use_backend sink if { path /upload } or { path /events }
	default_backend api
frontend two
	bind SECOND ssl crt upstream.pem alpn h2
	http-request set-header Authorization "HEADER"
	default_backend apitwo
backend api
	http-reuse always
	server s UPSTREAM ssl verify required ca-file ca.pem sni str(APIHOST) verifyhost APIHOST alpn http/1.1
backend apitwo
	http-reuse always
	server s UPSTREAM ssl verify required ca-file ca.pem sni str(APIHOST) verifyhost APIHOST alpn h2
backend sink
	server s SINK ssl verify required ca-file ca.pem sni str(SINKHOST) verifyhost SINKHOST alpn http/1.1
`

func haproxy(e *env, i *instance) ([]string, error) {
	conf, err := e.write(i.dir+".conf", haproxyPeer, "LISTEN", i.addr, "SECOND", i.h2addr, "HEADER", header,
		"UPSTREAM", e.upstream, "SINKHOST", sinkHost, "SINK", e.sink, "APIHOST", apiHost)
	return []string{e.find("haproxy"), "-db", "-f", conf}, err
}

func keybearer(e *env, i *instance) ([]string, error) {
	up, sink := e.port(e.upstream), e.port(e.sink)
	var config strings.Builder
	config.WriteString("rules:\n")
	rule := func(name, hosts string) {
		fmt.Fprintf(&config, "  - name: %s\n    match_hosts: [%s]\n    inject_headers: {Authorization: \"Bearer ${BENCH_SECRET}\"}\n", name, hosts)
	}
	for n := range i.rules {
		rule("other-"+strconv.Itoa(n), fmt.Sprintf("r%d.bench.test", n))
	}
	rule("bench", fmt.Sprintf("\"%s:%s\", \"*.%s:%s\", \"%s:%s\"", apiHost, up, freshHost, up, sinkHost, sink))
	fmt.Fprintf(&config, "no_proxy: [%s]\nupstream_ca: %s\nca_dir: %s\nlisten: %s\n", rawHost,
		filepath.Join(e.dir, "ca.pem"), filepath.Join(e.dir, i.dir, "ca"), i.addr)
	name, err := e.write(i.dir+".yaml", config.String())
	binary := e.keybearer
	if i.binary != "" {
		binary = i.binary
	}
	argv := []string{binary, "serve", "--config", name}
	if !i.logs {
		argv = append(argv, "--log-level", "warn") // no line per request, as with the others
	}
	for _, h := range []string{apiHost + ":" + up, rawHost + ":" + up, sinkHost + ":" + sink} {
		argv = append(argv, "--resolve", h+":127.0.0.1")
	}
	for n := range i.hosts {
		argv = append(argv, "--resolve", freshName(n)+":"+up+":127.0.0.1")
	}
	return argv, err
}

func netHTTP(e *env, i *instance) ([]string, error) {
	return []string{filepath.Join(e.dir, "bin", "nethttp"), "-listen", i.addr, "-cert", "upstream.pem", "-upstream", e.upstream,
		"-roots", "ca.pem", "-header", header}, nil
}

func goProxy(e *env, i *instance) ([]string, error) {
	return []string{filepath.Join(e.dir, "bin", "goproxy"), "-listen", i.addr, "-ca", "mitm/ca-key.pem", "-roots", "ca.pem",
		"-header", header, "-tunnel", rawHost}, nil
}

func martian(e *env, i *instance) ([]string, error) {
	return []string{filepath.Join(e.dir, "bin", "martian"), "-listen", i.addr, "-ca", "mitm/ca-key.pem", "-roots", "ca.pem",
		"-header", header, "-tunnel=" + strconv.FormatBool(i.tunnels)}, nil
}

const squidPeer = `
http_port LISTEN ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=16MB tls-cert=DIR/mitm/ca-key.pem
sslcrtd_program CERTGEN -s DIR/NAME/db -M 16MB
sslcrtd_children 4 startup=1
tls_outgoing_options cafile=DIR/ca.pem
acl raw dstdomain RAWHOST
acl first at_step SslBump1
ssl_bump splice raw
ssl_bump peek first
ssl_bump bump all
http_access allow all
request_header_add Authorization "HEADER" all
hosts_file DIR/hosts
host_verify_strict off
cache deny all
cache_mem 0 MB
access_log none
cache_log DIR/NAME/cache.log
cache_store_log none
pid_filename none
coredump_dir DIR/NAME
pinger_enable off
max_filedescriptors 20000
shutdown_lifetime 0 seconds
client_lifetime 1 hour
`

func squid(e *env, i *instance) ([]string, error) {
	const certgen = "/usr/lib/squid/security_file_certgen"
	dir := filepath.Join(e.dir, i.dir)
	conf, err := e.write(i.dir+".conf", squidPeer,
		"NAME", i.dir, "DIR", e.dir, "LISTEN", i.addr, "HEADER", header, "RAWHOST", rawHost, "CERTGEN", certgen)
	if err != nil {
		return nil, err
	}
	if out, err := exec.Command(certgen, "-c", "-s", filepath.Join(dir, "db"), "-M", "16MB").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", certgen, err, out)
	}
	if os.Geteuid() == 0 { // squid becomes the user proxy
		if out, err := exec.Command("chown", "-R", "proxy", dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("chown: %w: %s", err, out)
		}
	}
	return []string{e.find("squid"), "-N", "-f", conf}, nil
}

// mitmproxyAddon sets the header and finds every host on loopback.
const mitmproxyAddon = `
class Bench:
    def server_connect(self, data):
        data.server.address = ("127.0.0.1", data.server.address[1])

    def requestheaders(self, flow):
        flow.request.headers["Authorization"] = "HEADER"

    def responseheaders(self, flow):
        flow.response.stream = True

addons = [Bench()]
`

func mitmproxy(e *env, i *instance) ([]string, error) {
	addon, err := e.write(i.dir+".py", mitmproxyAddon, "HEADER", header)
	if err != nil {
		return nil, err
	}
	confdir := filepath.Join(e.dir, i.dir)
	pem, err := os.ReadFile(filepath.Join(e.dir, "mitm", "ca-key.pem"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(confdir, "mitmproxy-ca.pem"), pem, 0o600); err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(i.addr, ":")
	return []string{e.find("mitmdump"), "-q", "--listen-host", "127.0.0.1", "-p", port, "--set", "confdir=" + confdir,
		"--set", "ssl_verify_upstream_trusted_ca=" + filepath.Join(e.dir, "ca.pem"), "--set", "stream_large_bodies=1m",
		"--ignore-hosts", strings.ReplaceAll(rawHost, ".", `\.`), "-s", addon}, nil
}
