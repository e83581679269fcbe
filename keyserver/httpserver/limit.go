package httpserver

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver"
)

// Rate is a token bucket: Burst at once, then one more each Every.
type Rate struct {
	Burst int
	Every time.Duration
}

// Limits are the rates of one address prefix (IPv4 /32, IPv6 /56) for each operation, and of
// one account as a target. They live in memory only: no address is ever stored. Zero fields
// have defaults, sized for some hundred people behind one address.
type Limits struct {
	Register, Append, Lookup, Upload, Take, Stock Rate
	PutChunk, GetChunk                            Rate
	// Target bounds the takes of one account's one-time packages by everybody together.
	Target Rate
	// LastResort bounds the last resorts that an account over its Target rate gives out.
	LastResort Rate
	// ChunkBytes bounds what one network (IPv4 /24, IPv6 /48) adds to the store of chunks, in
	// bytes; this machine's own addresses are exempt.
	ChunkBytes Rate
}

// maxBuckets bounds the memory of one limiter to about 8 MiB: a botnet has more addresses.
const maxBuckets = 1 << 16

type limiters struct {
	register, append, lookup, upload, take, stock, putChunk, getChunk, target, lastResort, chunkBytes *limiter
}

func newLimiters(l Limits, clock func() time.Time) *limiters {
	or := func(r Rate, burst int, every time.Duration) *limiter {
		if r.Burst <= 0 || r.Every <= 0 {
			r = Rate{burst, every}
		}
		return &limiter{rate: r, clock: clock, buckets: make(map[string]time.Time)}
	}
	return &limiters{
		register: or(l.Register, 100, 10*time.Second),
		append:   or(l.Append, 100, 10*time.Second),
		lookup:   or(l.Lookup, 600, 200*time.Millisecond),
		upload:   or(l.Upload, 200, 5*time.Second),
		take:     or(l.Take, 600, time.Second),
		stock:    or(l.Stock, 600, time.Second),
		putChunk: or(l.PutChunk, 4096, 100*time.Millisecond), // 256 MiB, then 640 KiB a second
		getChunk: or(l.GetChunk, 8192, 20*time.Millisecond),
		target:   or(l.Target, 100, 36*time.Second), // 100 at once, 100 an hour

		lastResort: or(l.LastResort, 1000, 3600*time.Millisecond),     // 1,000 at once, 1,000 an hour
		chunkBytes: or(l.ChunkBytes, 512<<20, 24*time.Hour/(512<<20)), // 512 MiB at once, and as much a day
	}
}

// limiter counts by key. It is safe for concurrent use.
type limiter struct {
	rate  Rate
	clock func() time.Time

	mu      sync.Mutex
	buckets map[string]time.Time // guarded by mu: when the key's bucket will be full again
	crowd   time.Time            // guarded by mu: the one bucket of all that found no room
}

// spend takes a token of key's bucket and returns zero, or how long to wait for one.
func (l *limiter) spend(key string) time.Duration { return l.spendMany(key, 1) }

// spendMany takes n tokens, or none.
func (l *limiter) spendMany(key string, n int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	full, known := l.buckets[key]
	room := known || l.room(now)
	if !room {
		full = l.crowd
	}
	if full.Before(now) {
		full = now
	}
	full = full.Add(time.Duration(n) * l.rate.Every)
	if over := full.Sub(now) - time.Duration(l.rate.Burst)*l.rate.Every; over > 0 {
		return over
	}
	if room {
		l.buckets[key] = full
	} else {
		l.crowd = full
	}
	return 0
}

// room makes room for one more bucket by dropping those that are full again, which say
// nothing. If all are in use, newcomers share one bucket: a flood of addresses slows down
// strangers, not those who were there before, and never the server.
func (l *limiter) room(now time.Time) bool {
	if len(l.buckets) < maxBuckets {
		return true
	}
	if l.crowd.After(now) {
		return false // looked through all of them a moment ago
	}
	for key, full := range l.buckets {
		if !full.After(now) {
			delete(l.buckets, key)
		}
	}
	return len(l.buckets) < maxBuckets
}

// prefix is what of a remote address counts: all of IPv4, a customer's /56 of IPv6.
func prefix(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return "" // not TCP: all such share one bucket
	}
	addr := at.Addr().Unmap().WithZone("")
	if addr.Is6() {
		p, err := addr.Prefix(56)
		if err != nil {
			return ""
		}
		addr = p.Addr()
	}
	return string(addr.AsSlice())
}

// chargeChunk takes size bytes of the budget of the network that asks: of the store, unlike of
// the rates, one holder's prefixes together could fill all, and a /48 has 256 of them.
func (l *limiters) chargeChunk(ctx context.Context, size int) error {
	from, _ := shard.Submitter(ctx)
	if addr, ok := netip.AddrFromSlice([]byte(from)); ok {
		if addr.IsLoopback() {
			return nil
		}
		bits := 48
		if addr.Is4() {
			bits = 24
		}
		site, _ := addr.Prefix(bits) // in range
		from = string(site.Addr().AsSlice())
	}
	if wait := l.chunkBytes.spendMany(from, size); wait > 0 {
		return limited(wait)
	}
	return nil
}

// limited is the refusal; the wait is rounded up to whole seconds.
func limited(wait time.Duration) error {
	seconds := (wait + time.Second - 1) / time.Second
	return &keyserver.Error{Code: keyserver.CodeLimited, Text: keyserver.ErrLimited.Text, RetryAfter: seconds * time.Second}
}
