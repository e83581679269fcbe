package clientlib

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// attach starts reading the group's queue behind the cursor.
func (e *engine) attach(l *link, g *group) {
	g.busy = true
	l.pace.tried++
	reader := e.id.Secret.readerKey(g.rec.Queue, e.reader(g))
	e.openStream(l, l.conn.Attach(g.rec.Queue, reader, new(g.cursor), l.pace.window()), streamHandler{
		opened: func(s *relayclient.Stream) {
			g.busy, g.stream, g.head, g.refused, g.reading.begun = false, s, s.Head, 0, false
			g.suspended = false
			l.pace.attached(s.Head.Seq > g.cursor.Seq)
			s.Ack(g.cursor.Seq) // the last one of the session before may have been lost
			if g.rec.State == groupRekeying {
				g.rec.State = groupActive // the own key is a reader: an earlier REKEY took effect
				if e.update(g.saveRecord) != nil {
					return
				}
			}
			if g.rec.Doubt != 0 { // of the run before
				e.doubtLater(g)
			}
			e.advance(g)
		},
		refused: func(err error) {
			g.busy = false
			e.attachRefused(g, err)
		},
		event: func(s *relayclient.Stream, ev relayclient.Event) {
			if g.stream == s {
				e.streamEvent(g, s, ev)
			}
		},
	})
}

func (e *engine) attachRefused(g *group, err error) {
	switch {
	case errors.Is(err, relay.ErrUnknown), errors.Is(err, relay.ErrForbidden):
		e.unknown(g) // FORBIDDEN: the key is there as a ticket
	case errors.Is(err, relay.ErrRollback) && g.cursor == g.rec.Base && e.mislaid(g):
		// What the invitation said is no evidence against the relay.
	case errors.Is(err, relay.ErrRollback), isBroken(err):
		e.rollback(g, err)
	case errors.Is(err, relay.ErrSuspended):
		e.suspended(g, err)
	default:
		e.retryGroup(g, err)
	}
}

// streamHandler is called on run, in order.
type streamHandler struct {
	opened  func(*relayclient.Stream)
	refused func(error)
	event   func(*relayclient.Stream, relayclient.Event)
}

// openStream waits for an attachment and hands its events to run one by one: the relay's
// window bounds what waits here.
func (e *engine) openStream(l *link, call *relayclient.Attach, h streamHandler) {
	conn := l.conn
	e.spawn(func(ctx context.Context) {
		s, err := call.Wait(ctx)
		if err != nil {
			e.post(func() {
				if l.conn == conn {
					h.refused(err)
				}
			})
			return
		}
		e.post(func() {
			if l.conn == conn {
				h.opened(s)
			}
		})
		for {
			select {
			case ev, ok := <-s.Events():
				if !ok {
					return
				}
				e.post(func() {
					if l.conn == conn {
						h.event(s, ev)
					}
				})
			case <-ctx.Done():
				return
			}
		}
	})
}

func (e *engine) streamEvent(g *group, s *relayclient.Stream, ev relayclient.Event) {
	if e.heldBack(g, s, ev) {
		return
	}
	switch ev := ev.(type) {
	case relayclient.Delivery:
		e.deliver(g, s, ev.Entries)
	case relayclient.Gap:
		e.gap(g, s, ev)
	case relayclient.Signalled:
		e.signalled(g, ev.Sealed)
	case relayclient.End:
		e.leaveQueue(g, "removed from the queue")
	case *relayclient.ChainBroken:
		g.stream = nil
		e.rollback(g, ev)
	case relayclient.Detached:
		g.stream = nil
		switch ev.Reason {
		case relay.DetachSuperseded:
			// Another process uses this device's keys, or a session of our own that the
			// relay has not noticed dying. Taking the stream back at once could go on
			// for ever with a copy, so wait.
			e.after(retryLongest/4, func() { e.advance(g) })
		case relay.DetachDeleted, relay.DetachRemoved:
			e.leaveQueue(g, "the queue was deleted")
		default:
			e.after(retryRefused, func() { e.advance(g) })
		}
	}
}

// checkSeen compares what a member says it had seen with what this device has. They differ
// only if the relay showed the two different logs.
//
// A member can lie about it too, so it is told once for each member and epoch.
func (e *engine) checkSeen(tx *state.Tx, g *group, leaf mls.LeafIndex, en *relayclient.Entry, seen relay.Position, from Event) error {
	at := en.Position
	if seen == (relay.Position{}) || seen.Incarnation != at.Incarnation || g.forkTold[leaf] {
		return nil
	}
	kept, ok, err := tx.Get(bucketChain, chainKey(g.id, seen.Seq))
	if err != nil {
		return err
	}
	fork := seen.Seq >= at.Seq // nobody saw an entry before it was in the log
	if ok && string(kept[:16]) == string(seen.Incarnation[:]) && string(kept[16:]) != string(seen.Chain[:]) {
		fork = true
	}
	if !fork {
		return nil
	}
	known := at // before which nobody can have seen it
	if ok && len(kept) == len(known.Incarnation)+len(known.Chain) {
		known = relay.Position{Incarnation: relay.Incarnation(kept[:16]), Seq: seen.Seq, Chain: relay.Hash(kept[16:])}
	}
	if g.forkTold == nil {
		g.forkTold = map[mls.LeafIndex]bool{}
	}
	g.forkTold[leaf] = true
	from.Kind, from.From = EventForkSuspected, seen.Seq
	return e.emitProof(tx, g, from, known, seen, en)
}

// gap moves the cursor over entries that the relay has no more, and says so.
func (e *engine) gap(g *group, s *relayclient.Stream, gap relayclient.Gap) {
	before := g.cursor
	lost := lossReason(gap.Reason) && gap.Position.Incarnation != before.Incarnation
	var d delivery
	err := e.update(func(tx *state.Tx) error {
		g.cursor = gap.Position
		if !lost && s.LastCommit.Seq >= gap.From && s.LastCommit.Seq <= gap.To && s.LastCommit != g.rec.LastCommit {
			if err := e.stuck(tx, g, s.LastCommit.Seq, "a commit is among the entries that are missing"); err != nil {
				return err
			}
		}
		switch {
		case gap.Reason == relay.GapAcked:
			// Acked by this very reader, yet unknown here: the store is an older copy.
			if err := e.unsafe(tx, g); err != nil {
				return err
			}
			return g.saveCursor(tx)
		case lost && g.rec.Closed:
			// It may be open again, as it was in a backup: whoever is in it then lets this device in.
			if err := e.knock(tx, g); err != nil {
				return err
			}
		case lost:
			if err := e.relayLost(tx, g, s, gap, &d); err != nil {
				return err
			}
		case lossReason(gap.Reason):
			if err := e.sendAgain(tx, g); err != nil {
				return err
			}
		}
		if g.rec.State == groupActive {
			g.rec.Gapped = true
		}
		if err := g.saveRecord(tx); err != nil {
			return err
		}
		if err := e.settleBetween(tx, g, gap.Position, gap.From); err != nil {
			return err
		}
		ev := Event{Kind: EventGap, Conversation: g.rec.Conversation, From: gap.From, To: gap.To, Detail: gapReason(gap.Reason)}
		if err := e.emitProof(tx, g, ev, before, gap.Position, nil); err != nil {
			return err
		}
		return g.saveCursor(tx)
	})
	if err != nil {
		return
	}
	if g.head.Incarnation != g.cursor.Incarnation || g.head.Seq < g.cursor.Seq {
		g.head = g.cursor
	}
	s.Ack(g.cursor.Seq)
	for _, fn := range d.after {
		fn()
	}
	e.advance(g)
}

// settleBetween ends the rows that the relay accepted from a seq up to the position p. They stood
// there, and nobody looked or they were erased in their time: no lie.
func (e *engine) settleBetween(tx *state.Tx, g *group, p relay.Position, from uint64) error {
	for _, r := range slices.Clone(e.rows) {
		at := r.rec.At
		if r.rec.Group == g.id && r.rec.State == rowAccepted && at.Incarnation == p.Incarnation && at.Seq >= from && at.Seq <= p.Seq {
			if err := e.settle(tx, g, r, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// lossReason reports whether a gap is a loss; an unknown reason is one.
func lossReason(r relay.GapReason) bool {
	return r != relay.GapExpired && r != relay.GapRemoved && r != relay.GapAcked && r != relay.GapQuota
}

// gapReason says in words why entries are missing.
func gapReason(r relay.GapReason) string {
	switch r {
	case relay.GapExpired:
		return "expired"
	case relay.GapRemoved:
		return "erased by an admin"
	case relay.GapQuota:
		return "dropped to make room"
	}
	return "lost by the relay"
}

// checkAccepted looks for messages that the relay accepted at a position which has been read
// by now, and which did not stand there: it said that it had them on disk, and lied or lost
// them. They go out again.
func (e *engine) checkAccepted(tx *state.Tx, g *group) error {
	for _, r := range e.rows {
		at := r.rec.At
		if r.rec.Group != g.id || r.rec.State != rowAccepted || at.Incarnation != g.cursor.Incarnation || at.Seq > g.cursor.Seq {
			continue
		}
		ev := Event{
			Kind: EventRollback, Conversation: g.rec.Conversation, Message: r.rec.ID, From: at.Seq,
			Detail: "the relay accepted a message at a position where its log has another entry",
		}
		if err := e.emitProof(tx, g, ev, at, g.cursor, nil); err != nil {
			return err
		}
		r.rec.State, r.rec.RequestID, r.rec.At = rowSealed, newIdempotencyID(), relay.Position{}
		r.rec.File.lost()
		if err := e.saveRow(tx, r); err != nil {
			return err
		}
	}
	return nil
}

// unsafe stops sending with this leaf for good: this device sent what the store does not know, so
// its next key could be one that was used already. It asks for a new leaf.
func (e *engine) unsafe(tx *state.Tx, g *group) error {
	if g.rec.State == groupUnsafe || g.rec.State == groupRemoved {
		return nil
	}
	g.rec.State = groupUnsafe
	if err := g.saveRecord(tx); err != nil {
		return err
	}
	if err := e.knock(tx, g); err != nil {
		return err
	}
	return e.emit(tx, Event{Kind: EventUnsafeStore, Conversation: g.rec.Conversation, Detail: ErrUnsafeStore.Error()})
}

// rollback reports a log that went back or broke its chain, with the newest position that
// this device had processed as evidence. The group is not read further in this run.
func (e *engine) rollback(g *group, why error) {
	g.rolled = true
	_ = e.update(func(tx *state.Tx) error {
		known := g.cursor
		if b, ok := errors.AsType[*relayclient.ChainBroken](why); ok && !b.Expected.IsZero() {
			known = b.Expected
		}
		return e.emitProof(tx, g, Event{
			Kind: EventRollback, Conversation: g.rec.Conversation, From: g.cursor.Seq,
			Detail: "the relay's log contradicts what it showed before: " + brokenName(why),
		}, known, shownPosition(why), nil)
	})
}

func envelopeHash(envelope []byte) [32]byte { return sha256.Sum256(envelope) }

// isBroken reports evidence that the client itself found in a relay's answer.
func isBroken(err error) bool {
	_, ok := errors.AsType[*relayclient.ChainBroken](err)
	return ok
}

func brokenName(err error) string {
	if b, ok := errors.AsType[*relayclient.ChainBroken](err); ok {
		return b.Violation.String()
	}
	return refusalName(err)
}

// shownPosition is what the relay claims instead of the position that is known.
func shownPosition(err error) relay.Position {
	if b, ok := errors.AsType[*relayclient.ChainBroken](err); ok {
		return b.Got
	}
	if r, ok := errors.AsType[*relay.Refusal](err); ok && r.Position != nil {
		return *r.Position
	}
	return relay.Position{}
}
