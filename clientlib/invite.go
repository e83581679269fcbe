package clientlib

import (
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/relay"
)

// inviteJob is a sealed invitation in memory; owned by run.
type inviteJob struct {
	id     uint64
	rec    inviteRow
	flying bool
}

// An inbox drops the oldest of what strangers wrote, so an invitation is repeated until the
// joiner has spoken in the group, at times that double.
const (
	inviteRepeat = 10 * time.Minute
	inviteEarly  = 5 * time.Second // after an inbox that is not known, doubling
	inviteTries  = 24              // the last about two weeks after the first
	inviteRarest = 24 * time.Hour  // between two of them
	inviteLimit  = 16 << 10
)

// queueInvite seals an invitation now that the position of its commit is known.
func (e *engine) queueInvite(tx *state.Tx, g *group, pend *pendingCommit, draft *inviteDraft, at relay.Position, d *delivery) error {
	ct := new(contact)
	if err := wire.Unmarshal(draft.Contact, ct); err != nil {
		return fmt.Errorf("%w: contact of a staged invitation: %w", state.ErrCorrupt, err)
	}
	v := invitation{
		Relay: g.rec.Relay, KeyServer: g.rec.KeyServer, Queue: g.rec.Queue, Position: at,
		Ticket: draft.Ticket, Package: draft.Ref, Welcome: draft.Welcome, Index: pend.Index, IndexKey: pend.IndexKey,
	}
	envelope, err := v.seal(ct.Key, ct.Inbox)
	if err == nil && len(envelope) > inviteLimit {
		err = fmt.Errorf("%w: invitation of %d bytes", ErrTooLarge, len(envelope))
	}
	if err != nil {
		return e.emit(tx, Event{
			Kind: EventFailed, Conversation: g.rec.Conversation, Account: draft.Account, Device: draft.Device, Detail: err.Error(),
		})
	}
	id, err := tx.NextID(bucketInvite)
	if err != nil {
		return err
	}
	row := inviteRow{
		Group: g.id, Device: draft.Device, Relay: ct.Relay, Inbox: ct.Inbox, Writer: ct.RequestWriter,
		Envelope: envelope, ID: newIdempotencyID(),
	}
	if err := putRecord(tx, bucketInvite, counterKey(id), row); err != nil {
		return err
	}
	d.after = append(d.after, func() {
		e.invites[id] = &inviteJob{id: id, rec: row}
		e.flushInvites()
	})
	return nil
}

// inviteAnswered ends the repetitions: the device has spoken, or is a member no more.
func (e *engine) inviteAnswered(tx *state.Tx, g *group, device keyserver.DeviceID, d *delivery) error {
	for id, j := range inOrder(e.invites) {
		if j.rec.Group != g.id || j.rec.Device != device {
			continue
		}
		if err := tx.Delete(bucketInvite, counterKey(id)); err != nil {
			return err
		}
		d.after = append(d.after, func() { delete(e.invites, id) })
	}
	return nil
}

// flushInvites sends the invitations whose time has come, over whichever relays are up.
func (e *engine) flushInvites() {
	now := e.now()
	for _, j := range inOrder(e.invites) {
		if j.flying || j.rec.NextAt > now {
			continue // the next tick
		}
		l := e.linkTo(j.rec.Relay)
		if l == nil || l.conn == nil || l.full() {
			continue
		}
		j.flying = true
		call := l.conn.Append(j.rec.Inbox, j.rec.ID, j.rec.Writer.signer(), j.rec.Envelope)
		e.send(l, len(j.rec.Envelope), call, func(_ relay.Position, err error) { e.inviteSent(j, err) })
	}
}

// nextInvite is when an invitation goes out again after n tries, in unix seconds.
func (e *engine) nextInvite(first time.Duration, n int) int64 {
	return e.now() + int64(min(first<<min(n-1, 16), inviteRarest)/time.Second)
}

func (e *engine) inviteSent(j *inviteJob, err error) {
	j.flying = false
	if e.invites[j.id] != j {
		return
	}
	switch {
	case err == nil:
		j.rec.Sent++
		j.rec.NextAt = e.nextInvite(inviteRepeat, j.rec.Sent)
		j.rec.ID = newIdempotencyID() // the next one is a new entry
	case errors.Is(err, relay.ErrUnknown):
		// The inbox is gone, or not there yet: a contact card can be handed over before its
		// owner's first connection.
		j.rec.Sent++
		j.rec.NextAt = e.nextInvite(inviteEarly, j.rec.Sent)
	default:
		j.rec.NextAt = e.now() + int64(retryAfter(err)/time.Second) + 1
	}
	_ = e.update(func(tx *state.Tx) error {
		g := e.groups[j.rec.Group]
		left := g == nil || g.rec.State == groupRemoved
		if j.rec.Sent < inviteTries && (err != nil || !left) {
			return putRecord(tx, bucketInvite, counterKey(j.id), j.rec)
		}
		delete(e.invites, j.id)
		if !left {
			ev := Event{Kind: EventFailed, Conversation: g.rec.Conversation, Device: j.rec.Device, Detail: "the invited device did not answer"}
			if err := e.emit(tx, ev); err != nil {
				return err
			}
		}
		return tx.Delete(bucketInvite, counterKey(j.id))
	})
}
