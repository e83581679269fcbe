//go:build unix

package turns

import (
	"net"
	"syscall"
)

// gone tells whether the peer of c has hung up, so that nothing need be computed for it:
// clients that try several ways at once drop the others when one is through.
func gone(c net.Conn) bool {
	for {
		if s, ok := c.(syscall.Conn); ok {
			raw, err := s.SyscallConn()
			return err != nil || hungUp(raw)
		}
		over, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return false
		}
		c = over.NetConn()
	}
}

// hungUp looks at what comes next without taking it.
func hungUp(raw syscall.RawConn) (up bool) {
	err := raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch err {
		case nil:
			up = n <= 0
		case syscall.EAGAIN, syscall.EINTR:
		default:
			up = true
		}
	})
	return up || err != nil
}
