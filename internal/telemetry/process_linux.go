package telemetry

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// started is good to the millisecond, which is enough to see a restart.
var started = time.Now()

// writeProcess writes what Prometheus' own client does. The library's function reads
// files of /proc that a process which has hidden its memory may not read, unless it
// is root's: it would complain in the log, and write zeros.
func writeProcess(w io.Writer) {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		spent := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		metrics.WriteCounterFloat64(w, "process_cpu_seconds_total", spent.Seconds())
	}
	if bytes, ok := resident(); ok {
		metrics.WriteGaugeUint64(w, "process_resident_memory_bytes", bytes)
	}
	metrics.WriteGaugeUint64(w, "process_start_time_seconds", uint64(started.Unix()))
	// The size of the directory is the number of descriptors, since Linux 6.2. To
	// count them one by one would need leave, and time when they are many.
	if dir, err := os.Stat("/proc/self/fd"); err == nil && dir.Size() > 0 {
		metrics.WriteGaugeUint64(w, "process_open_fds", uint64(dir.Size()))
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		metrics.WriteGaugeUint64(w, "process_max_fds", uint64(limit.Cur))
	}
}

// resident is the second field of statm (proc(5)), in bytes.
func resident() (uint64, bool) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	return pages * uint64(os.Getpagesize()), err == nil
}
