package peer

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// The program that has the client's end open is found, here and in another process;
// once it has closed its end, nobody is.
func TestProcess(t *testing.T) {
	if !Known() {
		t.Skip("the kernel does not tell here")
	}
	l := listen(t)
	t.Run("own", func(t *testing.T) {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		file, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if name, pid, err := Process(conn, time.Minute); name != filepath.Base(file) || pid != os.Getpid() || err != nil {
			t.Errorf("%s %d, %v; want %s %d", name, pid, err, file, os.Getpid())
		}
		if _, _, err := Process(conn, 0); err == nil {
			t.Error("it was found in no time")
		}
		client.Close()
		if name, pid, err := Process(conn, time.Minute); err == nil {
			t.Errorf("%s %d has a connection open that is closed", name, pid)
		}
	})
	t.Run("child", func(t *testing.T) {
		conn, child := shell(t, l, nil)
		if name, pid, err := Process(conn, time.Minute); name != "bash" || pid != child || err != nil {
			t.Errorf("%s %d, %v; want bash %d", name, pid, err, child)
		}
	})
}

// A process with very many descriptors does not hold the search up.
//
// Seen red: as long as holds did not look at the deadline.
func TestProcessOfManyDescriptors(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	const many = 5000
	for range many {
		fd, err := syscall.Dup(int(null.Fd()))
		if err != nil {
			t.Skip(err)
		}
		defer syscall.Close(fd)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b, err := grant(time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := holds(os.Getpid(), "nothing", b); found || err == nil {
		t.Errorf("%v, %v: it looked into all of them", found, err)
	}
}

// What a search may take is work, and not the time in which other programs work.
//
// Seen red: with the time of the wall.
func TestBudgetIsOfWork(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const granted = 10 * time.Millisecond
	b, err := grant(granted)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * granted) // in which it does no work
	if b.spent() {
		t.Error("it was spent by waiting")
	}
	for begun := time.Now(); !b.spent(); {
		if time.Since(begun) > time.Minute {
			t.Fatal("work does not spend it")
		}
	}
}
