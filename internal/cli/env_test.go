package cli

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Await asks again until it is answered as serve answers, by a clean end.
// Seen red: without the loop, and without the probe's look at the answer.
func TestAwait(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var asked atomic.Int32
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.Copy(io.Discard, conn) // until it has nothing to ask
			if asked.Add(1) < 3 {
				conn.(*net.TCPConn).SetLinger(0) // a reset: not ready yet
			}
			conn.Close()
		}
	}()
	if err := await("http://"+l.Addr().String(), 10*time.Second); err != nil || asked.Load() != 3 {
		t.Errorf("asked %d times, error %v; want the third answer to do", asked.Load(), err)
	}
}

func TestAwaitNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	err = await("http://"+l.Addr().String(), time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "no keybearer serve is ready after 1ms") {
		t.Errorf("got %v, want an error that says that nobody is ready", err)
	}
}
