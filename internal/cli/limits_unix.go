//go:build unix

package cli

import "golang.org/x/sys/unix"

// maxConns is how many client connections the descriptors of this process allow:
// each may need one more for its upstream, and some are for everything else. Zero
// leaves it to the proxy. Go has raised the soft limit to the hard one already.
func maxConns() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return connsFor(uint64(limit.Cur))
}
