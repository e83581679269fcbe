package relayclient

import (
	"errors"
	"time"

	"github.com/sealpost/sealpost/internal/jitter"
)

const (
	// backoffBase bounds the first delay: a single lost session comes back
	// before a person notices.
	backoffBase = 250 * time.Millisecond
	// backoffCap bounds every delay: a relay that returns is found within a
	// minute, and a GOAWAY of a hostile one silences nobody for longer.
	backoffCap = 60 * time.Second
	// backoffReset is how long a session lives before its end counts as the
	// first failure again. Shorter ones do not reset: a relay that accepts and
	// drops at once would otherwise be dialled without pause.
	backoffReset = 30 * time.Second
)

// Backoff computes the pauses between sessions: exponential with full jitter,
// so that clients which lost their relay at the same instant do not return at
// the same instant. The zero value is ready for use. It holds no timer, and is
// not safe for concurrent use.
type Backoff struct {
	// Jitter returns a duration in [0, limit); nil means a uniform random one.
	// Tests and simulations set it.
	Jitter func(limit time.Duration) time.Duration

	failures int // since the last reset; the next delay is below base<<failures
}

// Next returns how long to wait before the next Dial. lived is how long the
// session that just ended lasted, from Dial's return to Done; zero if Dial
// failed. goAway is the relay's advice (Conn.GoAway, [RetryAfter]), zero without: a drained
// session is no failure, the delay is the advice plus a jitter up to as much
// again, so the returning relay sees its clients spread. A session that had
// hardly begun is a failure all the same, whatever the relay said.
func (b *Backoff) Next(lived, goAway time.Duration) time.Duration {
	if lived >= backoffReset {
		b.failures = 0
	}
	if goAway > 0 {
		goAway = min(goAway, backoffCap)
		pause := min(goAway+b.jitter(max(goAway, backoffBase)), backoffCap)
		if lived >= backoffReset {
			return pause
		}
		return max(pause, b.failed())
	}
	return b.failed()
}

// RetryAfter returns when to come again after a Dial that failed with err, as the relay would
// have it: advice for [Backoff.Next]. It is zero if no transport was told.
func RetryAfter(err error) time.Duration {
	if refused, ok := errors.AsType[*UpgradeError](err); ok {
		return refused.RetryAfter
	}
	return 0
}

// failed is the pause after a failure.
func (b *Backoff) failed() time.Duration {
	limit := backoffCap
	if b.failures < 8 && backoffBase<<b.failures < backoffCap {
		limit = backoffBase << b.failures
		b.failures++
	}
	return b.jitter(limit)
}

// Reset forgets earlier failures, for when the network is known to be back.
func (b *Backoff) Reset() { b.failures = 0 }

func (b *Backoff) jitter(limit time.Duration) time.Duration {
	if b.Jitter != nil {
		return b.Jitter(limit)
	}
	return jitter.Below(limit)
}
