package relayserver

import (
	"net/netip"
	"sync"
	"time"
)

// prefixOf returns the part of the network that a limit is counted for: a /24 or a /56,
// what one household or hoster's customer has. An address that does not parse counts with
// all others of its kind.
func prefixOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := ap.Addr().Unmap().WithZone(""), 56
	if addr.Is4() {
		bits = 24
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// siteOf returns what one holder may have around a prefix: many hosters and tunnel brokers give
// a /48 of IPv6, which has 256 of our prefixes, to whoever asks. Others are sites of their own.
func siteOf(p netip.Prefix) netip.Prefix {
	if !p.Addr().Is6() || p.Addr().IsLoopback() {
		return p
	}
	site, _ := p.Addr().Prefix(48) // in range
	return site
}

// buckets holds a token bucket for each address prefix that used one lately. It lives in
// memory only: no address is ever stored (DESIGN section 3).
type buckets struct {
	burst int
	every time.Duration

	mu   sync.Mutex
	full map[netip.Prefix]time.Time // when the bucket is full again
}

func newBuckets(burst int, every time.Duration) *buckets {
	return &buckets{burst: burst, every: every, full: make(map[netip.Prefix]time.Time)}
}

// take takes one token of p's bucket, or says how long to wait for one.
func (b *buckets) take(p netip.Prefix, now time.Time) (wait time.Duration, ok bool) {
	return b.takeMany(p, 1, now)
}

// takeMany takes n tokens, or none.
func (b *buckets) takeMany(p netip.Prefix, n int, now time.Time) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.full[p]; !known && len(b.full) >= maxPrefixes {
		b.sweep(now)
		if len(b.full) >= maxPrefixes {
			p = netip.Prefix{} // the one that strangers share
		}
	}
	full := b.full[p]
	if full.Before(now) {
		full = now
	}
	full = full.Add(time.Duration(n) * b.every)
	if over := full.Sub(now) - time.Duration(b.burst)*b.every; over > 0 {
		return over, false
	}
	b.full[p] = full
	return 0, true
}

// give gives n tokens back that were not needed. Those of a prefix whose bucket was full again
// meanwhile, or that had found no room, are lost.
func (b *buckets) give(p netip.Prefix, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if full, known := b.full[p]; known {
		b.full[p] = full.Add(-time.Duration(n) * b.every)
	}
}

// sweep forgets full buckets: they are what a new one would be.
func (b *buckets) sweep(now time.Time) {
	for p, full := range b.full {
		if !full.After(now) {
			delete(b.full, p)
		}
	}
}
