package clientlib

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/clientlib/history"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// row is an outbox row in memory; owned by run.
type row struct {
	id     uint64
	rec    outRow
	flying bool // an APPEND of it is under way on this connection
	stale  bool // refused: its epoch's writer key is no longer the queue's

	uploading context.CancelFunc // its file is on its way; nil if not
}

// senderURI and roomURI are the URIs that go into a message's id.
func senderURI(a keyserver.AccountID) string { return "sealpost:account:" + a.String() }

// roomURI names the conversation alike for all members. In a conversation of two it does
// not depend on the group: two people who start at once have two for a while.
func (e *engine) roomURI(g *group) string { return e.roomOf(g.rec.Conversation) }

func (e *engine) saveRow(tx *state.Tx, r *row) error {
	return putRecord(tx, bucketOutbox, counterKey(r.id), r.rec)
}

func sentKey(id groupID, hash [32]byte) []byte { return append(id[:], hash[:]...) }

// flush seals what waits for this group and sends what is sealed. A row is encrypted only
// here: attached, caught up, and with no commit of our own under way.
func (e *engine) flush(l *link, g *group) {
	if wait := time.Until(g.sendAt); wait > 0 {
		return // the refusal that set it has planned the next call
	}
	var fresh, ready []*row
	under := 0
	for _, r := range e.rows {
		if r.flying && r.rec.Group == g.id {
			under++
		}
	}
	for _, r := range e.rows {
		if under+len(fresh)+len(ready) >= l.pace.messages() || r.overtaken(g) {
			break
		}
		switch {
		case r.flying:
		case e.carries(g, r) && !r.rec.File.in(g.rec.Queue):
			// Its file goes first, and others do not wait for it. After two groups became one
			// it goes to the other queue too.
			e.uploadFile(l, g, r)
		case r.rec.State == rowQueued && e.target(r) == g:
			fresh = append(fresh, r)
		case r.rec.State != rowSealed || r.rec.Group != g.id:
		case r.rec.Epoch != g.mls.Epoch():
			// Its epoch is over and the log, read up to here, does not hold it: the relay
			// never accepted it, and can no longer.
			fresh = append(fresh, r)
		case r.stale:
			// Caught up, and the key of the epoch in force is refused: a commit that does
			// not count named another. The next commit sets it right.
			e.demandRenewal(g)
			return
		default:
			ready = append(ready, r)
		}
	}
	if len(fresh) > 0 && e.sealRows(g, fresh) != nil {
		return
	}
	// Ids only grow, so oldest first keeps the order in which the user wrote.
	for _, r := range mergeRows(ready, fresh) {
		if l.full() {
			return // an answer makes room, and comes back here
		}
		if r.rec.State == rowSealed {
			e.transmit(l, g, r)
		}
	}
}

// overtaken reports whether the epoch ended while a row was on its way. Its answer may be a refusal,
// and then it is encrypted again: what was written after it waits for that, or would come first.
func (r *row) overtaken(g *group) bool {
	return r.flying && r.rec.State == rowSealed && r.rec.Group == g.id && r.rec.Epoch != g.mls.Epoch()
}

// mergeRows puts two ordered lists into one.
func mergeRows(a, b []*row) []*row {
	out := make([]*row, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].id < b[0].id {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// sealRows encrypts rows in the epoch in force. Ciphertexts and ratchet change together: a
// key that was used is never there again, even if the process ends before the send.
func (e *engine) sealRows(g *group, rows []*row) error {
	var stale [][]byte
	for _, r := range rows {
		if len(r.rec.Envelope) > 0 {
			stale = append(stale, sentKey(r.rec.Group, envelopeHash(r.rec.Envelope)))
		}
		if err := e.sealRow(g, r); err != nil {
			// Of a damaged or exhausted epoch; a new one helps.
			e.log.Warn("encrypting failed")
			e.demandRenewal(g)
			break
		}
	}
	return e.update(func(tx *state.Tx) error {
		for _, key := range stale {
			if err := tx.Delete(bucketSent, key); err != nil {
				return err
			}
		}
		for _, r := range rows {
			if err := e.saveRow(tx, r); err != nil {
				return err
			}
			if r.rec.State != rowSealed {
				continue // not encrypted: it waits on, and its old envelope is forgotten on disk too
			}
			if err := tx.Put(bucketSent, sentKey(g.id, envelopeHash(r.rec.Envelope)), counterKey(r.id)); err != nil {
				return err
			}
		}
		return e.saveMLS(tx, g)
	})
}

func (e *engine) sealRow(g *group, r *row) error {
	r.stale, r.rec.State, r.rec.Envelope = false, rowQueued, nil
	plain, err := wire.Marshal(&payload{Kind: r.rec.Kind, ID: r.rec.ID, Seen: g.cursor, Body: r.rec.Body})
	if err != nil {
		return err
	}
	message, err := g.mls.Encrypt(plain, nil)
	if err != nil {
		return err
	}
	envelope, err := g.keys.seal(relay.KindMessage, message)
	if err != nil {
		return err // not for size: Send has made sure that it fits
	}
	r.rec.State, r.rec.Group, r.rec.Epoch = rowSealed, g.id, g.mls.Epoch()
	r.rec.Envelope, r.rec.RequestID, r.rec.Named = envelope, newIdempotencyID(), g.named
	return nil
}

// transmit sends a row, for the first time or again: if the relay accepted it before a
// connection broke, the same id under the same writer key brings the first answer.
func (e *engine) transmit(l *link, g *group, r *row) {
	writer := g.keys.writer.signer()
	r.flying = true
	sent := r.rec.RequestID
	var call *relayclient.Call
	if r.rec.Named {
		reader := e.id.Secret.readerKey(g.rec.Queue, e.reader(g))
		call = l.conn.AppendNamed(g.rec.Queue, sent, writer, reader, r.rec.Envelope)
	} else {
		call = l.conn.Append(g.rec.Queue, sent, writer, r.rec.Envelope)
	}
	e.send(l, len(r.rec.Envelope), call, func(at relay.Position, err error) {
		if r.rec.RequestID != sent || r.rec.State != rowSealed {
			return // read back from the log in the meantime
		}
		r.flying = false
		e.appended(g, r, at, err)
	})
}

func (e *engine) appended(g *group, r *row, at relay.Position, err error) {
	switch {
	case err == nil:
		g.renewals = 0
		r.rec.At = at
		// Answers come in bursts, since the relay stores in batches: one transaction takes
		// all that are there. A crash before it asks again under the same id.
		if e.answered = append(e.answered, r); len(e.answered) == 1 {
			e.after(0, e.acceptAnswered)
		}
		return
	case errors.Is(err, relay.ErrForbidden) && !r.rec.Named:
		// Named writing. It stays with the row, since a retry is the same request as before.
		g.named, r.rec.Named = true, true
		if e.update(func(tx *state.Tx) error { return e.saveRow(tx, r) }) != nil {
			return
		}
	case errors.Is(err, relay.ErrStale):
		r.stale = true
		e.raiseHead(g, err)
		e.advance(g)
		return
	case errors.Is(err, relay.ErrTooLarge), errors.Is(err, relay.ErrMalformed), errors.Is(err, relay.ErrReused):
		_ = e.update(func(tx *state.Tx) error { return e.dropRow(tx, r, err.Error()) })
	default:
		// A limit, or UNKNOWN while our removal is on its way down the log.
		wait := retryAfter(err)
		g.sendAt = time.Now().Add(wait)
		e.after(wait, func() { e.advance(g) })
		return
	}
	e.advance(g)
}

// raiseHead notes that the relay has more than what was processed, if a refusal says so.
func (e *engine) raiseHead(g *group, err error) {
	refusal, ok := errors.AsType[*relay.Refusal](err)
	if !ok || refusal.Position == nil {
		return
	}
	if p := *refusal.Position; p.Incarnation == g.head.Incarnation && p.Seq > g.head.Seq {
		g.head = p
	}
}

// acceptAnswered notes the rows that the relay has answered since the last time.
func (e *engine) acceptAnswered() {
	rows := e.answered
	e.answered = nil
	err := e.update(func(tx *state.Tx) error {
		for _, r := range rows {
			if r.rec.State != rowSealed || e.rowByID(r.id) != r {
				continue // read back from the log in the meantime
			}
			if err := e.accept(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return
	}
	for _, g := range inOrderOfIDs(e.groups) {
		if slices.ContainsFunc(rows, func(r *row) bool { return r.rec.Group == g.id }) {
			e.advance(g)
		}
	}
}

// accept notes that the relay has a row on disk.
func (e *engine) accept(tx *state.Tx, r *row) error {
	if r.rec.State == rowAccepted {
		return nil
	}
	r.rec.State = rowAccepted
	if err := e.saveRow(tx, r); err != nil || r.rec.Kind != payloadContent {
		return err
	}
	return e.emit(tx, Event{
		Kind: EventSent, Conversation: r.rec.Conversation, Account: e.id.Account, Device: e.device(), Message: r.rec.ID,
	})
}

// ownRow finds the row that an entry of the log is, if it is one's own.
func (e *engine) ownRow(tx *state.Tx, g *group, hash [32]byte) (*row, error) {
	key, ok, err := tx.Get(bucketSent, sentKey(g.id, hash))
	if err != nil || !ok {
		return nil, err
	}
	if r := e.rowByID(counterOf(key)); r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("%w: sent message without its row", state.ErrCorrupt)
}

// rowByID finds a row of the outbox; rows are in the order of their ids.
func (e *engine) rowByID(id uint64) *row {
	i, ok := slices.BinarySearchFunc(e.rows, id, func(r *row, id uint64) int { return cmp.Compare(r.id, id) })
	if !ok {
		return nil
	}
	return e.rows[i]
}

// readBack ends a row: the log has it. If it stands in another epoch than the one in force
// there, it counts for nobody, and is encrypted again under the same message id. So it is where the
// others have gone on to a successor.
func (e *engine) readBack(tx *state.Tx, g *group, r *row, at relay.Position, d *delivery) error {
	r.flying = false
	if r.rec.Epoch != g.mls.Epoch() || g.leaving() {
		return e.takeBack(tx, r)
	}
	if member, ok := g.mls.Member(g.mls.OwnLeaf()); ok && r.rec.Kind == payloadJoined {
		keys := leafKeys{Reader: publicKey(e.id.Secret.readerKey(g.rec.Queue, e.reader(g)))}
		if err := e.retireReader(tx, g, member, &keys, d); err != nil {
			return err
		}
		if err := e.arrived(tx, g); err != nil {
			return err
		}
	}
	return e.settle(tx, g, r, at)
}

// settle ends a row whose place in the log is known.
func (e *engine) settle(tx *state.Tx, g *group, r *row, at relay.Position) error {
	if err := e.accept(tx, r); err != nil {
		return err
	}
	if r.rec.Kind == payloadContent {
		device := e.device()
		err := history.SetPosition(tx, history.Key{
			Sender: e.id.Account[:], Device: device[:], MessageID: [32]byte(r.rec.ID), Conversation: r.rec.Conversation,
		}, g.id, at.Seq, history.Sent)
		if err != nil {
			return err
		}
	}
	return e.forgetRow(tx, r)
}

// takeBack makes a sealed row wait to be encrypted again.
func (e *engine) takeBack(tx *state.Tx, r *row) error {
	if err := tx.Delete(bucketSent, sentKey(r.rec.Group, envelopeHash(r.rec.Envelope))); err != nil {
		return err
	}
	r.flying, r.stale = false, false
	r.rec.State, r.rec.Envelope, r.rec.RequestID = rowQueued, nil, newIdempotencyID()
	return e.saveRow(tx, r)
}

// sendAgain takes back what the relay had accepted and lost before it was read from the
// log. The bytes are the same: their key is still in force, or flush makes new ones.
func (e *engine) sendAgain(tx *state.Tx, g *group) error {
	for _, r := range e.rows {
		if r.rec.Group != g.id || r.rec.State != rowAccepted {
			continue
		}
		r.rec.State, r.rec.RequestID, r.rec.At = rowSealed, newIdempotencyID(), relay.Position{}
		r.rec.File.lost()
		if err := e.saveRow(tx, r); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) forgetRow(tx *state.Tx, r *row) error {
	if len(r.rec.Envelope) > 0 {
		if err := tx.Delete(bucketSent, sentKey(r.rec.Group, envelopeHash(r.rec.Envelope))); err != nil {
			return err
		}
	}
	e.rows = slices.DeleteFunc(e.rows, func(o *row) bool { return o == r })
	if r.uploading != nil {
		r.uploading()
	}
	if f := r.rec.File; f != nil {
		e.after(0, func() { e.dropFile(f.Hash) }) // once the transaction stands
	}
	return tx.Delete(bucketOutbox, counterKey(r.id))
}

// dropRow gives a message up.
func (e *engine) dropRow(tx *state.Tx, r *row, why string) error {
	if err := e.forgetRow(tx, r); err != nil || r.rec.Kind != payloadContent {
		return err
	}
	device := e.device()
	err := history.SetPosition(tx, history.Key{
		Sender: e.id.Account[:], Device: device[:], MessageID: [32]byte(r.rec.ID), Conversation: r.rec.Conversation,
	}, r.rec.Group, 0, history.Failed)
	if err != nil {
		return err
	}
	return e.emit(tx, Event{Kind: EventFailed, Conversation: r.rec.Conversation, Message: r.rec.ID, Detail: why})
}

// dropRows gives up what only this group could have carried.
func (e *engine) dropRows(tx *state.Tx, g *group, why string) error {
	for _, r := range slices.Clone(e.rows) {
		if r.rec.Conversation != g.rec.Conversation || r.rec.State != rowQueued && r.rec.Group != g.id {
			continue
		}
		var err error
		switch t := e.target(r); {
		case r.rec.State == rowAccepted:
			err = e.forgetRow(tx, r) // the relay has it; its place in the log stays unknown here
		case t == nil || t == g:
			err = e.dropRow(tx, r, why)
		case r.rec.State == rowSealed:
			err = e.takeBack(tx, r) // the conversation goes on in another group
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// target is the group that a queued row goes out in: its own, or of the conversation's
// live groups the one with the smallest id (two people may have started at once).
func (e *engine) target(r *row) *group {
	if r.rec.Pinned != (groupID{}) {
		return e.groups[r.rec.Pinned]
	}
	return e.primary(r.rec.Conversation)
}
