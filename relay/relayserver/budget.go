package relayserver

import "sync/atomic"

// budget counts what all sessions hold for clients that are slow to take it. Each has bounds
// of its own; this is for many slow ones at once (ATTACKS R09). It refuses only what is above
// a session's fair share, so nobody waits for others to give back. The zero budget refuses
// nothing.
type budget struct {
	most, share int // bytes in all, and that any session may have whatever the others do
	used        atomic.Int64
}

// take counts n bytes more of a session that has so many, or says that they do not fit.
func (b *budget) take(has, n int) bool {
	if used := b.used.Add(int64(n)); b.most > 0 && used > int64(b.most) && has+n > b.share {
		b.used.Add(-int64(n))
		return false
	}
	return true
}

// room returns how many bytes a session may make ready for its client now, at most so many.
func (b *budget) room(most int) int {
	if b.most > 0 && b.used.Load() > int64(b.most) {
		return min(most, b.share)
	}
	return most
}

// add counts n bytes whether they fit or not.
func (b *budget) add(n int) { b.used.Add(int64(n)) }

// give gives n bytes back.
func (b *budget) give(n int) { b.used.Add(-int64(n)) }
