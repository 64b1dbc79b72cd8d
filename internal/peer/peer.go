// Package peer tells which user and which program of this machine is at the other
// end of a connection over loopback, by asking the kernel.
//
// `keybearer run` uses it so that nobody else on the machine can use its proxy,
// and with it the credentials of the run. A password in the proxy's URL would do
// as well, but some clients, Java's among them, send none.
//
//	if peer.Known() {
//		proxy.Admit = peer.SameUser
//	}
//
// [Process] is for people: a log that names the program which does not trust our
// certificates says who has to do something about it.
//
// Both are known on Linux, unless a sandbox hides it. Elsewhere [Known] is false and
// SameUser refuses.
package peer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

// Known reports whether the kernel tells who owns a connection: it asks about one
// that it opens to itself. It takes well below a millisecond.
func Known() bool {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return false
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return false
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		return false
	}
	defer conn.Close()
	return SameUser(conn) == nil
}

// ErrOtherUser says that the connection belongs to another user.
var ErrOtherUser = errors.New("the connection belongs to another user of this machine")

// SameUser returns nil if the client of conn, an accepted TCP connection, is a
// process of this process's user or of root. The error is [ErrOtherUser], or says
// why the kernel could not tell; then the client must be refused as well. It is
// safe for concurrent use.
func SameUser(conn net.Conn) error {
	s, err := clientSocket(conn)
	if err != nil {
		return err
	}
	if s.uid != 0 && int(s.uid) != os.Geteuid() {
		return ErrOtherUser
	}
	return nil
}

// Process returns the program file's name and the id of a process that has the
// client's end of conn, an accepted TCP connection, open. It looks into processes,
// the newest first, for at most within, of processor time: on a busy machine that finds
// as much as on an idle one, and takes longer. Those of other users are hidden from all
// but root. The error says why it is not known. It is safe for concurrent use.
func Process(conn net.Conn, within time.Duration) (name string, pid int, err error) {
	s, err := clientSocket(conn)
	if err != nil {
		return "", 0, err
	}
	return holder(s, within)
}

// socket is what the kernel tells of one end of a connection.
type socket struct{ uid, inode uint32 }

// clientSocket asks for the client's end of conn.
func clientSocket(conn net.Conn) (socket, error) {
	client, err := addrPort(conn.RemoteAddr())
	if err != nil {
		return socket{}, err
	}
	server, err := addrPort(conn.LocalAddr())
	if err != nil {
		return socket{}, err
	}
	s, err := owner(client, server)
	if err != nil {
		return s, fmt.Errorf("ask who owns %s: %w", client, err)
	}
	return s, nil
}

func addrPort(a net.Addr) (netip.AddrPort, error) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%v is not a TCP address", a)
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), nil
}
