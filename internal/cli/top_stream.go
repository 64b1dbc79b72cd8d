package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"keybearer/internal/telemetry"
)

// adminNews is what an adminStream tells: that the connection is there, that it is
// lost, or what came over it.
type adminNews struct {
	connected bool
	lost      error
	wait      time.Duration // after lost: until the next attempt

	state *telemetry.State
	batch adminBatch
}

type adminBatch struct {
	Missed  uint64            `json:"missed"`
	Records []telemetry.Event `json:"records"` // the oldest first
}

// adminStream reads /events of an admin listener.
type adminStream struct {
	address string
	client  http.Client
	silence time.Duration // without a heartbeat, of which there is one in 15 s
	longest time.Duration // between two attempts
}

const maxMessage = 64 << 20 // a server that says more than this at once is none of ours

func newAdminStream(address string) *adminStream {
	network := "tcp"
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		network, address = "unix", path
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: 5 * time.Second}
		return d.DialContext(ctx, network, address)
	}
	return &adminStream{
		address: address,
		client: http.Client{
			Transport:     &http.Transport{DialContext: dial, ResponseHeaderTimeout: 10 * time.Second}, // and no proxy
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		silence: 40 * time.Second,
		longest: 10 * time.Second,
	}
}

// follow tells news until the context ends. It returns an error only if the first
// connection cannot be made.
func (s *adminStream) follow(ctx context.Context, news chan<- adminNews) error {
	defer s.client.CloseIdleConnections()
	everConnected := false
	wait := s.longest / 16
	for {
		connected, err := s.read(ctx, news)
		if ctx.Err() != nil {
			return nil
		}
		everConnected = everConnected || connected
		if !everConnected {
			return fmt.Errorf("%w; start keybearer serve with --admin, or name its address with --admin here", err)
		}
		if wait = min(2*wait, s.longest); connected {
			wait = s.longest / 16
		}
		if !tell(ctx, news, adminNews{lost: err, wait: wait}) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func tell(ctx context.Context, news chan<- adminNews, n adminNews) bool {
	select {
	case news <- n:
		return true
	case <-ctx.Done():
		return false
	}
}

var errSilence = errors.New("nothing was heard for too long")

// read connects and tells what comes, until the stream ends or falls silent.
func (s *adminStream) read(ctx context.Context, news chan<- adminNews) (connected bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/events", nil)
	if err != nil {
		return false, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return false, errors.Unwrap(err) // which says again what is asked for, and not of whom
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return false, fmt.Errorf("%s is no admin listener, or will not be watched: it answers %s: %s",
			s.address, telemetry.Clean(response.Status), telemetry.Clean(strings.TrimSpace(string(body))))
	}
	if !tell(ctx, news, adminNews{connected: true}) {
		return true, ctx.Err()
	}
	timer := time.AfterFunc(s.silence, func() { cancel(errSilence) })
	defer timer.Stop()
	err = s.events(response.Body, timer, func(n adminNews) bool { return tell(ctx, news, n) })
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return true, err
}

// events parses server-sent events, as the admin listener writes them: one line event,
// one line data. Each line of the stream winds the timer up again.
func (s *adminStream) events(r io.Reader, timer *time.Timer, tell func(adminNews) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxMessage)
	event := ""
	for lines.Scan() {
		timer.Reset(s.silence)
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			event = name
			continue
		}
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var n adminNews
		var err error
		switch event {
		case "state":
			err = json.Unmarshal([]byte(data), &n.state)
		case "records":
			err = json.Unmarshal([]byte(data), &n.batch)
		default:
			continue
		}
		if err != nil {
			return fmt.Errorf("not what an admin listener says: %w", err)
		}
		if !tell(n) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("the admin listener closed the connection")
}
