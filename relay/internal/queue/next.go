package queue

import (
	"crypto/sha256"
	"errors"

	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/relay"
)

// entryOverhead is what an entry takes in a DELIVER beside its envelope.
const entryOverhead = 8 + 1 + 1 + 32 + 2 + 4

// sizeOf is what an entry counts for.
func sizeOf(e *relay.Entry) int { return len(e.Envelope) + len(e.Blobs)*sha256.Size + entryOverhead }

// Next returns what comes next, at most about max bytes of entries but always one; an empty
// Batch means that there is nothing new, or that the attachment has ended. It never blocks
// for new entries. An error (BUSY) means that reading failed; try again later.
func (a *Attachment) Next(max int) (Batch, error) { return a.next(max, false) }

// NextWithin is Next, but leaves an entry of more than max bytes where it is: then Larger is all
// that the Batch says.
func (a *Attachment) NextWithin(max int) (Batch, error) { return a.next(max, true) }

func (a *Attachment) next(max int, within bool) (Batch, error) {
	if _, ended := a.Ended(); ended {
		return Batch{}, nil
	}
	var out Batch
	exists := false
	err := a.store.shard.View(func(snap *shard.Snapshot) error {
		switch {
		case a.full == snap.Batch(): // of that state it has everything
			exists = true
			return nil
		case a.share(&out, snap, max):
			a.full, exists = snap.Batch(), true
			return nil
		}
		b, p, err := a.store.read.open(snap, a.queue, a.reader)
		if exists = b != nil; err != nil {
			return err
		}
		end := p.end(b.header.Seq)
		if p.State == readerRemoved && a.at.Seq >= end {
			out.End = new(a.at)
			return nil
		}
		at := a.at
		if err := a.fill(&out, b, p, end, max, within); err != nil {
			return err
		}
		if p.State == readerActive {
			if n := len(out.Entries); n > 0 && out.Entries[n-1].Seq == b.header.Seq {
				a.full = snap.Batch()
			}
			a.store.read.keep(snap, a.name, at, &b.header, &out)
		}
		return nil
	})
	switch {
	case errors.Is(err, relay.ErrUnknown) && exists:
		a.end(relay.DetachRemoved) // so long ago that its record is gone
		return Batch{}, nil
	case errors.Is(err, relay.ErrUnknown):
		a.end(relay.DetachDeleted)
		return Batch{}, nil
	case errors.Is(err, relay.ErrSuspended):
		a.end(relay.DetachSuspended)
		return Batch{}, nil
	case errors.Is(err, shard.ErrClosed):
		return Batch{}, nil
	case err != nil:
		return Batch{}, refusalFor(err)
	}
	switch {
	case out.End != nil:
		a.end(relay.DetachRemoved)
	case out.Gap != nil:
		a.at = out.Gap.After
	case len(out.Entries) > 0:
		a.at.Seq, a.at.Chain = out.Entries[len(out.Entries)-1].Seq, out.Chain
	}
	return out, nil
}

// fill reads on from a.at up to end: entries until a gap or the bound, or the gap that
// comes first. within says that the bound holds for a first entry, too.
func (a *Attachment) fill(out *Batch, b *books, p reader, end uint64, max int, within bool) error {
	if a.at.Seq < p.Start {
		return a.fillStart(out, b, p, relay.GapAcked)
	}
	// Whoever has no position takes the first entry for one of the present incarnation, and
	// only a gap can tell it otherwise: so the first entry is given as one.
	if a.blind && a.at.Seq == 0 && a.at.Incarnation != b.header.Incarnation && end > 0 {
		return a.fillStart(out, b, reader{Start: 1, Acked: p.Acked, End: p.End}, relay.GapLost)
	}
	bytes := 0
	give := func(e *stored, g *gap) bool {
		if g != nil {
			if len(out.Entries) == 0 {
				out.Gap = a.gapFor(g, p)
			}
			return false
		}
		given := relay.Entry{Seq: e.seq, Kind: e.Kind, Reader: e.Reader, Blobs: e.Blobs, Envelope: e.Envelope}
		size := sizeOf(&given)
		if bytes+size > max && (within || len(out.Entries) > 0) {
			out.Larger = len(out.Entries) == 0
			return false
		}
		bytes += size
		out.Entries = append(out.Entries, given)
		out.Chain = e.Chain
		return bytes < max
	}
	if p.State == readerActive && b.lost == nil {
		if entries := a.store.machine.tails.since(a.name, a.at, b.header.head()); entries != nil {
			for _, e := range entries {
				if !give(e, nil) {
					break
				}
			}
			return nil
		}
	}
	return b.walk(a.at.Seq+1, end, give)
}

// gapFor tells of a gap from where this reader stands. What it has acked itself is acked,
// whatever ended it; and a removed reader hears of none beyond its end. Nobody waited for a removed
// reader's acks: what the others made go is removed for it, and not acked, which a client takes as
// a sign that its store is an old copy.
func (a *Attachment) gapFor(g *gap, p reader) *relay.Gap {
	reason := g.Reason
	switch {
	case !a.blind && g.Incarnation != a.at.Incarnation:
		reason = relay.GapLost // nothing else leads from one incarnation to another
	case reason != relay.GapLost && g.last <= p.Acked:
		reason = relay.GapAcked
	case reason == relay.GapAcked && p.State == readerRemoved && a.at.Seq >= p.Acked:
		reason = relay.GapRemoved
	}
	if p.End != nil && g.last > p.End.Seq {
		return &relay.Gap{From: a.at.Seq + 1, To: p.End.Seq, Reason: reason, After: *p.End}
	}
	return &relay.Gap{
		From: a.at.Seq + 1, To: g.last, Reason: reason,
		After: relay.Position{Incarnation: g.Incarnation, Seq: g.last, Chain: g.Chain},
	}
}

// fillStart tells of everything up to where the reader may read as a gap, up to the end of
// an erased range if that goes on.
func (a *Attachment) fillStart(out *Batch, b *books, p reader, reason relay.GapReason) error {
	var bad error
	err := b.walk(p.Start, b.header.Seq, func(e *stored, g *gap) bool {
		if g == nil {
			g = &gap{Reason: reason, Chain: e.Chain, last: e.seq}
			if g.Incarnation, bad = b.incarnationOf(e.seq); bad != nil {
				return false
			}
		}
		out.Gap = a.gapFor(g, p)
		return false
	})
	if err == nil {
		err = bad
	}
	return err
}
