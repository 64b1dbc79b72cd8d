package proxy

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"keybearer/proxy/http1"
)

// upload is the client's side of an exchange: it sends the request, and it
// watches for a client that hangs up.
//
// Most requests have come whole and go out in one write. Only when more of a body
// is to come, or when the answer is slow, does a second goroutine read from the
// client, so that request and response flow at the same time and a client that
// gives up sets the upstream free. There is never more than one reader of the
// client: the exchange's goroutine reads again only after stop.
type upload struct {
	s         *h1
	up        *upstream
	body      http1.Decoder
	coded     bool   // the body is sent in chunks
	rest      []byte // to send of what was held back: a body, or a chunk of one
	rechunked []byte // see next
	begun     bool   // it was: the body has been started
	out       []byte // to the upstream, not yet written

	mu     sync.Mutex
	active bool          // an exchange is under way
	reader chan struct{} // closed when the reading goroutine has ended; nil if there is none
	slow   *time.Timer   // starts to watch the client

	sent   chan struct{} // closed when the whole request has been sent
	gone   atomic.Bool   // the client went away
	broken error         // why the body cannot be read; set before up is closed
}

const (
	// slowAnswer is how long an answer may take before the client is watched.
	slowAnswer = 500 * time.Millisecond
	// earlyAnswer is how long the end of the body may lag behind the answer to
	// it: the upstream may answer before the write that it answers has returned.
	earlyAnswer = 5 * time.Millisecond
)

func (u *upload) init(s *h1) {
	u.s = s
	u.slow = time.AfterFunc(time.Hour, u.watchSlow)
	u.slow.Stop()
}

// release makes u ready for another exchange, once stop has ended the last one.
func (u *upload) release() {
	u.up, u.broken, u.sent = nil, nil, nil
	u.rest, u.begun, u.rechunked = nil, false, nil
	u.gone.Store(false)
	u.body = http1.Decoder{Trailer: emptied(u.body.Trailer)}
	u.out = spare(u.out)
}

// start sends the request with as much of its body as has been received, and
// leaves the rest to a goroutine.
func (u *upload) start(up *upstream, framing http1.Framing) error {
	u.stop() // an attempt before this one
	u.up, u.broken = up, nil
	u.coded = framing.Kind == http1.Chunked
	if !u.begun {
		u.body.Start(framing)
	}
	u.out = up.appendRequest(u.out[:0], &u.s.req, u.s.authority())
	if u.coded && u.done() { // an empty body, which was waited for
		if err := u.finish(); err != nil {
			return err
		}
	}
	if err := u.take(); err != nil {
		return err
	}
	u.s.sent()
	if err := u.write(); err != nil {
		return errNoResponse
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.active = true
	if u.done() {
		u.sent = closedChan
		u.slow.Reset(slowAnswer)
		return nil
	}
	u.sent, u.reader = make(chan struct{}), make(chan struct{})
	go u.run(u.reader)
	return nil
}

// closedChan is the sent of every request that went out at once.
var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// stop ends the reading of the client; what has been received stays received. It
// may be called more than once.
func (u *upload) stop() {
	if !u.active { // which only this goroutine changes
		return
	}
	u.mu.Lock()
	u.active = false
	reader := u.reader
	u.reader = nil
	u.mu.Unlock()
	u.slow.Stop()
	if reader == nil {
		return
	}
	u.s.client.conn.SetReadDeadline(longAgo)
	select {
	case <-u.sent:
	default:
		u.up.raw.Close() // or it may wait for the upstream to read on
	}
	<-reader
}

// complete reports whether the whole request has been sent.
func (u *upload) complete() bool {
	if u.sent == closedChan {
		return true
	}
	select {
	case <-u.sent:
		return true
	case <-time.After(earlyAnswer):
		return false
	}
}

// clientGone reports whether the client was seen to go away.
func (u *upload) clientGone() bool { return u.gone.Load() }

// run sends the rest of the body, then watches the client.
func (u *upload) run(ended chan struct{}) {
	defer close(ended)
	defer u.s.c.contain()
	for {
		if err := u.takeAndWrite(); err != nil {
			return
		}
		if u.done() {
			break
		}
		if err := u.fill(); err != nil {
			u.abort(err)
			return
		}
	}
	close(u.sent)
	u.watch()
}

// takeAndWrite passes on what has been received.
func (u *upload) takeAndWrite() error {
	for {
		if err := u.take(); err != nil {
			u.abort(err)
			return err
		}
		if len(u.out) == 0 {
			return nil
		}
		if err := u.write(); err != nil {
			return err // the upstream may have answered early: the exchange goes on reading
		}
	}
}

func (u *upload) write() error {
	now := time.Now()
	u.up.conn.SetWriteDeadline(now.Add(streamTimeout))
	_, err := u.up.conn.Write(u.out)
	u.out = u.out[:0]
	// The time for the answer begins when the request has been sent: until then
	// the upstream waits for the client, which has a time of its own.
	answer := now.Add(responseTimeout)
	if !u.done() {
		answer = answer.Add(streamTimeout)
	}
	u.up.conn.SetReadDeadline(answer)
	return err
}

// fill reads from the client, unless the exchange is over.
func (u *upload) fill() error {
	u.mu.Lock()
	if u.active {
		u.s.client.conn.SetReadDeadline(time.Now().Add(streamTimeout))
	}
	u.mu.Unlock()
	return u.s.client.fill()
}

// abort ends the exchange because the rest of the body will not come; unless it is
// over already, and its end is why.
func (u *upload) abort(err error) {
	u.mu.Lock()
	active := u.active
	u.mu.Unlock()
	if !active {
		return
	}
	u.broken = bodyFailure(err)
	if errors.Is(u.broken, errClientGone) {
		u.gone.Store(true)
	}
	u.up.raw.Close()
}

// bodyFailure says why the rest of a body does not come.
func bodyFailure(err error) error {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failHeadTime.because("the request body did not arrive in time")
	}
	return errClientGone
}

// failure returns why the request could not be sent, nil if it could. It is
// called when reading from the upstream has failed.
func (u *upload) failure() error {
	u.stop()
	if u.gone.Load() {
		return errClientGone
	}
	return u.broken
}

// watchSlow runs in the timer's goroutine when an answer is slow.
func (u *upload) watchSlow() {
	u.mu.Lock()
	if !u.active || u.reader != nil || len(u.s.client.received()) > 0 {
		u.mu.Unlock()
		return
	}
	ended := make(chan struct{})
	u.reader = ended
	u.mu.Unlock()
	defer close(ended)
	defer u.s.c.contain()
	u.watch()
}

// watch waits until the client sends its next request early, which then stays
// received, or goes away, which ends the exchange, or until stop.
func (u *upload) watch() {
	u.mu.Lock()
	if u.active {
		u.s.client.conn.SetReadDeadline(time.Time{})
	}
	u.mu.Unlock()
	if err := u.s.client.await(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		u.gone.Store(true)
		u.up.raw.Close()
	}
}
