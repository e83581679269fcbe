package clientlib

import (
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
)

// away reports whether the group waits for an invitation that brings this device back into it, in
// the place that it has: unlike one that was left, its work goes on.
func (g *group) away() bool { return g.rec.State == groupStuck || g.rec.State == groupUnsafe }

// end has what is under way for a group's former self come to nothing.
func (g *group) end() {
	if g.stream != nil {
		g.stream.Detach()
	}
	g.stream, g.pend, g.await = nil, nil, nil
	g.rec.State = groupRemoved
}

// foretold reports whether an invitation into a live group is one into its next epochs: the log
// will show that this device was replaced, and the invitation waits for that.
func foretold(old *group, joined *mls.Group) bool {
	m, ok := joined.Member(joined.OwnLeaf())
	return ok && joined.Epoch() > old.mls.Epoch() && markOf(m.Extensions) != nil
}

// answerArrived looks at the invitations that wait.
func (e *engine) answerArrived() {
	arrived := map[[32]byte]*invitation{}
	err := e.db.View(e.ctx, func(tx *state.Tx) error {
		for kv, err := range tx.Scan(bucketArrived, nil) {
			if err != nil {
				return err
			}
			v := new(invitation)
			if err := wire.Unmarshal(kv.Value, v); err != nil {
				return fmt.Errorf("%w: %w", state.ErrCorrupt, err)
			}
			arrived[[32]byte(kv.Key)] = v
		}
		return nil
	})
	if err != nil {
		e.fail(err)
		return
	}
	for hash, v := range arrived {
		e.join(hash, v)
	}
}

// knockAnswered ends the asking. Of the KeyPackages that were made for it, those stay that a slower
// member may still put in the place of the new leaf.
func (e *engine) knockAnswered(tx *state.Tx, g *group) error {
	own, ok := g.mls.Member(g.mls.OwnLeaf())
	j := e.knocking[g.id]
	if !ok || j == nil {
		return nil
	}
	used := markOf(own.Extensions)
	j.rec.Packages = slices.DeleteFunc(j.rec.Packages, func(ref []byte) bool {
		b, ok, err := tx.Get(bucketPackage, ref)
		if err != nil || !ok {
			return false
		}
		keys, err := mls.UnmarshalKeyPackageSecrets(b)
		if err != nil {
			return false
		}
		data, ok := keys.KeyPackage().LeafExtension(extensionMark)
		m := markOf([]mls.Extension{{Type: extensionMark, Data: data}})
		return ok && m != nil && (used == nil || m.Number > used.Number)
	})
	return e.dropKnock(tx, g.id)
}

// returned goes on with a conversation in which this device was replaced: what waits to be sent
// waits for the new leaf, and the app is told what was missed.
func (e *engine) returned(tx *state.Tx, g, old *group, under secret) error {
	if err := e.knockAnswered(tx, g); err != nil {
		return err
	}
	b := &before{Ticket: old.rec.Ticket, Cursor: old.cursor, Shared: old.lastShared(), Under: under}
	if err := g.remainUnsure(tx, b); err != nil {
		return err
	}
	if err := tx.Delete(bucketPending, g.id[:]); err != nil {
		return err
	}
	for _, r := range slices.Clone(e.rows) {
		var err error
		switch {
		case r.rec.Pinned == g.id && r.rec.Kind == payloadJoined:
			err = e.forgetRow(tx, r) // of the leaf before
		case r.rec.Group == g.id && r.rec.State != rowQueued:
			// Whether it counted where it stands, nobody can tell here. Who has it already knows
			// it by its id.
			err = e.takeBack(tx, r)
		}
		if err != nil {
			return err
		}
	}
	ev := Event{Kind: EventReplaced, Conversation: g.rec.Conversation, Account: e.id.Account, Device: e.device(), From: g.cursor.Seq}
	if err := e.emit(tx, ev); err != nil {
		return err
	}
	from := old.cursor.Seq + 1
	if old.rec.Stuck != nil {
		from, g.rec.Withdraw = old.rec.Stuck.Seq+1, slices.Concat(old.rec.Withdraw, old.rec.Stuck.Voted)
		if err := g.saveRecord(tx); err != nil {
			return err
		}
	}
	// To take votes back it takes the secret that they were sealed under.
	if old.rec.Rival == 0 {
		err := putRecord(tx, bucketKnock, knockKey(g.id, old.mls.Epoch()), pastEpoch{Secret: old.keys.knock, Ended: e.now()})
		if err != nil {
			return err
		}
	}
	if from < g.cursor.Seq { // which is the COMMIT's that replaced it
		return e.emit(tx, Event{
			Kind: EventGap, Conversation: g.rec.Conversation, From: from, To: g.cursor.Seq - 1,
			Detail: "written while this device could not follow",
		})
	}
	return nil
}
