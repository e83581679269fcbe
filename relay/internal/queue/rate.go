package queue

import (
	"time"

	"github.com/sealpost/sealpost/relay"
)

// rates holds token buckets in memory: a restart forgets them, which costs no more than one
// burst. Used by the storing goroutine only.
type rates struct {
	buckets map[string]*bucket
	name    []byte // of the one that is being looked for
}

type bucket struct {
	tokens float64
	at     time.Time
	rate   Rate
}

func newRates() *rates { return &rates{buckets: make(map[string]*bucket)} }

// fill adds what has accrued. A clock that steps back adds nothing and takes nothing.
func (b *bucket) fill(now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(float64(b.rate.Burst), b.tokens+float64(passed)/float64(b.rate.Every))
	}
	b.at = now
}

// take spends a token of the bucket of a limit, queue and key, or tells how long until there is one.
func (r *rates) take(limit relay.Limit, queue []byte, key relay.PublicKey, rate Rate, now time.Time) (wait time.Duration, ok bool) {
	r.name = append(append(append(r.name[:0], byte(limit)), queue...), key[:]...)
	b := r.buckets[string(r.name)]
	if b == nil {
		if len(r.buckets) >= maxBuckets {
			r.prune(now)
		}
		b = &bucket{tokens: float64(rate.Burst), at: now, rate: rate}
		r.buckets[string(r.name)] = b
	}
	b.fill(now)
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) * float64(rate.Every)), false
	}
	b.tokens--
	return 0, true
}

// prune forgets full buckets, which say nothing, and if all are in use, all: whoever makes
// so many buckets has so many keys that own a place in a queue.
func (r *rates) prune(now time.Time) {
	for key, b := range r.buckets {
		if b.fill(now); b.tokens >= float64(b.rate.Burst) {
			delete(r.buckets, key)
		}
	}
	if len(r.buckets) >= maxBuckets {
		clear(r.buckets)
	}
}
