package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"keybearer/proxy/http1"
	"keybearer/rules"
	"keybearer/secrets"
)

// viewer is a callback that keeps what it was shown.
type viewer struct{ shown chan *secrets.Request }

func (v viewer) ForRequest(_ string, r *secrets.Request) secrets.Fetcher {
	v.shown <- r
	return v
}

func (viewer) Fetch(context.Context, secrets.Access) (secrets.Fetched, error) {
	return secrets.Fetched{Text: bearer(canary)[len(`{"headers": `) : len(bearer(canary))-1]}, nil
}

func (viewer) References() []string { return nil }
func (viewer) String() string       { return "viewer" }

// viewed is an exchange that has to ask a viewer.
func viewed(t *testing.T) (exchange, viewer) {
	v := viewer{make(chan *secrets.Request, 1)}
	set, problems := rules.Compile(rules.Config{Callbacks: []rules.CallbackConfig{{MatchHosts: []string{"api.test"}}}}, rules.Tunnel)
	if set == nil {
		t.Fatal(problems)
	}
	store, err := secrets.Open(secrets.Sources{Named: map[string]secrets.Source{rules.AnswerName(0): {Fetch: v}}})
	if err != nil {
		t.Fatal(err)
	}
	target, err := rules.ParseTarget("api.test:443", 0)
	if err != nil {
		t.Fatal(err)
	}
	return exchange{target: target, asking: newLease(set.Rules()[0], store)}, v
}

// A stream that waits for its answer before it goes on is shown as far as it has come,
// after shownTime; what comes later is not lost.
//
// seen red: fillUntil without late; with streamTimeout for it; ask without whole.
func TestAskStreamHTTP1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		s := newHTTP1(&clientConn{p: new(Proxy)}, newWire(server))
		var v viewer
		s.exchange, v = viewed(t)
		s.holdBack(s.c)
		go io.WriteString(client, "first")
		began := time.Now()
		_, err := s.prepare(http1.Framing{Kind: http1.Length, Length: 11})
		if err != nil || string(s.upload.rest) != "first" || s.upload.done() || time.Since(began) != shownTime {
			t.Fatalf("%q after %v, %v", s.upload.rest, time.Since(began), err)
		}
		if shown := <-v.shown; string(shown.Body) != "first" || !shown.BodyTruncated {
			t.Errorf("shown %q, truncated %v", shown.Body, shown.BodyTruncated)
		}
		go io.WriteString(client, "second")
		if err := s.upload.take(); err != nil {
			t.Fatal(err)
		}
		s.client.conn.SetReadDeadline(time.Time{}) // as when it is sent
		if err := s.client.fill(); err != nil {
			t.Fatal(err)
		}
		if err := s.upload.take(); err != nil || string(s.upload.out) != "firstsecond" || !s.upload.done() {
			t.Errorf("%q, %v", s.upload.out, err)
		}
	})
}

// It is the same over HTTP/2, where a Read that has begun goes on.
//
// seen red: heldBody.Read without late; hold with streamTimeout; ask without whole.
func TestAskStreamHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, client := io.Pipe()
		e := &h2{c: &clientConn{p: new(Proxy)}, r: &http.Request{Body: body}, quiet: time.NewTimer(time.Hour)}
		var v viewer
		e.exchange, v = viewed(t)
		go io.WriteString(client, "first")
		began := time.Now()
		held, err := e.prepare(&h2Head{fieldMap: fieldMap{}})
		if err != nil || time.Since(began) != shownTime {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		if shown := <-v.shown; string(shown.Body) != "first" || !shown.BodyTruncated {
			t.Errorf("shown %q, truncated %v", shown.Body, shown.BodyTruncated)
		}
		go func() {
			io.WriteString(client, "second")
			io.WriteString(client, "third")
			client.Close()
		}()
		all, err := io.ReadAll(held)
		if err != nil || string(all) != "firstsecondthird" || e.received.Load() != int64(len(all)) || e.c.p.reserve.total() != 0 {
			t.Errorf("%q, %v, %d received, %d held", all, err, e.received.Load(), e.c.p.reserve.total())
		}
	})
}
