package queue

import (
	"time"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
)

// signalRate bounds what one attachment makes all others hear (ATTACKS R09).
var signalRate = Rate{16, 250 * time.Millisecond}

// hearing is what an attachment knows for signals: whether its reader is one that may send and
// hear them, as of so many changes of the queue. Guarded by the attachment's mu.
type hearing struct {
	fn      func(*[relay.SignalSize]byte)
	changes uint64 // of the queue, since the attachment began
	checked uint64 // one more than changes was when active was looked up; 0: never
	active  bool
}

// Hear has fn called with what others signal from now on. fn is called on their goroutines,
// also once or twice after Close; it does not block, and does not keep what it is given.
func (a *Attachment) Hear(fn func(sealed *[relay.SignalSize]byte)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hearing.fn = fn
}

// Signal passes sealed to everyone else who is attached to the queue now. It is stored nowhere
// and may be dropped: beyond 16 at once and 4 a second, of an attachment that has ended, from
// or to a reader that was removed. It is for one goroutine at a time, which may be another
// than that of Next.
func (a *Attachment) Signal(sealed *[relay.SignalSize]byte) {
	if a.signals.rate != signalRate {
		a.signals = bucket{tokens: float64(signalRate.Burst), at: a.store.clock(), rate: signalRate}
	}
	if a.signals.fill(a.store.clock()); a.signals.tokens < 1 {
		return
	}
	a.signals.tokens--
	all := a.store.machine.readers.of(a.name)
	if a.store.lookUp(a.queue, all) != nil || all[a.member] != a {
		return
	}
	if _, active := a.hears(); !active {
		return
	}
	for _, other := range all {
		if fn, active := other.hears(); active && fn != nil && other != a {
			fn(sealed)
		}
	}
}

// hears returns whom to tell of a signal, and whether the reader may hear and send any.
func (a *Attachment) hears() (fn func(*[relay.SignalSize]byte), active bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hearing.fn, a.hearing.active && !a.ended
}

// lookUp finds out which readers may send and hear signals, of those whose queue has changed
// since they were looked up. A reader whose removal was answered is never active: the change
// is counted before the answer.
func (s *Store) lookUp(q relay.QueueID, all map[memberID]*Attachment) error {
	stale := make(map[*Attachment]uint64)
	for _, a := range all {
		a.mu.Lock()
		if a.hearing.checked != a.hearing.changes+1 {
			stale[a] = a.hearing.changes + 1 // before the snapshot is taken: what comes later makes it stale again
		}
		a.mu.Unlock()
	}
	if len(stale) == 0 {
		return nil
	}
	return s.shard.View(func(snap *shard.Snapshot) error {
		b, ok, err := openQueue(snap, s.shard, s.read.relayKey, q)
		if err != nil {
			return err
		}
		for a, changes := range stale {
			active := false
			if ok && b.header.State != stateGone && b.header.State != stateSuspended {
				p, known, err := b.reader(a.reader)
				active = err == nil && known && p.State == readerActive
			}
			a.mu.Lock()
			a.hearing.checked, a.hearing.active = changes, active
			a.mu.Unlock()
		}
		return nil
	})
}
