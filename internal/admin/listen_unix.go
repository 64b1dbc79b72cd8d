//go:build unix

package admin

import (
	"net"
	"syscall"
)

// listenUnix makes the socket with its permissions: between a bind and a chmod others
// could connect.
func listenUnix(path string) (net.Listener, error) {
	defer syscall.Umask(syscall.Umask(0o177))
	return net.Listen("unix", path)
}
