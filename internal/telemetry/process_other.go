//go:build !linux

package telemetry

import (
	"io"

	"github.com/VictoriaMetrics/metrics"
)

func writeProcess(w io.Writer) {
	metrics.WriteProcMetrics(w)
	metrics.WriteFDMetrics(w)
}
