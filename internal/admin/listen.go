package admin

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
)

const unixPrefix = "unix:"

// Listen listens on host:port, or on unix:PATH, a socket for its owner alone. One that
// a process has left behind which is no more is replaced.
func Listen(address string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, unixPrefix)
	if !unix {
		return net.Listen("tcp", address)
	}
	l, err := listenUnix(path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if !isAbandoned(path) {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return listenUnix(path)
}

// isAbandoned reports whether path is a socket on which nobody listens.
func isAbandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
