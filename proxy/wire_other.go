//go:build !unix

package proxy

import "net"

// rawReader is not available here: connections are read through net.Conn.
type rawReader struct{}

func newRawReader(net.Conn) *rawReader { return nil }

func (*rawReader) read() (*[]byte, int, error) { panic("unreachable: newRawReader returns nil") }

// stale cannot tell here; a request on a connection that was closed is retried
// where that is safe.
func stale(net.Conn) bool { return false }
