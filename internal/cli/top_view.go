package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"keybearer/internal/telemetry"
)

// topView is what top shows. Its zero value has seen nothing.
type topView struct {
	colors     bool
	state      telemetry.State
	connection string            // in words, if it is not there
	first      bool              // the next records are the first on the connection
	records    []telemetry.Event // the oldest first
	rates      topRates
}

const (
	topKept  = 1000 // records, which the percentiles are of
	topFirst = 500  // records that come first on a connection: with fewer, these are all
)

// take takes what the stream tells, and returns the records that are new.
func (v *topView) take(n adminNews, now time.Time) []telemetry.Event {
	switch {
	case n.connected:
		v.connection, v.first = "", true
	case n.lost != nil:
		v.connection = "reconnecting: " + telemetry.Clean(n.lost.Error())
	case n.state != nil:
		if !n.state.Started.Equal(v.state.Started) { // another process, which counts from 1 again
			v.records, v.rates = nil, topRates{since: n.state.Started.Unix() + 1}
		}
		v.state = *n.state
	default:
		return v.takeRecords(n.batch, now)
	}
	return nil
}

func (v *topView) takeRecords(b adminBatch, now time.Time) []telemetry.Event {
	fresh := b.Records
	if v.first {
		fresh = slices.DeleteFunc(slices.Clone(b.Records), v.knows)
		if len(v.records) == 0 && len(fresh) >= topFirst {
			v.rates.since = end(fresh[0]).Unix() + 1
		}
	}
	for _, e := range fresh {
		at := now
		if v.first {
			at = end(e)
		}
		v.rates.add(at.Unix(), 1, isProblem(e))
	}
	v.rates.add(now.Unix(), int(min(b.Missed, 1e6)), false)
	v.first = false
	v.records = append(v.records, fresh...)
	v.records = slices.Delete(v.records, 0, max(0, len(v.records)-topKept))
	return fresh
}

func (v *topView) knows(e telemetry.Event) bool {
	return slices.ContainsFunc(v.records, func(known telemetry.Event) bool { return known.ID == e.ID })
}

// frame is the screen, line by line: none is wider than width, and there are at most
// height.
func (v *topView) frame(width, height int, now time.Time) []string {
	lines := v.head(width, now)
	lines = append(lines, v.styled(faint, v.row(width, topTitles)))
	if len(v.records) == 0 {
		lines = append(lines, "", fit(`no requests yet; in the shell of a client: eval "$(keybearer env)"`, width))
	}
	for _, e := range slices.Backward(v.records) {
		if len(lines) >= height {
			break
		}
		lines = append(lines, v.styled(styleOf(e), v.row(width, topCells(e))))
	}
	return lines[:min(len(lines), max(0, height))]
}

// head says what is in force, how much happens, and what is wrong.
func (v *topView) head(width int, now time.Time) []string {
	s := &v.state
	requests, problems := v.rates.mean(now.Unix())
	half, most := v.percentiles()
	first := fmt.Sprintf("keybearer %s  listens on %s  up %s  rules %d  secrets %d",
		telemetry.Clean(s.Version), telemetry.Clean(s.Listen), brief(now.Sub(s.Started)), len(s.Rules), len(s.Secrets))
	second := fmt.Sprintf("%s requests  %s problems  p50 %s  p95 %s", perSecond(requests), perSecond(problems), half, most)
	lines := []string{v.styled(bold, fit(first, width)), fit(second, width)}
	wrong := v.wrong()
	for i, text := range wrong {
		if i == 5 {
			lines = append(lines, v.styled(red, fit(fmt.Sprintf("! and %d more", len(wrong)-i), width)))
			break
		}
		lines = append(lines, v.styled(red, fit("! "+text, width)))
	}
	return append(lines, "")
}

func (v *topView) wrong() (all []string) {
	if v.connection != "" {
		all = append(all, v.connection)
	}
	for _, p := range v.state.Rejected {
		all = append(all, "the newest configuration is not in force: "+telemetry.Clean(p))
	}
	for _, p := range v.state.Problems(time.Now()) {
		all = append(all, telemetry.Clean(p))
	}
	return all
}

var topTitles = [...]string{"TIME", "VERDICT", "STATUS", "DURATION", "METHOD", "TARGET AND PATH", "RULE, PROBLEM OR REASON"}

// row is cells in columns. The last two share what the others leave.
func (v *topView) row(width int, cells [len(topTitles)]string) string {
	const fixed = 8 + 9 + 6 + 8 + 7 + 6*gap
	rest := max(0, width-fixed)
	widths := [...]int{8, 9, 6, 8, 7, rest * 11 / 20, rest - rest*11/20}
	var b strings.Builder
	for i, cell := range cells {
		text := fit(telemetry.Clean(cell), widths[i])
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
		if i == 2 || i == 3 { // numbers
			text, pad = pad+text, ""
		}
		b.WriteString(text)
		if i < len(cells)-1 {
			b.WriteString(pad + strings.Repeat(" ", gap))
		}
	}
	return fit(b.String(), width)
}

const gap = 1

func (v *topView) styled(style, text string) string {
	if style == "" || !v.colors {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[m"
}
