package queue

import (
	"sync"
	"sync/atomic"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
)

// reading is what attachments read with.
type reading struct {
	shard    *shard.Store
	relayKey relay.RelayKey

	mu   sync.Mutex
	last *fresh // guarded by mu; nil: none
}

// An Attachment is one reader's place in one queue's log. Next and Close are for one
// goroutine at a time; Ended is safe for concurrent use.
type Attachment struct {
	store  *Store
	queue  relay.QueueID
	name   string
	reader relay.PublicKey
	member memberID
	at     relay.Position // the last thing given; used by Next only
	blind  bool           // attached without a position
	full   uint64         // the batch of which everything was given; used by Next only
	wake   func()

	mu     sync.Mutex
	ended  bool               // guarded by mu
	reason relay.DetachReason // guarded by mu
	stored uint64             // guarded by mu: the client has said that it has stored so much
	began  uint64             // what it had stored when it attached; static
	head   uint64             // what it was told of then; static
	behind bool               // there may have been more to read then; static

	callable atomic.Bool // the reader has a wake handle, or had one

	hearing hearing // guarded by mu
	signals bucket  // used by Signal only
}

// A Batch is what a reader gets next: entries with the chain after them, or a gap, or the
// end of a removed reader; empty when there is nothing new.
type Batch struct {
	Entries []relay.Entry
	Chain   relay.Hash // after the last entry
	Gap     *relay.Gap // Attachment is left 0
	End     *relay.Position
	Larger  bool // from NextWithin: what comes next is an entry that is larger
}

// Attach opens the log for reader after pos, or, if pos is nil, from where the reader was
// registered. The caller has proven reader for reading in q. An earlier attachment of the
// same reader ends as superseded. Refusals: UNKNOWN, FORBIDDEN (a ticket), SUSPENDED, ROLLBACK with the
// head (pos is not in this log). In the Attached only Head and LastCommit are set; for a
// removed reader Head is its end, and LastCommit is none if it came later.
//
// wake is called when there may be more to read, which may be before Attach returns, and when
// the attachment has ended. Others wait meanwhile, so it does not block, and does not call the
// Store or the Attachment.
func (s *Store) Attach(q relay.QueueID, key relay.PublicKey, pos *relay.Position, wake func()) (*Attachment, relay.Attached, error) {
	a := &Attachment{store: s, queue: q, name: string(queueName(s.shard, q)), reader: key, wake: wake}
	var out relay.Attached
	callable, noted, batch := false, false, uint64(0)
	err := s.shard.View(func(snap *shard.Snapshot) error {
		batch = snap.Batch()
		b, p, err := s.read.open(snap, q, key)
		if err != nil {
			return err
		}
		if p.State == readerTicket {
			return relay.ErrForbidden
		}
		out = relay.Attached{Head: b.header.head(), LastCommit: b.header.LastCommit}
		if p.End != nil { // it hears of nothing that came later
			if out.Head = *p.End; out.LastCommit.Seq > p.End.Seq {
				out.LastCommit = relay.Position{}
			}
		}
		a.member, callable = memberOf(b.member(kindReader, key)), len(p.Handle) > 0
		a.began, a.head = p.Acked, out.Head.Seq
		if pos != nil {
			a.began = max(a.began, pos.Seq)
		}
		a.stored = a.began
		a.behind = pos == nil || *pos != out.Head || p.State != readerActive
		noted = p.State == readerActive && p.Day == s.machine.today.Load() && b.header.Swept >= b.header.Acked
		if pos == nil {
			a.blind = true
			a.at, err = b.beginning(s.read.relayKey, q)
			return err
		}
		a.at = *pos
		return b.verify(s.read.relayKey, q, *pos, out.Head)
	})
	if err != nil {
		return nil, relay.Attached{}, refusalFor(err)
	}
	s.machine.readers.add(a)
	if callable && s.wakes != nil {
		a.callable.Store(true)
		s.wakes.came(a)
	}
	// What was stored between the snapshot and here woke nobody, and a handle that it set is not
	// known here.
	if s.shard.Visible() != batch {
		a.behind = true
		a.callable.Store(true)
	}
	if a.behind {
		a.wake()
	}
	if !noted {
		s.acks.add(q, key, 0)
	}
	return a, out, nil
}

// News reports whether there may be something to read, or the attachment has ended, since the
// reader attached: a client that comes back to a hundred queues is behind in few of them.
func (a *Attachment) News() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.behind || a.ended || a.hearing.changes > 0
}

// open reads the queue and the reader's place in it. A stranger hears UNKNOWN; b is nil only
// if there is no such queue.
func (r *reading) open(snap *shard.Snapshot, q relay.QueueID, key relay.PublicKey) (*books, reader, error) {
	b, ok, err := openQueue(snap, r.shard, r.relayKey, q)
	if err != nil {
		return nil, reader{}, err
	}
	if !ok || b.header.State == stateGone {
		return nil, reader{}, relay.ErrUnknown
	}
	p, ok, err := b.reader(key)
	switch {
	case err == nil && !ok:
		err = relay.ErrUnknown
	case err == nil && b.header.State == stateSuspended:
		err = suspended()
	}
	return b, p, err
}

// beginning is where a reader without a position begins. Only a gap can tell it a seq or an
// incarnation other than the first and the present one, so it begins at 0, and what it may
// not or cannot read comes as gaps (see Next).
func (b *books) beginning(relayKey relay.RelayKey, q relay.QueueID) (relay.Position, error) {
	inc, err := b.incarnationOf(1)
	if err != nil {
		return relay.Position{}, err
	}
	return relay.Position{Incarnation: inc, Chain: relay.ChainStart(relayKey, q, inc)}, nil
}

// verify checks that pos is a place in this log, as far as what is kept can tell: with a
// wrong chain, beyond the head or of an incarnation that never was it is evidence that the
// log was rolled back or forked, and the client hears ROLLBACK with the head that it is to know.
// A life that the store does not know, below the present one's numbers, is one that went with
// the disk when a backup from before it was restored: what it wrote is lost.
func (b *books) verify(relayKey relay.RelayKey, q relay.QueueID, pos, head relay.Position) error {
	h := &b.header
	rollback := &relay.Refusal{Code: relay.CodeRollback, Position: &head}
	base, last, chain := h.Base, h.Seq, h.Chain
	if pos.Incarnation != h.Incarnation {
		s, err := b.segmentOf(pos.Incarnation)
		if err != nil {
			return err
		}
		if pos.Seq >= h.Base {
			return rollback
		}
		if s == nil || pos.Seq > s.Last {
			return nil // lost: a gap from there is the next thing
		}
		base, last, chain = s.Base, s.Last, s.Chain
	}
	switch {
	case pos.Seq > last || pos.Seq < base:
		return rollback
	case pos.Seq == last && pos.Chain != chain:
		return rollback
	case pos.Seq == base && base < last && pos.Chain != relay.ChainStart(relayKey, q, pos.Incarnation):
		return rollback
	case pos.Seq == last || pos.Seq == base:
		return nil
	}
	return b.verifyInside(pos, rollback)
}

// verifyInside compares pos with the entry of its number, or with the gap that ends there.
// In the middle of a gap nothing is left to compare with.
func (b *books) verifyInside(pos relay.Position, rollback error) error {
	var e entry
	ok, err := b.get(seqKey(b.key(kindEntry), pos.Seq), &e)
	if err != nil {
		return err
	}
	if ok && e.Chain != pos.Chain {
		return rollback
	}
	g, err := b.gapAt(pos.Seq)
	if err != nil {
		return err
	}
	if !ok && g != nil && g.last == pos.Seq && g.Chain != pos.Chain {
		return rollback
	}
	return nil
}

// segmentOf finds the part of the log that an earlier incarnation wrote; nil if it wrote none.
func (b *books) segmentOf(inc relay.Incarnation) (*segment, error) {
	a, err := b.authority()
	if err != nil {
		return nil, err
	}
	for i := range a.Segments {
		if a.Segments[i].Incarnation == inc {
			return &a.Segments[i], nil
		}
	}
	return nil, nil
}

// Ended reports whether the attachment has ended, and why: superseded, removed (after the
// Batch with End), deleted or suspended.
func (a *Attachment) Ended() (relay.DetachReason, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reason, a.ended
}

// Ack notes that the client has stored everything up to seq, as [Store.Ack] does.
func (a *Attachment) Ack(seq uint64) {
	a.mu.Lock()
	a.stored = max(a.stored, seq)
	a.mu.Unlock()
	a.store.acks.add(a.queue, a.reader, seq)
}

// Close gives up the attachment. It is no error to close one that has ended.
func (a *Attachment) Close() {
	// Who has no handle is never called, so coming and going leaves no note (ATTACKS R11).
	if a.store.machine.readers.remove(a) && a.store.wakes != nil && a.callable.Load() {
		a.store.wakes.left(sleeper{bed{a.name, a.member}, a.knows()})
	}
}

// knows returns what the reader need not be woken for: what it has stored, and if it has stored
// nothing new, what it was told of when it attached. So whoever was cut off in the middle of a
// backlog is called for the rest, and whoever does not want it is not called again and again.
func (a *Attachment) knows() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stored > a.began {
		return a.stored
	}
	return max(a.stored, a.head)
}

func (a *Attachment) end(reason relay.DetachReason) {
	a.mu.Lock()
	if !a.ended {
		a.ended, a.reason = true, reason
	}
	a.mu.Unlock()
	a.wake()
}
