package telemetry

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	maxPending = 1 << 20     // bytes of lines that wait to be written
	closeTime  = time.Second // how long Close waits for them
)

// Writer hands lines on to another writer without ever waiting for it: whoever
// reads a log must not be able to stop the proxy. Lines that come while a mebibyte
// of others waits are dropped and counted; once there is room again the log says
// how many.
//
// Each Write is one line, as slog's handlers write them. It is safe for concurrent
// use.
type Writer struct {
	to   io.Writer
	lost func(lines uint64) // writes to to; set by NewLogger

	mu      sync.Mutex
	pending []byte
	dropped uint64 // lines, in all
	told    uint64 // of these, those that the log tells of
	closed  bool
	wake    chan struct{}
	ended   chan struct{}
}

// NewWriter returns a Writer to w. It needs to be closed.
func NewWriter(w io.Writer) *Writer {
	q := &Writer{to: w, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go q.run()
	return q
}

// Write implements io.Writer. It never fails.
func (q *Writer) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
	case len(q.pending)+len(line) > maxPending:
		q.dropped++
	default:
		q.pending = append(q.pending, line...)
		q.nudge()
	}
	return len(line), nil
}

// nudge wakes run, which may be awake.
func (q *Writer) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Dropped returns how many lines have been dropped so far.
func (q *Writer) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Close waits until all lines are written, but no longer than a second. Lines that
// come later are lost.
func (q *Writer) Close() error {
	q.mu.Lock()
	q.closed = true
	q.nudge()
	q.mu.Unlock()
	select {
	case <-q.ended:
	case <-time.After(closeTime):
	}
	return nil
}

// run writes what is pending, all of it in one write, until the Writer is closed.
func (q *Writer) run() {
	defer close(q.ended)
	var lines []byte
	for {
		var news uint64
		var closed bool
		lines, news, closed = q.take(lines[:0])
		if len(lines) > 0 {
			q.write(lines)
		}
		switch {
		case news > 0 && q.lost != nil:
			q.lost(news)
		case len(lines) > 0:
		case closed:
			return
		default:
			<-q.wake
		}
	}
}

// write counts what cannot be written, as on a full disk, among what was dropped: there
// is nowhere else to tell.
func (q *Writer) write(lines []byte) {
	n, err := q.to.Write(lines)
	if err == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += uint64(bytes.Count(lines[n:], []byte("\n")))
}

// take swaps what is pending for an empty buffer. It returns how many lines were
// dropped since it was asked last.
func (q *Writer) take(empty []byte) (lines []byte, news uint64, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines, q.pending = q.pending, empty
	news, q.told = q.dropped-q.told, q.dropped
	return lines, news, q.closed
}
