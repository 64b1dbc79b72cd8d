package peer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// holder searches /proc for a process that has a socket open.
func holder(s socket, within time.Duration) (name string, pid int, err error) {
	if s.inode == 0 {
		return "", 0, errors.New("the client has closed the connection")
	}
	runtime.LockOSThread() // whose time it is
	defer runtime.UnlockOSThread()
	b, err := grant(within)
	if err != nil {
		return "", 0, err
	}
	pids, err := processes()
	if err != nil {
		return "", 0, err
	}
	wanted := fmt.Sprintf("socket:[%d]", s.inode)
	for _, pid := range pids {
		found, err := holds(pid, wanted, b)
		switch {
		case err != nil:
			return "", 0, err
		case found:
			return program(pid), pid, nil
		}
	}
	return "", 0, errors.New("no process that can be looked into has the connection open")
}

// processes lists those that /proc shows, the newest first: it is programs that have
// just been started for which somebody wonders why they do not work.
func processes() ([]int, error) {
	names, err := list("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.SortFunc(pids, func(a, b int) int { return b - a })
	return pids, nil
}

// holds reports whether a process has a descriptor of that kind. A process that ends
// meanwhile, or is not ours to look into, has none. The error is that of the budget: a
// process may have a million descriptors.
func holds(pid int, wanted string, b budget) (bool, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	d, err := os.Open(dir)
	if err != nil {
		return false, nil
	}
	defer d.Close()
	for {
		if b.spent() {
			return false, errors.New("there is too much to look into")
		}
		const some = 128
		names, err := d.Readdirnames(some)
		for _, name := range names {
			if target, err := os.Readlink(dir + "/" + name); err == nil && target == wanted {
				return true, nil
			}
		}
		if err != nil {
			return false, nil
		}
	}
}

// budget is processor time that the thread may use, which has to be the goroutine's own
// (LockOSThread). It bounds the work: how long other programs are ahead of us on a busy
// machine says nothing of how much there is to look into.
type budget struct{ end time.Duration }

func grant(d time.Duration) (budget, error) {
	used, err := threadTime()
	if err != nil {
		return budget{}, fmt.Errorf("ask for the processor time: %w", err)
	}
	return budget{used + d}, nil
}

// spent reports whether nothing is left, or that cannot be known.
func (b budget) spent() bool {
	used, err := threadTime()
	return err != nil || used >= b.end
}

func threadTime() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), err
}

// program is the name of the file that a process executes; its own word for itself
// where that is hidden. A program can call itself anything: Node's is MainThread.
func program(pid int) string {
	if file, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil {
		return filepath.Base(strings.TrimSuffix(file, " (deleted)"))
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "a process"
	}
	return strings.TrimSpace(string(comm))
}

// list returns the names in a directory in any order: os.ReadDir would sort them and
// ask for the type of each.
func list(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
