// Package telemetry turns what the proxy tells of its work, one [proxy.Record]
// per exchange or tunnel, into views for people and machines. Today there is
// one view, the log:
//
//	logger, err := telemetry.NewLogger(os.Stderr, "auto", "info")
//	p := &proxy.Proxy{Emit: telemetry.Log(logger)}
//
// A record holds no header value, no query and no secret, and so no view can
// show one. What a client chose freely, such as a path, is shown without control
// characters: a log is read on terminals, and terminals obey them.
//
// The package does not write files, rotate or ship logs: the log goes to one
// writer.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
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
	switch {
	case format == "text", format == "auto" && isTerminal(w):
		return slog.New(slog.NewTextHandler(w, &o)), nil
	case format == "json", format == "auto":
		return slog.New(slog.NewJSONHandler(w, &o)), nil
	}
	return nil, fmt.Errorf("log format %q: use auto, text or json", format)
}

func isTerminal(w io.Writer) bool {
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
	var room [16]slog.Attr // on the stack
	line := attrs(room[:0])
	line.add(slog.Uint64("id", r.ID))
	line.text("client", r.Client)
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
	line.add(slog.Float64("duration_ms", float64(r.Duration.Microseconds())/1000))
	line.text("error", r.Error)
	line.text("reason", r.Reason)
	to.AddAttrs(line...)
}

type attrs []slog.Attr

func (a *attrs) add(attr ...slog.Attr) { *a = append(*a, attr...) }

// text adds s, unless it is empty, without what a terminal might obey. JSON
// escapes neither DEL nor the C1 controls, nor what turns the direction of text.
func (a *attrs) text(key, s string) {
	if s == "" {
		return
	}
	if !isPlain(s) {
		s = strings.Map(visible, s)
	}
	a.add(slog.String(key, s))
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
