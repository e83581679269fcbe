package relayserver

import (
	"context"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// flight bounds what one session over QUIC has on its way: what was sent stays in memory until
// the client's QUIC acknowledges it, which a client can put off for as long as it likes, and
// which no deadline and no budget of ours sees (ATTACKS R09). The library's only bound is the congestion
// window, which grows as long as it is used up, to ten thousand packets. It is not used up
// beyond what is written in a round trip: that is bounded here, and so the window. Over TCP the same is
// in the system's send buffer, which whoever listens bounds (cmd/sealpost, sendBuffer): a session cannot
// reach its socket below TLS.
type flight struct {
	conn *quic.Conn // nil: its round trips are not known

	mu    sync.Mutex
	since time.Time // when the current round trip began
	sent  int       // bytes in it
}

// connKey is the key of a QUIC connection in the context of its requests.
type connKey struct{}

// withConn returns ctx with its connection.
func withConn(ctx context.Context, c *quic.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func newFlight(ctx context.Context) *flight {
	c, _ := ctx.Value(connKey{}).(*quic.Conn)
	return &flight{conn: c}
}

// enter waits until n bytes more may be sent, or until over is closed.
func (f *flight) enter(n int, over <-chan struct{}) {
	for {
		pause := f.take(n, time.Now())
		if pause <= 0 {
			return
		}
		later := time.NewTimer(pause)
		select {
		case <-later.C:
		case <-over:
			later.Stop()
			return
		}
	}
}

// take counts n bytes, or says how long to wait.
func (f *flight) take(n int, now time.Time) time.Duration {
	trip := f.trip()
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.since) >= trip {
		f.since, f.sent = now, 0
	}
	if f.sent >= quicFlight {
		return f.since.Add(trip).Sub(now)
	}
	f.sent += n
	return 0
}

// trip returns how long a round trip takes. A client that makes it long waits for it.
func (f *flight) trip() time.Duration {
	if f.conn == nil {
		return leastTrip
	}
	return min(max(f.conn.ConnectionStats().SmoothedRTT, leastTrip), mostTrip)
}
