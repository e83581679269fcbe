package main

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestR09_SendBuffers: what the system holds for a client that does not acknowledge it is bounded, on
// every connection, and does not grow with how much such a client has taken before.
func TestR09_SendBuffers(t *testing.T) {
	cfg, err := (&serveCommand{Data: t.TempDir(), Listen: "127.0.0.1:0"}).settings()
	if err != nil {
		t.Fatal(err)
	}
	all, err := openSockets(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer closeSockets(all)
	c, err := net.Dial("tcp", all[0].tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := all[0].tcp.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	raw, err := accepted.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var bytes int
	var oerr error
	if err := raw.Control(func(fd uintptr) { bytes, oerr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF) }); err != nil || oerr != nil {
		t.Fatal(err, oerr)
	}
	// Linux doubles what is asked for, for its own records, and has a bound of its own (net.core.wmem_max).
	if bytes > 2*sendBuffer {
		t.Errorf("the system holds up to %d bytes", bytes)
	}
}
