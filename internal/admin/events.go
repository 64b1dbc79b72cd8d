package admin

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"time"

	"keybearer/internal/telemetry"
)

const (
	pause     = 200 * time.Millisecond // between two messages
	heartbeat = 15 * time.Second
	firstMost = 500 // events for a watcher who has just come
	everyOne  = math.MaxInt
)

// batch is the data of a message of records.
type batch struct {
	Missed  uint64            `json:"missed"`
	Records []telemetry.Event `json:"records"`
}

// events tells a watcher what happens (server-sent events, HTML Living Standard 9.2):
// a state at once and when it changes, records at most five times a second. Who does
// not read loses the connection, and comes back if it is a browser.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	defer s.watching.Add(-1)
	if s.watching.Add(1) > maxWatchers {
		http.Error(w, "too many watch already; close one of the pages", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	stream := watcher{w: w, flush: http.NewResponseController(w)}
	var mark telemetry.Mark
	for first := true; ; first = false {
		most := everyOne
		if first {
			most = firstMost
		}
		news, next, changed := s.Recent.Since(mark, most)
		if first {
			news.Missed = 0 // it was not there
		}
		mark = next
		if err := stream.tell(news); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(pause):
		}
		if err := stream.await(r, changed); err != nil {
			return
		}
	}
}

// watcher is one stream of events.
type watcher struct {
	w     http.ResponseWriter
	flush *http.ResponseController
}

func (s *watcher) tell(news telemetry.News) error {
	if news.State != nil {
		if err := s.message("state", news.State); err != nil {
			return err
		}
	}
	if len(news.Events) > 0 || news.Missed > 0 {
		return s.message("records", batch{news.Missed, news.Events})
	}
	return nil
}

// message sends one message; JSON has no line breaks.
func (s *watcher) message(event string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return s.send(fmt.Sprintf("event: %s\ndata: %s\n\n", event, text))
}

func (s *watcher) send(text string) error {
	s.flush.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.flush.Flush()
}

// await waits for news. Meanwhile it shows that it is alive, and learns whether the
// watcher is.
func (s *watcher) await(r *http.Request, changed <-chan struct{}) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-changed:
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		case <-beat.C:
			if err := s.send(": alive\n\n"); err != nil {
				return err
			}
		}
	}
}
