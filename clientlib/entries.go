package clientlib

import (
	"github.com/sealpost/sealpost/clientlib/internal/sealedfile"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// deliver processes entries in one transaction and acks them after it. A crash before the
// transaction's end repeats the delivery; a crash before the ack does too, and then the
// entries lie behind the cursor and are not asked for again.
func (e *engine) deliver(g *group, s *relayclient.Stream, entries []relayclient.Entry) {
	if len(entries) == 0 || !g.reads() {
		return
	}
	for len(entries) > 0 && g.reads() {
		rest, blob, err := e.deliverSome(g, s, entries)
		if err != nil {
			return
		}
		if blob != nil {
			e.awaitCommit(g, s, rest, blob)
			return
		}
		entries = rest
	}
	e.advance(g)
}

// deliverSome processes the first of the entries, all if none of them is suspect, and returns the
// rest. Its first one needs blob, unless that is nil.
func (e *engine) deliverSome(g *group, s *relayclient.Stream, entries []relayclient.Entry) (rest []relayclient.Entry, blob *sealedfile.Info, err error) {
	a, err := e.try(groupTrial(g.id), &g.reading, g.cursor, entries)
	if err != nil {
		return nil, nil, err
	}
	var d delivery
	taken := 0
	err = e.update(func(tx *state.Tx) error {
		for ; taken < a.take && g.reads(); taken++ { // removed by one: nothing after it is ours
			step := e.entry
			if a.poison {
				step = e.passOver
			} else if !g.live() {
				step = e.watched
			} else if blob = e.needsBlob(g, &entries[taken]); blob != nil {
				break
			}
			if err := step(tx, g, &entries[taken], &d); err != nil {
				return err
			}
		}
		if d.moved && g.rec.State != groupRemoved {
			if err := e.saveMLS(tx, g); err != nil {
				return err
			}
		}
		if err := e.checkAccepted(tx, g); err != nil {
			return err
		}
		if err := a.over(tx, g.cursor); err != nil {
			return err
		}
		return g.saveCursor(tx)
	})
	if err != nil {
		e.survived(a)
		return nil, nil, err
	}
	s.Ack(g.cursor.Seq)
	if l := e.links[g.rec.Relay]; l != nil {
		l.brought(taken)
	}
	if !g.reads() && g.stream == s {
		g.stream = nil
		s.Detach()
	}
	if g.head.Incarnation == g.cursor.Incarnation && g.head.Seq < g.cursor.Seq {
		g.head = g.cursor
	}
	for _, fn := range d.after {
		fn()
	}
	return entries[taken:], blob, nil
}

// delivery collects what a transaction of entries leaves to do.
type delivery struct {
	moved   bool              // the MLS state has changed
	removed []relay.PublicKey // readers of members that the last commit removed
	after   []func()
}

// entry processes one log entry. An error is the store's; whatever is wrong with the entry
// itself ends in skipping it, or in an event.
func (e *engine) entry(tx *state.Tx, g *group, en *relayclient.Entry, d *delivery) error {
	g.cursor = en.Position
	if err := keepChain(tx, g.id, en.Position); err != nil {
		return err
	}
	switch en.Kind {
	case relay.KindMessage:
		before := g.skipped
		if err := e.message(tx, g, en, d); err != nil || g.skipped == before || !g.live() || g.unfounded() {
			return err
		}
		return e.dud(tx, g, en, d)
	case relay.KindCommit:
		return e.commit(tx, g, en, d)
	case relay.KindKnock:
		return e.knocked(tx, g, en, d)
	case relay.KindClosed:
		return e.closed(tx, g, en)
	}
	return nil // of a later version
}

// watched processes an entry of a log in which this device is no member of the epoch in force: it
// looks for votes, and for who comes late.
func (e *engine) watched(tx *state.Tx, g *group, en *relayclient.Entry, d *delivery) error {
	g.cursor = en.Position
	if err := keepChain(tx, g.id, en.Position); err != nil {
		return err
	}
	if s := g.rec.Stuck; en.Kind == relay.KindMessage && s != nil && !s.Missed {
		s.Missed = true
		return g.saveRecord(tx)
	}
	if en.Kind == relay.KindKnock {
		return e.knocked(tx, g, en, d)
	}
	return nil
}

// chainKey is where the chain value of a position is kept.
func chainKey(id groupID, seq uint64) []byte { return append(id[:], counterKey(seq)...) }

// keepChain remembers a position's chain value, and forgets the one that is too old.
func keepChain(tx *state.Tx, id groupID, p relay.Position) error {
	if p.Seq > chainsKept {
		if err := tx.Delete(bucketChain, chainKey(id, p.Seq-chainsKept)); err != nil {
			return err
		}
	}
	return tx.Put(bucketChain, chainKey(id, p.Seq), append(p.Incarnation[:], p.Chain[:]...))
}
