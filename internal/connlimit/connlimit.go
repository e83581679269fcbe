// Package connlimit bounds the open connections of a process, over all its listeners and
// transports together, in all and by network.
//
// Start with [New] of [ForProcess]; [Counter.Listen] wraps a TCP listener, and whoever
// accepts in another way takes a [Place] for each connection. Addresses are held in memory
// while their connections are open, and nowhere else.
//
// Out of scope: rates, and what a connection may do once it is in.
package connlimit

import (
	"net"
	"net/netip"
	"sync"

	"github.com/sealpost/sealpost/internal/metrics"
)

// Our own limits on open connections, which are counted from accept on: before a request is
// read nothing else bounds them, and a process without a file descriptor to spare cannot
// open its stores' next file, which ends the store.
const (
	reservedFiles    = 512     // for the stores' tables and logs
	connsPerNetwork  = 2048    // of one IPv4 /24 or IPv6 /56: the relay's 1,024 sessions, and as many requests
	networksPerSite  = 4       // of an IPv6 /48, which many hosters and tunnel brokers give to whoever asks: it has 256 networks
	connsPerLoopback = 4096    // programs on this machine, and a proxy that forwards TLS
	maxConns         = 1 << 18 // where the system sets no limit: about 4 GiB of TLS state
)

// Limits are what a Counter lets in.
type Limits struct {
	Total    int // open at once
	Network  int // of one IPv4 /24 or IPv6 /56
	Loopback int // of this machine
}

// ForProcess returns the limits that suit the number of files this process may have open.
// QUIC connections cost memory in place of a file, and count all the same.
func ForProcess() Limits { return forFiles(openFiles()) }

// forFiles returns the limits of a process that may have so many files open. One network
// never gets more than a quarter of what there is.
func forFiles(files uint64) Limits {
	total := int(min(files, maxConns+reservedFiles))
	total = max(total-reservedFiles, total/2, 1)
	return Limits{total, min(connsPerNetwork, max(total/4, 1)), min(connsPerLoopback, total)}
}

// Counter counts open connections. It is safe for concurrent use.
type Counter struct {
	// Static after the first connection.
	limits  Limits
	metrics *metrics.Connections // nil: nobody counts who is turned away

	mu        sync.Mutex
	open      int                  // guarded by mu
	byNetwork map[netip.Prefix]int // guarded by mu; no entry is zero
	bySite    map[netip.Prefix]int // the same
}

// New returns a Counter that has let in nobody.
func New(limits Limits) *Counter {
	return &Counter{limits: limits, byNetwork: make(map[netip.Prefix]int), bySite: make(map[netip.Prefix]int)}
}

// Limits returns what New was given.
func (c *Counter) Limits() Limits { return c.limits }

// CountIn has m count who is turned away, and tell how many are open. Call it before anybody
// comes, and once.
func (c *Counter) CountIn(m *metrics.Connections) {
	c.metrics = m
	m.Measure(func() float64 { return float64(c.Open()) })
}

// TurnedAway counts a connection that is refused, and why.
func (c *Counter) TurnedAway(why metrics.Turned) {
	if c.metrics != nil {
		c.metrics.TurnedAway(why)
	}
}

// Open returns how many connections are counted.
func (c *Counter) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// OpenOf returns how many connections are counted of remote's network.
func (c *Counter) OpenOf(remote net.Addr) int {
	network := NetworkOf(remote)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byNetwork[network]
}

// Take counts a connection whose client is not known yet, or returns nil if there is no room
// for it.
func (c *Counter) Take() *Place {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.limits.Total {
		c.TurnedAway(metrics.ServerFull)
		return nil
	}
	c.open++
	return &Place{counter: c}
}

// Admit counts a connection from remote, or returns nil if there is no room for it.
func (c *Counter) Admit(remote net.Addr) *Place {
	p := c.Take()
	if p != nil && !p.Claim(remote) {
		p.Release()
		return nil
	}
	return p
}

// A Place is that of one open connection. It is safe for concurrent use.
type Place struct {
	counter *Counter

	// Guarded by counter.mu.
	network  *netip.Prefix // nil until claimed
	released bool
}

// Claim counts the place for the network of remote as well, once, and reports whether there
// is room for it. A place that found none is still to be released.
func (p *Place) Claim(remote net.Addr) bool {
	network := NetworkOf(remote)
	site := siteOf(network)
	most, mostOfSite := p.counter.limits.Network, p.counter.limits.site()
	if network.Addr().IsLoopback() {
		most, mostOfSite = p.counter.limits.Loopback, p.counter.limits.Loopback
	}
	p.counter.mu.Lock()
	defer p.counter.mu.Unlock()
	if p.released || p.network != nil || p.counter.byNetwork[network] >= most || p.counter.bySite[site] >= mostOfSite {
		p.counter.TurnedAway(metrics.NetworkFull)
		return false
	}
	p.network = &network
	p.counter.byNetwork[network]++
	p.counter.bySite[site]++
	return true
}

// Release gives the place back, once, however often it is called.
func (p *Place) Release() {
	p.counter.mu.Lock()
	defer p.counter.mu.Unlock()
	if p.released {
		return
	}
	p.released = true
	p.counter.open--
	if p.network == nil {
		return
	}
	if p.counter.byNetwork[*p.network]--; p.counter.byNetwork[*p.network] == 0 {
		delete(p.counter.byNetwork, *p.network) // else the map grows with every network ever seen
	}
	site := siteOf(*p.network)
	if p.counter.bySite[site]--; p.counter.bySite[site] == 0 {
		delete(p.counter.bySite, site)
	}
}

// site returns how many connections an IPv6 /48 may have: no more than a quarter of all, as
// one network.
func (l Limits) site() int { return max(l.Network, min(networksPerSite*l.Network, l.Total/4)) }

// siteOf returns what one holder may have of IPv6: the /48 around a network. Others are sites
// of their own.
func siteOf(network netip.Prefix) netip.Prefix {
	if !network.Addr().Is6() || network.Addr().IsLoopback() {
		return network
	}
	site, _ := network.Addr().Prefix(48) // in range
	return site
}

// NetworkOf returns what of a remote address counts: an IPv4 /24 or IPv6 /56, or the whole
// machine. An address that does not parse counts with all others of its kind.
func NetworkOf(remote net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(remote.String())
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
