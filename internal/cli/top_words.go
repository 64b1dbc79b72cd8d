package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"keybearer/internal/telemetry"
)

// topLine is a record as a line of fields.
func topLine(e telemetry.Event) string {
	fields := [...]string{e.Time.Local().Format("2006-01-02T15:04:05.000Z07:00"), e.Verdict, status3(e),
		strconv.FormatFloat(e.DurationMS, 'f', 3, 64), e.Method, place(e), e.Rule, reason(e)}
	for i, field := range fields {
		if fields[i] = telemetry.Clean(field); field == "" {
			fields[i] = "-"
		}
	}
	return strings.Join(fields[:], "\t") + "\n"
}

func topCells(e telemetry.Event) [len(topTitles)]string {
	about := e.Rule
	if because := reason(e); because != "" && about != "" {
		about += ": " + because
	} else if because != "" {
		about = because
	}
	return [...]string{e.Time.Local().Format("15:04:05"), e.Verdict, status3(e), millis(e.DurationMS), e.Method, place(e), about}
}

// isProblem is whether keybearer refused or failed, or the upstream did.
func isProblem(e telemetry.Event) bool { return e.Error != "" || e.Status >= 400 }

func status3(e telemetry.Event) string {
	if e.Status == 0 {
		return "-"
	}
	return strconv.Itoa(e.Status)
}

// place is target and path, without the port of https://.
func place(e telemetry.Event) string {
	target := strings.TrimSuffix(e.Target, ":443")
	if e.Method == "CONNECT" {
		return target
	}
	return target + e.Path
}

func reason(e telemetry.Event) string {
	switch {
	case e.Reason != "":
		return e.Reason
	case e.Error == "" && e.Status >= 400:
		return "the upstream's answer"
	}
	return e.Error
}

// The styles of SGR (ECMA-48 8.3.117).
const (
	plainStyle = ""
	bold       = "1"
	faint      = "2"
	red        = "31"
	yellow     = "33"
)

func styleOf(e telemetry.Event) string {
	switch {
	case e.Error != "":
		return red
	case isProblem(e):
		return yellow
	case e.Verdict == "tunnel":
		return faint
	}
	return plainStyle
}

// fit is the beginning of s that is not wider than width.
func fit(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	if width < 1 {
		return ""
	}
	return string([]rune(s)[:width-1]) + "…"
}

func perSecond(n float64) string {
	if n == 0 || n >= 9.95 {
		return fmt.Sprintf("%.0f/s", n)
	}
	return fmt.Sprintf("%.1f/s", n)
}

func millis(ms float64) string {
	switch {
	case 0 < ms && ms < 0.1:
		return "<0.1 ms"
	case ms < 9.95:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 999.5:
		return fmt.Sprintf("%.0f ms", ms)
	case ms < 59_950:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
	return brief(time.Duration(min(ms, 1e12)) * time.Millisecond)
}

// brief is d in its two largest units.
func brief(d time.Duration) string {
	switch s := int64(max(0, d).Seconds()); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", max(0, d).Milliseconds())
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 86_400:
		return fmt.Sprintf("%dh%dm", s/3600, s%3600/60)
	default:
		return fmt.Sprintf("%dd%dh", s/86_400, s%86_400/3600)
	}
}
