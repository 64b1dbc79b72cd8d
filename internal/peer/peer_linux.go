package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// owner asks the kernel (sock_diag(7)) for the socket whose own end is local and
// whose other end is remote. It asks for that one socket: to list all of them would
// cost more the busier the machine is.
func owner(local, remote netip.AddrPort) (socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return socket{}, fmt.Errorf("open netlink socket: %w", err)
	}
	defer unix.Close(fd)
	// The kernel answers before sendto returns; the time-out is for one that does not.
	timeout := unix.Timeval{Sec: 1}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return socket{}, err
	}
	if err := unix.Sendto(fd, request(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return socket{}, fmt.Errorf("send to netlink: %w", err)
	}
	answer := make([]byte, 4096)
	n, from, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return socket{}, fmt.Errorf("receive from netlink: %w", err)
	}
	if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
		return socket{}, errors.New("netlink message from a process, not from the kernel")
	}
	return parse(answer[:n])
}

// The sizes and offsets of struct nlmsghdr (linux/netlink.h), inet_diag_req_v2
// and inet_diag_msg (linux/inet_diag.h).
const (
	headerSize    = 16
	requestSize   = 56
	uidOffset     = 64
	inodeOffset   = 68
	messageSize   = 72
	sockDiagType  = 20 // SOCK_DIAG_BY_FAMILY
	anyState      = 0xffffffff
	noCookie      = 0xffffffff
	addressOffset = headerSize + 8 // of struct inet_diag_sockid
)

// request is a query for exactly one TCP socket.
func request(local, remote netip.AddrPort) []byte {
	b := make([]byte, headerSize+requestSize)
	native := binary.NativeEndian
	native.PutUint32(b[0:], uint32(len(b)))
	native.PutUint16(b[4:], sockDiagType)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST)
	b[headerSize] = unix.AF_INET6
	if local.Addr().Is4() {
		b[headerSize] = unix.AF_INET
	}
	b[headerSize+1] = unix.IPPROTO_TCP
	native.PutUint32(b[headerSize+4:], anyState)
	id := b[addressOffset:]
	binary.BigEndian.PutUint16(id[0:], local.Port())
	binary.BigEndian.PutUint16(id[2:], remote.Port())
	copy(id[4:20], local.Addr().AsSlice())
	copy(id[20:36], remote.Addr().AsSlice())
	native.PutUint32(id[40:], noCookie)
	native.PutUint32(id[44:], noCookie)
	return b
}

// parse reads the answer: one socket, or an error.
func parse(b []byte) (socket, error) {
	if len(b) < headerSize {
		return socket{}, errShort
	}
	native := binary.NativeEndian
	switch kind := native.Uint16(b[4:]); {
	case kind == unix.NLMSG_ERROR && len(b) >= headerSize+4:
		return socket{}, syscall.Errno(-int32(native.Uint32(b[headerSize:])))
	case kind != sockDiagType || len(b) < headerSize+messageSize:
		return socket{}, errShort
	}
	return socket{uid: native.Uint32(b[headerSize+uidOffset:]), inode: native.Uint32(b[headerSize+inodeOffset:])}, nil
}

var errShort = errors.New("netlink answered something else")
