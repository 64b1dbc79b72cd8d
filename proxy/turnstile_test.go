package proxy

import (
	"testing"
	"testing/synctest"
	"time"
)

// A client whose questions are answered slowly waits for itself, and not for ever; the
// next client is let through at once.
//
// seen red: join with one lane for all; enter without the timer; quit without delete.
func TestTurnstile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s turnstile
		slow, other := holder{address: "a"}, holder{address: "a", account: "b"}
		var leave []func()
		for range maxQuestions {
			l, err := s.enter(slow)
			if err != nil {
				t.Fatal(err)
			}
			leave = append(leave, l)
		}
		began := time.Now()
		if _, err := s.enter(slow); fail(err).status != 503 || time.Since(began) != askTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		began = time.Now()
		if l, err := s.enter(other); err != nil || time.Since(began) > 0 {
			t.Errorf("the other: %v after %v", err, time.Since(began))
		} else {
			l()
		}
		go leave[0]()
		l, err := s.enter(slow)
		if err != nil || time.Since(began) > 0 {
			t.Errorf("after one has left: %v after %v", err, time.Since(began))
		}
		leave[0] = l
		for _, l := range leave {
			l()
		}
		if len(s.lanes) > 0 {
			t.Errorf("%d clients are remembered", len(s.lanes))
		}
	})
}

// A request waits for its client's turn to be asked about.
//
// seen red: answer without enter.
func TestAskWaits(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		f, w := showing(t, bearerOf)
		s, client := &f.proxy.questions, holder{address: "127.0.0.1"}
		var leave func()
		for range maxQuestions {
			leave, _ = s.enter(client)
		}
		answered := make(chan int, 1)
		go func() {
			status, _ := f.get(f.client(http2), "https://api.test/v1")
			answered <- status
		}()
		f.await(func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.lanes[client].users == maxQuestions+1
		})
		if asked, _ := w.questions(); len(asked) > 0 {
			t.Error("it was asked about at once")
		}
		leave()
		if status := <-answered; status != 200 {
			t.Errorf("status %d", status)
		}
	})
}
