package cli

import (
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// limitMemory makes the garbage collector work harder as the memory that the cgroup
// grants comes to its end: Go does not look there, and would be killed with garbage
// left to collect. GOMEMLIMIT in the environment comes first.
func limitMemory(logger *slog.Logger) {
	limit, err := memlimit.Set() // 90 % of what is granted; none if that is not limited
	if err != nil {
		logger.Debug("the memory limit of the cgroup is not known", "problem", err.Error())
		return
	}
	logger.Debug("memory limit of the garbage collector", "bytes", limit)
}
