package main

import (
	"net"
	"net/netip"
	"sync"
)

// Our own limits on open connections, which are counted from accept on: before a request is
// read nothing else bounds them, and a process without a file descriptor to spare cannot
// open its stores' next file, which ends the store.
const (
	reservedFiles    = 512     // for the stores' tables and logs
	connsPerNetwork  = 2048    // of one IPv4 /24 or IPv6 /56: the relay's 1,024 sessions, and as many requests
	connsPerLoopback = 4096    // programs on this machine, and a proxy that forwards TLS
	maxConns         = 1 << 18 // where the system sets no limit: about 4 GiB of TLS state
)

// connLimits are what a boundedListener lets in.
type connLimits struct{ total, network, loopback int }

// limitsFor returns the limits of a process that may have so many files open. One network
// never gets more than a quarter of what there is.
func limitsFor(files uint64) connLimits {
	total := int(min(files, maxConns+reservedFiles))
	total = max(total-reservedFiles, total/2, 1)
	return connLimits{total, min(connsPerNetwork, max(total/4, 1)), min(connsPerLoopback, total)}
}

// boundedListener closes connections over its limits as they come: whoever is in stays in,
// and those turned away cost one descriptor for a moment. It is safe for concurrent use.
type boundedListener struct {
	net.Listener
	limits connLimits

	mu        sync.Mutex
	open      int                  // guarded by mu
	byNetwork map[netip.Prefix]int // guarded by mu; no entry is zero
}

func newBoundedListener(l net.Listener, limits connLimits) *boundedListener {
	return &boundedListener{Listener: l, limits: limits, byNetwork: make(map[netip.Prefix]int)}
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		network := networkOf(c.RemoteAddr().String())
		if !l.admit(network) {
			_ = c.Close() // nobody is told: that would take time, and the peer comes again
			continue
		}
		return &countedConn{Conn: c, release: sync.OnceFunc(func() { l.release(network) })}, nil
	}
}

func (l *boundedListener) admit(network netip.Prefix) bool {
	most := l.limits.network
	if network.Addr().IsLoopback() {
		most = l.limits.loopback
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.limits.total || l.byNetwork[network] >= most {
		return false
	}
	l.open++
	l.byNetwork[network]++
	return true
}

func (l *boundedListener) release(network netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.byNetwork[network]--; l.byNetwork[network] == 0 {
		delete(l.byNetwork, network) // else the map grows with every network ever seen
	}
}

// networkOf returns what of a remote address counts: an IPv4 /24 or IPv6 /56, or the whole
// machine. An address that does not parse counts with all others of its kind.
func networkOf(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := at.Addr().Unmap().WithZone(""), 56
	if addr.IsLoopback() {
		addr = netip.IPv6Loopback()
		bits = addr.BitLen()
	}
	if addr.Is4() {
		bits = 24
	}
	p, _ := addr.Prefix(bits) // bits are always in range
	return p
}

// countedConn gives its place back when it is closed, as often as that may happen.
type countedConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
