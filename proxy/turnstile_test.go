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
