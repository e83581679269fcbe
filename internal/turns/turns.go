// Package turns has newcomers wait for their turn with what they cost a server to compute: TLS
// and Noise handshakes, and the proofs of a session that begins.
//
// Start with [ForProcess]; [Turns.Listen] paces the TLS handshakes of a listener, and whoever
// computes something else takes a turn with [Turns.Take] and gives it back. A turn is for
// computing alone: whoever waits for the network holds none, so a slow peer holds up nobody.
//
// Why: clients that all come at once, as after a server's restart, would otherwise all be
// served at the same time, a little each, and none in time: every handshake ends after its
// deadline, all are begun again, and who is in already waits behind thousands of them. With
// turns the first are through at once and the others after them; who cannot be served in time
// is turned away before anything was computed, and comes again.
//
// Networks take turns too: a crowd from one waits for itself. Whoever would wait in vain, by how
// long the turns have lately taken, is turned away at once.
//
// Out of scope: how many connections there may be (internal/connlimit).
package turns

import (
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/metrics"
)

// Our own limits.
const (
	// waitAtMost is how long somebody waits for a turn. Clients give up on a session after ten
	// seconds, so what is begun later than this would be computed for nobody.
	waitAtMost = 5 * time.Second
	// freshEvery is how many turns those who have begun may take one after the other while
	// others wait to begin: they go first, since what was computed for them is else lost, but
	// not alone.
	freshEvery = 4
)

// ErrBusy: there was no turn in time, or whoever waited has gone.
var ErrBusy = errors.New("turns: too many newcomers")

// A Stage tells how far somebody is who wants a turn.
type Stage int

// The stages. Begun goes first.
const (
	Fresh Stage = iota // nothing was computed yet
	Begun
	stages
)

// Turns are those of one process. It is safe for concurrent use. A nil *Turns paces nothing.
type Turns struct {
	mu      sync.Mutex   // guards all below
	free    int          // turns that nobody has
	waiting [stages]line // empty while a turn is free
	begun   int          // turns that Begun took since Fresh had one

	each time.Duration // about how long Fresh has lately waited from one turn to the next
	last time.Time     // when it had one; zero if nobody waited since

	metrics *metrics.Connections // nil: nobody counts who had no turn
}

// New returns Turns of which so many may be taken at once.
func New(atOnce int) *Turns {
	return &Turns{free: atOnce, waiting: [stages]line{newLine(), newLine()}}
}

// ForProcess returns Turns that leave at least half of the processors to those who are in.
func ForProcess() *Turns { return New(max(runtime.GOMAXPROCS(0)/2, 1)) }

// CountIn has m count who had no turn in time. Call it before anybody comes.
func (t *Turns) CountIn(m *metrics.Connections) { t.metrics = m }

// waiter is somebody who wants a turn.
type waiter struct {
	ready chan struct{} // closed when it has one

	// Guarded by Turns.mu.
	granted, gone bool
}

// Take waits until there is a turn for somebody from network, five seconds at most, or until
// gone is closed (nil: never). Unless the error is [ErrBusy], the caller calls [Turns.Give] when
// it has computed.
func (t *Turns) Take(network netip.Prefix, stage Stage, gone <-chan struct{}) error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	if stage == Fresh && t.hopeless(network) {
		t.refuse()
		t.mu.Unlock()
		return ErrBusy
	}
	w := &waiter{ready: make(chan struct{})}
	t.waiting[stage].push(network, w)
	t.mu.Unlock()
	late := time.NewTimer(waitAtMost)
	defer late.Stop()
	select {
	case <-w.ready:
		return nil
	case <-late.C:
	case <-gone:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.granted { // at this very moment
		return nil
	}
	w.gone = true
	t.refuse()
	return ErrBusy
}

// Hopeless tells whether somebody fresh from network would wait in vain, and counts him as
// turned away if so. It costs less to know before he has said anything.
func (t *Turns) Hopeless(network netip.Prefix) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.hopeless(network) {
		return false
	}
	t.refuse()
	return true
}

// hopeless tells whether those of a network who wait already will not all have had their turns
// in time. Callers hold mu.
func (t *Turns) hopeless(network netip.Prefix) bool {
	line := &t.waiting[Fresh]
	c := line.networks[network]
	return c != nil && time.Duration(len(c.waiting)*len(line.order))*t.each > waitAtMost
}

// refuse counts somebody who has no turn. Callers hold mu.
func (t *Turns) refuse() {
	if t.metrics != nil {
		t.metrics.TurnedAway(metrics.Busy)
	}
}

// paced notes that somebody fresh has a turn. Callers hold mu.
func (t *Turns) paced() {
	now := time.Now()
	if !t.last.IsZero() {
		t.each += (min(now.Sub(t.last), waitAtMost) - t.each) / 8
	}
	t.last = now
}

// Give gives a turn back, to whoever is next.
func (t *Turns) Give() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.next()
	if w == nil {
		t.free++
		return
	}
	w.granted = true
	close(w.ready)
}

// next returns who has the next turn, nil if nobody waits. Callers hold mu.
func (t *Turns) next() *waiter {
	order := [stages]Stage{Begun, Fresh}
	if t.begun >= freshEvery {
		order = [stages]Stage{Fresh, Begun}
	}
	for _, stage := range order {
		if w := t.waiting[stage].pop(); w != nil {
			if t.begun++; stage == Fresh {
				t.begun = 0
				t.paced()
			}
			return w
		}
	}
	t.begun, t.last = 0, time.Time{}
	return nil
}
