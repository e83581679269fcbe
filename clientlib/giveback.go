package clientlib

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/jitter"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// lossState is what a group knows of what its relay lost. The numbers are stored.
type lossState uint8

const (
	lossNone   lossState = 0
	lossUnsure lossState = 1 // since then others have committed: the log has yet to show from where on
	lossKnown  lossState = 2 // commits from the epoch Owed on are to come again
)

// healGrace is how long after a loss a member says and commits nothing new, so that whoever knows
// more than it does gives that back first: a commit in an epoch that others have left would lead
// members apart. The other pauses are parts and multiples of it.
const healGrace = 10 * time.Second

// Config.grace is healGrace but in tests.
func (e *engine) grace() time.Duration {
	if e.cfg.grace > 0 {
		return e.cfg.grace
	}
	return healGrace
}

// patience is how long a member that lacks a commit waits for another one to give it back.
func (e *engine) patience() time.Duration { return 12 * e.grace() }

// relayLost begins to give back what the relay lost. Whatever the log still has is a beginning of
// what it was, so its last commit tells which of the kept ones it lacks, as long as nobody has
// committed since.
func (e *engine) relayLost(tx *state.Tx, g *group, s *relayclient.Stream, gap relayclient.Gap, d *delivery) error {
	if err := e.sendAgain(tx, g); err != nil {
		return err
	}
	last, lacks := s.LastCommit, true
	g.opened()
	// A vote that the log has no more counts for nobody, also for who has read it. Whoever has cast it
	// does so again.
	g.votes = nil
	if err := clearBucket(tx, bucketVote, g.id[:]); err != nil {
		return err
	}
	g.late = 0
	g.rec.Loss, g.rec.LostAt, g.committing = lossUnsure, time.Now().UnixMilli(), false
	if last.Seq > gap.To {
		lacks = false // it comes behind the gap
	} else {
		g.rec.LastCommit = last
	}
	if lacks && (last.IsZero() || last.Incarnation != gap.Position.Incarnation) {
		g.rec.Loss, g.rec.Owed = lossKnown, g.mls.Epoch()
		for _, k := range slices.Backward(g.kept) {
			if k.At.Seq > last.Seq {
				g.rec.Owed = k.Epoch
			}
		}
	}
	g.holdCommits(e.turn(g))
	d.after = append(d.after, func() { e.wakeGroup(g) })
	if err := e.rebase(tx, g); err != nil {
		return err
	}
	if err := e.removeOldReaders(tx, g, d); err != nil {
		return err
	}
	return e.grantAdmins(tx, g, d) // the relay may have forgotten them
}

// rebase has the pending commit come after what is the log's last commit now. It is no rival of
// what was given back: it is of the epoch that this led to, and members may have followed it.
func (e *engine) rebase(tx *state.Tx, g *group) error {
	pend := g.pend
	if pend == nil || pend.Expect == g.rec.LastCommit {
		return nil
	}
	pend.Expect, pend.ID, pend.Stored = g.rec.LastCommit, newIdempotencyID(), false
	return putRecord(tx, bucketPending, g.id[:], pend)
}

// turn is how long to wait before the next commit is given back. Its author knows its tickets, so
// it goes first; all others spread over a time, and whoever was first goes on without waiting.
func (e *engine) turn(g *group) time.Duration {
	k := g.keptAt(g.rec.Owed)
	switch {
	case k != nil && k.Own:
		return jitter.Below(e.grace() / 50)
	case k != nil && g.mayBegin(k):
		return e.grace()/20 + jitter.Below(e.grace()/10)
	}
	// This device joined by what is lacking, or has forgotten it: another one has to begin.
	return e.patience() + jitter.Below(e.grace())
}

// mayBegin reports whether the relay has, or had in time, all that comes before a kept commit.
func (g *group) mayBegin(k *keptCommit) bool {
	if k.Epoch == g.rec.BaseEpoch {
		return g.rec.LastCommit.Seq >= g.rec.Base.Seq
	}
	return g.keptAt(k.Epoch-1) != nil
}

// owes reports whether the relay lacks commits that this device has.
func (g *group) owes() bool { return g.rec.Loss == lossKnown && g.rec.Owed < g.mls.Epoch() }

// healing reports whether the group is giving its relay something back, or waits for others to.
func (e *engine) healing(g *group) bool {
	if g.rec.Loss == lossNone {
		return false
	}
	if g.owes() || g.rec.Doubt != 0 && !g.probed {
		return true
	}
	since := time.Since(time.UnixMilli(g.rec.LostAt))
	if since < 0 || since >= e.grace() { // a clock that was set back holds up nothing
		return false
	}
	if !g.waking {
		g.waking = true
		e.after(e.grace()-since, func() {
			g.waking = false
			e.advance(g)
		})
	}
	return true
}

// giveBack commits the next commit that the relay lacks once more: byte for byte, so that whoever
// has yet to follow it can, signed by this device's reader. Where the log stands is told by what
// comes from it; a conflict costs a pause.
func (e *engine) giveBack(l *link, g *group) {
	if !g.owes() || g.committing || g.giving || l.full() || time.Now().Before(g.quiet) {
		return
	}
	k := g.keptAt(g.rec.Owed)
	if k == nil { // forgotten, or from before this device joined
		e.skipOwed(g)
		return
	}
	body, tickets, err := e.lostCommit(g, k)
	if err != nil {
		e.fail(err)
		return
	}
	if k.Blob != (relay.Hash{}) && g.given != k.Blob {
		e.giveBlob(l, g, k, body.Blob)
		return
	}
	p := relayclient.CommitParams{
		Queue: g.rec.Queue, ID: newIdempotencyID(), Reader: e.id.Secret.readerKey(g.rec.Queue, e.reader(g)),
		Expect: g.rec.LastCommit, NextWriter: k.NextWriter, Tickets: tickets, Envelope: body.Envelope,
	}
	if k.Blob != (relay.Hash{}) {
		p.Blobs = []relay.Hash{k.Blob}
	}
	g.committing = true
	e.send(l, len(body.Envelope), l.conn.Commit(p), func(_ relay.Position, err error) { e.givenBack(g, k, err) })
}

// lostCommit reads what a commit's entry had, and lists the tickets to register with it.
func (e *engine) lostCommit(g *group, k *keptCommit) (body *keptBody, tickets []relay.PublicKey, err error) {
	err = e.db.View(e.ctx, func(tx *state.Tx) (err error) {
		if body, err = getRecord[keptBody](tx, bucketKeptBody, keptKey(g.id, k.Epoch)); err != nil {
			return err
		}
		if body == nil {
			return fmt.Errorf("%w: kept commit without its envelope", state.ErrCorrupt)
		}
		if g.noTickets != k.Epoch+1 {
			tickets, err = g.ticketsOf(tx, k)
		}
		return err
	})
	return body, tickets, err
}

// ticketsOf lists the keys by which those whom a commit added, and who are still members, come
// back to the queue: the reader that a member has told of is as good as the ticket that it had.
func (g *group) ticketsOf(tx *state.Tx, k *keptCommit) (tickets []relay.PublicKey, err error) {
	for _, m := range g.mls.Members() {
		c, err := parseCredential(m.Credential)
		if err != nil || m.Leaf == g.mls.OwnLeaf() {
			continue
		}
		i := slices.IndexFunc(k.Added, func(a keptAddition) bool { return a.Device == c.Device })
		if i < 0 {
			continue
		}
		keys, err := getRecord[leafKeys](tx, bucketReader, leafKey(g.id, m.Leaf))
		switch {
		case err != nil:
			return nil, err
		case keys != nil && keys.Claimed:
			tickets = append(tickets, keys.Reader)
		case k.Added[i].Ticket != (relay.PublicKey{}):
			tickets = append(tickets, k.Added[i].Ticket)
		}
	}
	return tickets, nil
}

// givenBack goes on when the relay has answered. An accepted one comes down the log.
func (e *engine) givenBack(g *group, k *keptCommit, err error) {
	r, refused := errors.AsType[*relay.Refusal](err)
	switch {
	case err == nil:
		return
	case errors.Is(err, relay.ErrConflict):
		g.committing = false
		g.losses++
		if e.raiseHead(g, err); g.caughtUp() && refused && r.Position != nil && r.Position.Seq <= g.cursor.Seq {
			g.rec.LastCommit = *r.Position // it is no evidence of anything: the log that told of it is gone
		}
		g.holdCommits(raceJitter(g.losses))
	case errors.Is(err, relay.ErrForbidden):
		g.committing, g.noTickets = false, k.Epoch+1 // somebody has a place already
	case errors.Is(err, relay.ErrNoBlob):
		g.committing, g.given = false, relay.Hash{}
		g.holdCommits(retryAfter(err))
	case errors.Is(err, relay.ErrTooLarge), errors.Is(err, relay.ErrMalformed):
		g.committing = false
		e.skipOwed(g) // a relay with other bounds than it had
		return
	default:
		g.committing = false
		g.holdCommits(retryAfter(err))
	}
	e.wakeGroup(g)
}

// skipOwed passes over what this device cannot give back.
func (e *engine) skipOwed(g *group) {
	next := g.mls.Epoch()
	for _, k := range slices.Backward(g.kept) {
		if k.Epoch > g.rec.Owed {
			next = k.Epoch
		}
	}
	g.rec.Owed = next
	if e.update(g.saveRecord) == nil {
		e.advance(g)
	}
}

// repeated notes that the log has a kept commit once more. It changes nothing, but is the last
// commit now; readers that were removed after it are removed again.
func (e *engine) repeated(tx *state.Tx, g *group, k *keptCommit, en *relayclient.Entry, d *delivery) error {
	k.At, g.rec.LastCommit, g.committing = en.Position, en.Position, false
	if err := putRecord(tx, bucketKept, keptKey(g.id, k.Epoch), k); err != nil {
		return err
	}
	if g.rec.Loss == lossUnsure {
		g.rec.Loss, g.rec.Owed = lossKnown, k.Epoch
	}
	own := en.Reader != nil && *en.Reader == publicKey(e.id.Secret.readerKey(g.rec.Queue, e.reader(g)))
	g.opened()
	if g.owes() && g.rec.Owed == k.Epoch {
		g.rec.Owed++
		if !own {
			g.holdCommits(e.turn(g)) // whoever gave it back is ahead
		}
		d.after = append(d.after, func() { e.wakeGroup(g) })
	}
	if err := e.rebase(tx, g); err != nil {
		return err
	}
	if err := e.removeReaders(tx, g, k.Removed, d); err != nil {
		return err
	}
	return g.saveRecord(tx)
}

// followed notes that a commit counts that was not known: what the relay lacks before it, it does
// not need any more, unless this device is still giving that back.
func (g *group) followed(k *keptCommit) {
	switch {
	case g.rec.Doubt != 0: // a commit of its own proves nothing
	case g.rec.Loss == lossKnown && g.rec.Owed < k.Epoch:
		// Whoever is behind needs those before it first, and this one after them once more.
	case g.rec.Loss != lossNone:
		g.rec.Loss, g.rec.Owed = lossNone, 0
	}
}

// lastShared is the newest epoch that this device and the others have both been in, as far as is
// known: what came of it may be another one there.
func (g *group) lastShared() uint64 {
	if g.rec.Rival > 0 {
		return g.rec.Rival - 1
	}
	return g.rec.Epoch
}

// sharedSecret is what a knock is sealed under, so that the others can open it.
func (g *group) sharedSecret(tx *state.Tx) (secret, error) {
	if g.rec.Rival == 0 {
		return g.keys.knock, nil
	}
	p, err := getRecord[pastEpoch](tx, bucketKnock, knockKey(g.id, g.lastShared()))
	if err != nil || p == nil {
		return g.keys.knock, err
	}
	return p.Secret, nil
}

// maxLate bounds the events of one loss: a member can write in an old epoch as often as it likes.
const maxLate = 64

// tooLate tells of a message that was sent, after a loss, in an epoch that this device had left.
func (e *engine) tooLate(tx *state.Tx, g *group, en *relayclient.Entry) error {
	if g.rec.Loss == lossNone || g.late == maxLate || g.endedEpoch(en.Envelope) == nil {
		return nil
	}
	g.late++
	return e.emit(tx, Event{
		Kind: EventGap, Conversation: g.rec.Conversation, From: en.Position.Seq, To: en.Position.Seq,
		Detail: "sent after the relay's loss in an epoch that this device had left",
	})
}
