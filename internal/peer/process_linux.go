package peer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// holder searches /proc for a process that has a socket open, until the deadline.
func holder(s socket, deadline time.Time) (name string, pid int, err error) {
	if s.inode == 0 {
		return "", 0, errors.New("the client has closed the connection")
	}
	pids, err := processes()
	if err != nil {
		return "", 0, err
	}
	wanted := fmt.Sprintf("socket:[%d]", s.inode)
	for _, pid := range pids {
		found, err := holds(pid, wanted, deadline)
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
// meanwhile, or is not ours to look into, has none. The error is that of the deadline:
// a process may have a million descriptors.
func holds(pid int, wanted string, deadline time.Time) (bool, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	d, err := os.Open(dir)
	if err != nil {
		return false, nil
	}
	defer d.Close()
	for {
		if time.Now().After(deadline) {
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
