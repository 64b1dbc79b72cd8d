package proxy

import (
	"sync"
	"time"
)

// turnstile lets so many questions of each client to callbacks through at a time, and
// has the others wait: a server that is slow has a queue, which one client must not
// make longer for all (I19).
type turnstile struct {
	mu    sync.Mutex
	lanes map[holder]*lane
}

// lane is that of a client who has questions.
type lane struct {
	places chan struct{}
	users  int
}

// enter waits for a place. If there is none in time, that is a failure; else leave gives
// the place back.
func (t *turnstile) enter(client holder) (leave func(), err error) {
	l := t.join(client)
	wait := time.NewTimer(askTimeout)
	defer wait.Stop()
	select {
	case l.places <- struct{}{}:
		return func() { <-l.places; t.quit(client, l) }, nil
	case <-wait.C:
		t.quit(client, l)
		return nil, failConnections.because("too many requests of this client wait for a callback")
	}
}

func (t *turnstile) join(client holder) *lane {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lanes[client]
	if l == nil {
		if t.lanes == nil {
			t.lanes = make(map[holder]*lane)
		}
		l = &lane{places: make(chan struct{}, maxQuestions)}
		t.lanes[client] = l
	}
	l.users++
	return l
}

func (t *turnstile) quit(client holder, l *lane) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(t.lanes, client)
	}
}
