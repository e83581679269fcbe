//go:build unix

package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// boundSends has the system hold at most sendBuffer bytes of what was sent over each TCP connection
// of a listener: accepted connections have what it has.
func boundSends(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer) })
	if cerr != nil {
		return cerr
	}
	return err
}
