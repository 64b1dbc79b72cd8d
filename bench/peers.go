package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"keybearer/bench/load"
)

// peer is a proxy that can be compared.
type peer struct {
	name    string
	program string              // "" if it is built here
	version func(e *env) string // as it says itself
	forward bool                // a forward proxy; else a reverse proxy of one host
	h2      bool                // HTTP/2 on both sides
	command func(e *env, i *instance) ([]string, error)
	split   bool   // its tunnels need an instance of their own
	bare    bool   // not a proxy that anybody uses: only what compares the protocols
	binary  string // keybearer: another one than that of this run
}

// instance is a running peer.
type instance struct {
	*peer
	*process
	e          *env
	dir        string // relative to e.dir
	addr       string
	h2addr     string // "" if it is addr
	tunnels    bool   // the instance of a split peer that tunnels
	rules      int    // keybearer: how many rules come before the one that matches
	hosts      int    // keybearer: how many fresh hosts it resolves
	logs       bool   // keybearer: with its log
	ready      time.Duration
	fresh      atomic.Int64 // fresh hosts that were used
	roots      *x509.CertPool
	rootsOfRaw *x509.CertPool
}

const freshHosts = 400 // of all rounds together

// start starts an instance and proves that it puts the header in.
func (e *env) start(p *peer, change func(*instance)) (*instance, error) {
	i := &instance{peer: p, e: e, hosts: freshHosts}
	if change != nil {
		change(i)
	}
	var err error
	if i.addr, err = e.freeAddress(); err != nil {
		return nil, err
	}
	i.dir = strings.ReplaceAll(p.name, "/", "") + "-" + e.port(i.addr)
	if i.h2addr, err = e.freeAddress(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(e.dir, i.dir), 0o755); err != nil {
		return nil, err
	}
	argv, err := p.command(e, i)
	if err != nil {
		return nil, err
	}
	if i.process, i.ready, err = e.processes.start(e.dir, argv, []string{"BENCH_SECRET=" + secret}, i.addr); err != nil {
		return nil, err
	}
	if err = i.trust(); err == nil {
		err = i.prove()
	}
	if err != nil {
		i.stop()
		return nil, fmt.Errorf("%s: %w\n%s", p.name, err, i.tail())
	}
	return i, nil
}

// trust loads the roots that a client of the instance needs.
func (i *instance) trust() error {
	i.rootsOfRaw, i.roots = i.e.ca.pool(), i.e.ca.pool()
	switch i.name {
	case "nginx", "haproxy", "net/http":
	case "keybearer", "before":
		pem, err := os.ReadFile(filepath.Join(i.e.dir, i.dir, "ca", "ca.pem"))
		if err != nil {
			return err
		}
		i.roots = x509.NewCertPool()
		i.roots.AppendCertsFromPEM(pem)
	default:
		i.roots = i.e.interceptor.pool()
	}
	return nil
}

// prove does a request that the upstream answers with 200 only if it has the
// header: a proxy that does not inject is no peer.
func (i *instance) prove() error {
	if i.tunnels {
		_, err := i.raw().OpenMany(1, 10*time.Second)
		return err
	}
	c, err := i.api().Open()
	if err == nil {
		defer c.NetConn().Close()
		err = c.Get("/")
	}
	if err != nil {
		return fmt.Errorf("the header does not arrive: %w", err)
	}
	return nil
}

func (i *instance) target(host, upstream string) load.Target {
	return load.Target{Addr: i.addr, Forward: i.forward, Host: host + ":" + i.e.port(upstream), Roots: i.roots}
}

func (i *instance) api() load.Target { return i.target(apiHost, i.e.upstream) }

// raw is the host that a forward proxy tunnels.
func (i *instance) raw() load.Target {
	t := i.target(rawHost, i.e.upstream)
	t.Roots = i.rootsOfRaw
	return t
}

// upload is the upstream that reads uploads and writes events.
func (i *instance) upload() load.Target { return i.target(sinkHost, i.e.sink) }

func (i *instance) streams() load.Target {
	t := i.api()
	if i.name == "haproxy" {
		t.Addr = i.h2addr
	}
	return t
}

// direct is the way without a proxy.
func (e *env) direct(host, upstream string) load.Target {
	return load.Target{Addr: upstream, Host: host + ":" + e.port(upstream), Roots: e.ca.pool()}
}

// find is the path of a program; the daemons are not in everybody's PATH.
func (e *env) find(program string) string {
	for _, dir := range []string{"", "/usr/sbin/", "/usr/local/sbin/"} {
		if path, err := exec.LookPath(dir + program); err == nil {
			return path
		}
	}
	return ""
}

// all are the peers in the order of the table.
var all = []*peer{
	{name: "nginx", program: "nginx", command: nginx,
		version: func(e *env) string { return output(e.find("nginx"), "-v") }},
	{name: "haproxy", program: "haproxy", command: haproxy, h2: true,
		version: func(e *env) string { return output(e.find("haproxy"), "-v") }},
	{name: "keybearer", command: keybearer, forward: true, h2: true,
		version: func(e *env) string {
			return "keybearer of commit " + output("git", "-C", e.repo, "describe", "--always", "--dirty")
		}},
	{name: "net/http", command: netHTTP, h2: true, bare: true, version: func(*env) string { return "net/http of " + runtime.Version() }},
	{name: "goproxy", command: goProxy, forward: true, version: moduleVersion("github.com/elazarl/goproxy")},
	{name: "martian", command: martian, forward: true, split: true, version: moduleVersion("github.com/google/martian/v3")},
	{name: "squid", program: "squid", command: squid, forward: true,
		version: func(e *env) string { return output(e.find("squid"), "-v") }},
	{name: "mitmproxy", program: "mitmdump", command: mitmproxy, forward: true, h2: true,
		version: func(e *env) string { return output(e.find("mitmdump"), "--version") }},
}

func moduleVersion(path string) func(*env) string {
	return func(e *env) string { return output("go", "list", "-C", filepath.Join(e.repo, "bench"), "-m", path) }
}
