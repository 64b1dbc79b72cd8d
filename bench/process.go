package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processes are those that run, so that an interrupted run can end them.
type processes struct {
	mu      sync.Mutex
	running map[*process]struct{}
}

func (ps *processes) add(p *process) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.running == nil {
		ps.running = make(map[*process]struct{})
	}
	ps.running[p] = struct{}{}
}

func (ps *processes) remove(p *process) (was bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	_, was = ps.running[p]
	delete(ps.running, p)
	return was
}

func (ps *processes) stopAll() {
	ps.mu.Lock()
	all := slices.Collect(maps.Keys(ps.running))
	ps.mu.Unlock()
	var wait sync.WaitGroup
	for _, p := range all {
		wait.Go(p.stop)
	}
	wait.Wait()
}

// process is a program that this one started, with its children.
type process struct {
	of   *processes
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// start runs a program with its output in a file, and returns once it accepts
// connections on all addresses, and how long that took.
func (ps *processes) start(dir string, argv []string, env []string, addresses ...string) (*process, time.Duration, error) {
	log, err := os.CreateTemp(dir, filepath.Base(argv[0])+"-*.log")
	if err != nil {
		return nil, 0, err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = append(os.Environ(), env...)
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	p := &process{of: ps, cmd: cmd, log: log.Name(), done: make(chan struct{})}
	ps.add(p)
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	for _, address := range addresses {
		if err := p.awaitAccept(address); err != nil {
			p.stop()
			return nil, 0, fmt.Errorf("%s: %w\n%s", filepath.Base(argv[0]), err, p.tail())
		}
	}
	return p, time.Since(begin), nil
}

func (p *process) awaitAccept(address string) error {
	const patience, pause = 30 * time.Second, 500 * time.Microsecond
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(pause) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-p.done:
			return errors.New("ended at once")
		default:
		}
	}
	return errors.New("does not accept connections")
}

// tail is the end of what the program said.
func (p *process) tail() string {
	b, _ := os.ReadFile(p.log)
	const most = 1000
	return string(bytes.TrimSpace(b[max(0, len(b)-most):]))
}

// stop ends the program, and its children with it.
func (p *process) stop() {
	if !p.of.remove(p) {
		return
	}
	pids := p.pids()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(500 * time.Millisecond):
	}
	for _, pid := range pids { // a parent that is killed leaves its children behind
		if pid != p.cmd.Process.Pid && isAlive(pid) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	select {
	case <-p.done:
	default:
		p.cmd.Process.Kill()
		<-p.done
	}
}

func isAlive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// pids are the processes of the tree.
func (p *process) pids() []int {
	children := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			continue
		}
		// The name of the program stands in parentheses and may hold anything.
		rest := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if parent, err := strconv.Atoi(rest[1]); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	tree := []int{p.cmd.Process.Pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// cpu is the user and system time of the tree so far. The kernel keeps it in
// nanoseconds; /proc/PID/stat shows the same figure in ticks of 10 ms, so that
// the clock of the process is read instead (clock_getcpuclockid(3)).
func (p *process) cpu(pids []int) time.Duration {
	var total time.Duration
	for _, pid := range pids {
		const sched = 2
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|sched), &t); err == nil {
			total += time.Duration(t.Nano())
		}
	}
	return total
}

// memory is the tree's proportional share of memory in bytes, or the sum of the
// resident sizes where the kernel does not let us see that.
func (p *process) memory() float64 {
	var total float64
	for _, pid := range p.pids() {
		if kb, ok := field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:"); ok {
			total += kb
		} else if kb, ok := field(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:"); ok {
			total += kb
		}
	}
	return total * 1024
}

func field(file, name string) (float64, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name {
			v, err := strconv.ParseFloat(f[1], 64)
			return v, err == nil
		}
	}
	return 0, false
}

// descriptors is how many the tree has open.
func (p *process) descriptors() float64 {
	n := 0
	for _, pid := range p.pids() {
		d, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			continue
		}
		names, _ := d.Readdirnames(-1)
		d.Close()
		n += len(names)
	}
	return float64(n)
}

// meter is a load.Meter of the processor time of a process.
type meter struct {
	p       *process
	pids    []int
	cpu     time.Duration
	begin   time.Time
	elapsed time.Duration
}

func (m *meter) Start() {
	m.pids = m.p.pids()
	m.cpu, m.begin = m.p.cpu(m.pids), time.Now()
}

func (m *meter) Stop() {
	m.cpu, m.elapsed = m.p.cpu(m.pids)-m.cpu, time.Since(m.begin)
}

// output runs a program for its first line.
func output(name string, args ...string) string {
	b, _ := exec.Command(name, args...).CombinedOutput()
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}
