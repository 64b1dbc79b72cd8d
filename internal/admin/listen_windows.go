package admin

import "net"

// listenUnix: who may connect is decided by the directory.
func listenUnix(path string) (net.Listener, error) { return net.Listen("unix", path) }
