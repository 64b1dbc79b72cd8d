package cli

import (
	"slices"
	"time"

	"keybearer/internal/telemetry"
)

// topRates counts in the seconds of the last window.
type topRates struct {
	since   int64 // the first second of which all is known
	seconds [window + 1]struct {
		second             int64
		requests, problems int
	}
}

const window = 10

func (r *topRates) add(second int64, requests int, problem bool) {
	s := &r.seconds[uint64(second)%uint64(len(r.seconds))]
	if second < s.second {
		return // it is from before the window
	}
	if second > s.second {
		s.second, s.requests, s.problems = second, 0, 0
	}
	s.requests += requests
	if problem {
		s.problems++
	}
}

// mean is per second, of those in the window that are over.
func (r *topRates) mean(now int64) (requests, problems float64) {
	from := max(now-window, r.since)
	for _, s := range r.seconds {
		if s.second >= from && s.second < now {
			requests += float64(s.requests)
			problems += float64(s.problems)
		}
	}
	n := float64(max(1, now-from))
	return requests / n, problems / n
}

// percentiles are of the durations of the requests that are kept. A tunnel lasts as
// long as its client likes, as what an upgrade leads to does.
func (v *topView) percentiles() (half, most string) {
	var all []float64
	for _, e := range v.records {
		if e.Protocol != "tunnel" && e.Status != 101 {
			all = append(all, e.DurationMS)
		}
	}
	if len(all) == 0 {
		return "-", "-"
	}
	slices.Sort(all)
	return millis(all[len(all)/2]), millis(all[min(len(all)-1, len(all)*95/100)])
}

func end(e telemetry.Event) time.Time {
	return e.Time.Add(time.Duration(e.DurationMS * float64(time.Millisecond)))
}
