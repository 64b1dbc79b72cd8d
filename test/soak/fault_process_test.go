package soak

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An upstream that is stopped, as in a debugger or a frozen container, is as one that
// does not answer; when it goes on, so does everything else.
// seen red: dial.go dialTLS, a lock held meanwhile.
func TestFaultUpstreamStopped(t *testing.T) {
	up, stopped := newUpstream(), startChild(t)
	k := inFront(t, up, func(o *options) {
		o.ca = append(o.ca, stopped.CA...)
		o.resolve["other.test:443"] = stopped.TLS
	})
	before := k.warm(up)
	overBoth(t, k, func(t *testing.T, c *http.Client) {
		expect(t, c, "https://other.test/", 200, "ok")
		stopped.process.Signal(syscall.SIGSTOP)
		eventually(t, 5*time.Second, "all of the upstream is stopped", stopped.isStopped)
		defer stopped.process.Signal(syscall.SIGCONT) // or it would not end either
		c.Timeout = 700 * time.Millisecond
		for range 2 { // on the connection that there is, and on a new one
			if status, _, err := fetch(c, "https://other.test/"); !isTimeout(err) {
				t.Errorf("status %d, %v; want a timeout of the client", status, err)
			}
		}
		k.undisturbed(t)
		stopped.process.Signal(syscall.SIGCONT)
		c.Timeout = 20 * time.Second
		expect(t, c, "https://other.test/", 200, "ok")
		c.CloseIdleConnections()
	})
	k.settles(before, func() {
		up.dropIdle()
		k.once(false, func(c *http.Client) { fetch(c, "https://other.test/drop") })
	}, localhost)
}

// Without descriptors new clients are not served, but those who are go on; and as soon
// as there are some again, so is everybody.
// seen red: proxy.go Serve, no error of Accept taken for temporary.
func TestFaultDescriptors(t *testing.T) {
	up := newUpstream()
	k := inFront(t, up)
	before := k.warm(up)
	served := k.client(false, localhost)
	defer served.CloseIdleConnections()
	expect(t, served, "https://api.test/", 200, "ok")

	var old unix.Rlimit
	few := unix.Rlimit{Cur: uint64(before.descriptors + 20), Max: uint64(before.descriptors + 20)}
	if err := unix.Prlimit(k.cmd.Process.Pid, unix.RLIMIT_NOFILE, &few, &old); err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for range 200 {
		conn, err := net.Dial("tcp", k.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "CONNECT idle.test:443 HTTP/1.1\r\nHost: idle.test:443\r\n\r\n")
		conns = append(conns, conn)
	}
	eventually(t, 5*time.Second, "descriptors run out", func() bool {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", k.cmd.Process.Pid))
		return err == nil && len(entries) >= before.descriptors+19
	})
	for range 5 {
		expect(t, served, "https://api.test/", 200, "ok")
	}
	closeAll(conns)
	c := k.client(true, localhost)
	defer c.CloseIdleConnections()
	c.Timeout = 10 * time.Second
	expect(t, c, "https://api.test/", 200, "ok")
	served.CloseIdleConnections()
	c.CloseIdleConnections()
	k.settles(before, up.dropIdle, localhost)
}

// With little memory granted, much at once is served all the same.
// seen red: memlimit.go, another limit set.
func TestFaultMemory(t *testing.T) {
	up := newUpstream()
	k := inFront(t, up, func(o *options) { o.env = append(o.env, "GOMEMLIMIT=40MiB") })
	before := k.warm(up)
	var clients sync.WaitGroup
	var most state
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		clients.Wait()
	}()
	for i := range 100 {
		clients.Go(func() {
			k.once(i%2 == 0, func(c *http.Client) {
				for _, path := range []string{"/bytes?65536", "/echo", "/bytes?65536"} {
					if err := exchange(c, "https://api.test"+path); err != nil {
						t.Errorf("%s: %v", path, err)
					}
				}
			})
		})
	}
	for done := false; !done; {
		select {
		case <-stop:
			done = true
		case <-time.After(20 * time.Millisecond):
			most = most.peak(k.state())
		}
	}
	if limit := k.metrics()[memoryLimit]; limit != 40<<20 {
		t.Errorf("the limit is %.0f bytes, want 40 MiB", limit)
	}
	if most.rss > 120<<20 {
		t.Errorf("%.0f MiB were resident with a limit of 40", most.rss/(1<<20))
	}
	t.Logf("at most %.0f MiB resident", most.rss/(1<<20))
	k.settles(before, up.dropIdle, localhost)
}

// A disk that is full leaves no half authority behind: serve says so, and starts when
// there is room.
// seen red: certs/store.go publish, the error of the write dropped.
func TestFaultFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Skipf("a small disk cannot be mounted here, it takes root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	fill(t, filepath.Join(dir, "filler"))

	up := newUpstream()
	ca := filepath.Join(dir, "ca")
	full := prepare(t, options{ca: up.issuer.pem(), args: []string{"--ca-dir", ca}, wrap: []string{"timeout", "10"}})
	out, err := full.cmd.Output()
	if code := full.cmd.ProcessState.ExitCode(); code != 5 || len(out) > 0 {
		t.Errorf("exit code %d, %v, output %q; want 5", code, err, out)
	}
	if log := full.log.String(); !strings.Contains(log, "no space left on device") {
		t.Errorf("it says %q", log)
	}
	if entries, _ := os.ReadDir(ca); len(entries) > 0 {
		t.Errorf("it left %v", entries)
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	k := inFront(t, up, func(o *options) { o.args = append(o.args, "--ca-dir", ca) })
	fill(t, filepath.Join(dir, "filler")) // it does not need the disk to go on
	before := k.warm(up)
	k.undisturbed(t)
	k.settles(before, up.dropIdle, localhost)
}

func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, err = f.Write(filler); err == nil; _, err = f.Write(filler[:1024]) {
	}
	for err = nil; err == nil; _, err = f.Write(filler[:1]) {
	}
}

// SIGTERM lets what is under way end: an event stream and an upload, to their last byte.
// A WebSocket and a tunnel end with the time to drain, and the exit code is 0.
// seen red: proxy.go Shutdown, everything killed at once; nothing killed at the end.
func TestFaultTermination(t *testing.T) {
	up := newUpstream()
	k := inFront(t, up, func(o *options) { o.args = append(o.args, "--drain", "1500ms") })
	ws, err := k.secure("api.test")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	io.WriteString(ws, "GET /ws HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if resp := readResponse(t, ws); resp.StatusCode != 101 {
		t.Fatalf("WebSocket: %s", resp.Status)
	}
	tunnel, err := k.connect("idle.test:443")
	if err != nil {
		t.Fatal(err)
	}
	defer tunnel.Close()
	idle := k.client(false, localhost)
	expect(t, idle, "https://api.test/", 200, "ok")

	const size = 100_000
	var underWay sync.WaitGroup
	bodies := make([]*io.PipeWriter, 2)
	for i, http2 := range []bool{false, true} {
		c := k.client(http2, localhost)
		body, writer := io.Pipe()
		bodies[i] = writer
		underWay.Go(func() {
			resp, err := c.Post("https://api.test/count", "text/plain", body)
			if err != nil || resp.StatusCode != 200 {
				t.Errorf("upload: %v, %v", resp, err)
			}
		})
		underWay.Go(func() { expect(t, c, "https://api.test/part", 200, events) })
		writer.Write(filler[:size/2])
	}
	for range 4 {
		<-up.arrived
	}
	k.signal(syscall.SIGTERM)
	k.awaitLog("draining", 1)
	if conn, err := net.Dial("tcp", k.addr); err == nil {
		t.Error("a new client is accepted while draining")
		conn.Close()
	}
	begin := time.Now()
	for _, writer := range bodies {
		writer.Write(filler[:size/2])
		writer.Close()
	}
	close(up.hold)
	underWay.Wait()
	for range 2 {
		if got := <-up.uploaded; got != fmt.Sprint(size, " <nil>") {
			t.Errorf("the upstream received %s, want %d", got, size)
		}
	}
	io.WriteString(ws, "still here")
	if _, err := io.ReadFull(ws, make([]byte, len("still here"))); err != nil {
		t.Errorf("the WebSocket ended before the time to drain: %v", err)
	}
	for name, conn := range map[string]net.Conn{"WebSocket": ws, "tunnel": tunnel} {
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || isTimeout(err) {
			t.Errorf("%s: %d bytes, %v; want its end", name, n, err)
		}
	}
	if code, took := k.exitCode(5*time.Second), time.Since(begin); code != 0 || took < time.Second || took > 4*time.Second {
		t.Errorf("exit code %d after %s; want 0 after 1.5 s", code, took)
	}
}
