package cli

import (
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"keybearer/internal/config"
	"keybearer/internal/telemetry"
	"keybearer/proxy"
)

// logs are the log of a command and, if it was asked for, the access log, which has
// the records instead. Neither waits for whoever reads it.
type logs struct {
	*slog.Logger
	records *slog.Logger
	writers []*telemetry.Writer
	access  *telemetry.File // nil if there is none
}

// openLogs opens the logs and puts the warnings of the configuration into the first.
func openLogs(cmd *cobra.Command, c *config.Config) (*logs, error) {
	l := new(logs)
	var err error
	if l.Logger, err = l.open(cmd.ErrOrStderr(), c.Settings.LogFormat, c.Settings.LogLevel); err != nil {
		return nil, err
	}
	l.records = l.Logger
	if c.Settings.AccessLog != "" {
		if err := l.openAccess(cmd.OutOrStdout(), c.Settings); err != nil {
			l.close()
			return nil, err
		}
	}
	for _, p := range c.Warnings {
		l.Warn(p.String())
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		if os.Getenv(name) != "" {
			l.Warn(name + " in keybearer's own environment is ignored; to reach upstreams through a proxy set upstream_proxy")
			break
		}
	}
	return l, nil
}

func (l *logs) open(w io.Writer, format, level string) (*slog.Logger, error) {
	out := telemetry.NewWriter(w)
	l.writers = append(l.writers, out)
	logger, err := telemetry.NewLogger(out, format, level)
	return logger, exit(exitConfig, err)
}

// openAccess opens the access log. Whoever asks for one wants every record, whatever
// the level of the other log.
func (l *logs) openAccess(stdout io.Writer, s config.Settings) (err error) {
	to := stdout
	if s.AccessLog != "-" {
		if l.access, err = telemetry.OpenFile(s.AccessLog); err != nil {
			return exit(exitFailed, err)
		}
		to = l.access
	}
	l.records, err = l.open(to, s.LogFormat, "info")
	return err
}

// emit is for proxy.Proxy.Emit.
func (l *logs) emit() func(proxy.Record) { return telemetry.Log(l.records) }

// reopen is for whoever rotates the access log.
func (l *logs) reopen() {
	if l.access == nil {
		return
	}
	if err := l.access.Reopen(); err != nil {
		l.Error("the access log goes on in the old file", "problem", err.Error())
	}
}

// dropped is how many lines got lost because somebody did not read.
func (l *logs) dropped() (lines uint64) {
	for _, w := range l.writers {
		lines += w.Dropped()
	}
	return lines
}

// close writes what is pending.
func (l *logs) close() {
	for _, w := range l.writers {
		w.Close()
	}
	if l.access != nil {
		l.access.Close()
	}
}
