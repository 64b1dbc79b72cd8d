// Package telemetry turns what the proxy tells of its work, one [proxy.Record]
// per exchange or tunnel, into views for people and machines: lines of a log
// ([Log]), counts for Prometheus ([Metrics]), and what happens right now ([Recent]),
// from which the admin listener makes its page.
//
//	out := telemetry.NewWriter(os.Stderr) // never waits for whoever reads
//	defer out.Close()
//	logger, err := telemetry.NewLogger(out, "auto", "info")
//	p := &proxy.Proxy{Emit: telemetry.Log(logger)}
//
// A record holds no header value, no query and no secret, and so no view can
// show one. What a client chose freely, such as a path, is shown without control
// characters: a log is read on terminals, and terminals obey them.
//
// The package does not rotate or ship logs: a log goes to one writer, or to a [File],
// which whoever rotates it has reopened.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"keybearer/proxy"
)

// NewLogger returns a logger that writes lines to w. The format is text, json or
// auto, which is text if w is a terminal and json if not; the level is debug,
// info, warn or error.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var o slog.HandlerOptions
	switch level {
	case "debug":
		o.Level = slog.LevelDebug
	case "info":
		o.Level = slog.LevelInfo
	case "warn":
		o.Level = slog.LevelWarn
	case "error":
		o.Level = slog.LevelError
	default:
		return nil, fmt.Errorf("log level %q: use debug, info, warn or error", level)
	}
	if !slices.Contains([]string{"auto", "text", "json"}, format) {
		return nil, fmt.Errorf("log format %q: use auto, text or json", format)
	}
	newHandler := func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, &o) }
	if format == "text" || format == "auto" && isTerminal(w) {
		newHandler = func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, &o) }
	}
	if q, ok := w.(*Writer); ok {
		direct := slog.New(newHandler(q.to))
		q.lost = func(lines uint64) {
			direct.Warn("lines of this log were dropped: whoever reads it is too slow, or the disk is full", "lines", lines)
		}
	}
	return slog.New(newHandler(w)), nil
}

func isTerminal(w io.Writer) bool {
	if q, ok := w.(*Writer); ok {
		w = q.to
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Log returns a function for [proxy.Proxy.Emit] that writes one line per record:
// at level info when all went well, at level warn when the request was refused
// or failed. Attributes that do not apply are left out. It is safe for concurrent
// use.
func Log(l *slog.Logger) func(proxy.Record) {
	h := l.Handler()
	return func(r proxy.Record) {
		level, message := slog.LevelInfo, "request"
		if r.Method == "CONNECT" {
			message = "connection"
		}
		if r.Error != "" {
			level = slog.LevelWarn
		}
		if ctx := context.Background(); h.Enabled(ctx, level) {
			// Not by l.LogAttrs, which asks for its caller: that costs a quarter of a line.
			line := slog.NewRecord(time.Now(), level, message, 0)
			addAttributes(&line, &r)
			h.Handle(ctx, line)
		}
	}
}

func addAttributes(to *slog.Record, r *proxy.Record) {
	var room [20]slog.Attr // on the stack
	line := attrs(room[:0])
	line.add(slog.Uint64("id", r.ID))
	line.text("client", r.Client)
	line.text("account", r.Account)
	line.text("target", r.Target)
	line.text("protocol", r.Protocol)
	line.add(slog.String("verdict", r.Verdict.String()))
	line.text("method", r.Method)
	line.text("path", r.Path)
	line.text("rule", r.Rule)
	line.text("injected", strings.Join(r.Injected, ","))
	if r.Status != 0 {
		line.add(slog.Int("status", r.Status))
	}
	line.add(slog.Int64("received", r.BytesReceived), slog.Int64("sent", r.BytesSent))
	if r.Masked != 0 {
		line.add(slog.Int("masked", r.Masked))
	}
	line.duration("connect_ms", r.Connect)
	line.duration("handshake_ms", r.Handshake)
	line.duration("first_byte_ms", r.FirstByte)
	line.add(slog.Float64("duration_ms", ms(r.Duration)))
	line.text("error", r.Error)
	line.text("reason", r.Reason)
	to.AddAttrs(line...)
}

type attrs []slog.Attr

func (a *attrs) add(attr ...slog.Attr) { *a = append(*a, attr...) }

// text adds s, unless it is empty.
func (a *attrs) text(key, s string) {
	if s != "" {
		a.add(slog.String(key, Clean(s)))
	}
}

// duration adds d, unless it is 0: then there was nothing to measure.
func (a *attrs) duration(key string, d time.Duration) {
	if d != 0 {
		a.add(slog.Float64(key, ms(d)))
	}
}

// isPlain reports whether s is visible ASCII, as nearly all is.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func visible(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}
