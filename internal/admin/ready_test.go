package admin

import (
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"keybearer/internal/telemetry"
)

// Whether every rule can act is told as of the moment of the question: that a certificate
// has expired, also if nobody has said so since.
//
// seen red: ready with the time at which the state was told; ProblemAt without Expires.
func TestReadyKnowsTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Recent: telemetry.NewRecent()}
		ready := func() (int, string) {
			w := httptest.NewRecorder()
			s.handler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
			return w.Code, w.Body.String()
		}
		s.Recent.SetState(telemetry.State{Rules: []telemetry.RuleState{
			{Name: "a", Expires: time.Now().Add(time.Hour)}, {Name: "b"}, {Name: "c", Expires: time.Now().Add(time.Hour + time.Second)},
		}})
		time.Sleep(time.Hour)
		if status, body := ready(); status != 200 {
			t.Errorf("before: %d %s", status, body)
		}
		time.Sleep(time.Millisecond)
		if status, body := ready(); status != 503 || body != "rule a refuses its requests: client certificate: expired on 2000-01-01; renew it\n" {
			t.Errorf("after: %d %s", status, body)
		}
	})
}
