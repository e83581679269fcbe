package clientlib

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// commit processes a COMMIT entry. Valid or not, it is the last commit now, and a commit
// of our own that expected another one has lost.
func (e *engine) commit(tx *state.Tx, g *group, en *relayclient.Entry, d *delivery) error {
	g.processing = envelopeHash(en.Envelope)
	if k := g.repeats(en); k != nil {
		return e.repeated(tx, g, k, en, d)
	}
	pend, err := g.closeCommit(tx, en)
	if err != nil {
		return err
	}
	if pend != nil && pend.is(en) {
		return e.ownCommit(tx, g, pend, en, pend.sealed(), d)
	}
	sealed := g.fetched
	staged, err := e.openCommit(g, en, pend, d)
	if err == nil && staged == nil {
		return e.ownCommit(tx, g, pend, en, sealed, d)
	}
	if pend != nil {
		e.lost(g, d)
	}
	if errors.Is(err, mls.ErrCannotFollow) {
		if err := e.shutOut(tx, g, err); err != nil {
			return err
		}
		return e.stuck(tx, g, en.Position.Seq, "a commit counts that this device cannot open")
	}
	if errors.Is(err, mls.ErrOwnMessage) {
		return e.unsafe(tx, g)
	}
	if errors.Is(err, errOtherEpoch) && g.rec.Loss != lossNone {
		if why := e.unread(g, en, d); why != nil {
			return e.stuck(tx, g, en.Position.Seq, why.Error())
		}
	} else if errors.Is(err, errOtherEpoch) && e.unsure(g, en) {
		return e.doubtAnswer(tx, g, en.Position.Seq, "the others are not where an answer to this device's knock has led it; what it wrote there may have reached nobody")
	} else if err != nil && g.rec.Gapped && errors.Is(err, errOtherEpoch) {
		// Most likely the commits that lead to its epoch are what went missing.
		return e.stuck(tx, g, en.Position.Seq, "commits are among the entries that went missing")
	}
	if err != nil {
		g.skipped++ // a dud: it cost its sender a slot and changes nothing
		return g.saveRecord(tx)
	}
	g.opened()
	g.believe(staged.Sender())
	k := g.ending(en, sealed)
	if err := e.merge(tx, g, staged, d); err != nil {
		return err
	}
	return e.keep(tx, g, k, staged, d)
}

// closeCommit notes that a COMMIT was the last one, and returns the pending one, which no longer
// waits: it is that, or has lost.
func (g *group) closeCommit(tx *state.Tx, en *relayclient.Entry) (*pendingCommit, error) {
	g.rec.LastCommit = en.Position
	g.committing = false
	pend := g.pend
	if pend == nil {
		return nil, nil
	}
	g.pend = nil
	return pend, tx.Delete(bucketPending, g.id[:])
}

// lost has the next try of a commit wait.
func (e *engine) lost(g *group, d *delivery) {
	g.losses++
	g.holdCommits(raceJitter(g.losses))
	d.after = append(d.after, func() { e.wakeGroup(g) })
}

// openCommit applies the public checks, the policy among them (validator), which come out
// alike for all members. It returns nil for the commit that pend staged, which a member has
// encrypted again: what counts is its content.
func (e *engine) openCommit(g *group, en *relayclient.Entry, pend *pendingCommit, d *delivery) (*mls.StagedCommit, error) {
	c, err := discloseCommit(g.keys, en.Envelope, en.Blobs)
	if err != nil {
		return nil, err
	}
	var blob []byte
	if c.blob != nil {
		blob, g.fetched = g.fetched.content, nil // deliver does not come here without it
	}
	message, err := c.commitMessage(blob)
	if err != nil {
		return nil, err
	}
	received, err := g.mls.Process(message)
	if err != nil {
		return nil, err
	}
	if own, ok := received.(*mls.OwnCommit); ok {
		if pend != nil {
			if staged, err := g.mls.LoadCommit(pend.Staged); err == nil && own.Is(staged) {
				return nil, nil
			}
		}
		// Made here and dropped, since the relay said that another had won. The others follow it.
		return nil, mls.ErrCannotFollow
	}
	staged, ok := received.(*mls.StagedCommit)
	if !ok {
		g.mls.DropProposals()
		d.moved = true
		return nil, fmt.Errorf("%w: COMMIT entry holds no commit", mls.ErrInvalidCommit)
	}
	return staged, nil
}

// ownCommit merges the commit that this device staged: the log has it now. Only here do
// the invitations become real.
func (e *engine) ownCommit(tx *state.Tx, g *group, pend *pendingCommit, en *relayclient.Entry, sealed *fetchedCommit, d *delivery) error {
	staged, err := g.mls.LoadCommit(pend.Staged)
	if err != nil {
		return fmt.Errorf("%w: staged commit: %w", state.ErrCorrupt, err)
	}
	g.losses = 0
	if c := e.changeByID(pend.Change); c != nil && c.rec.Kind == changeRenew {
		g.rec.Renewed = e.now() // other commits leave the signature key and the credential as they are
	}
	adds := staged.Adds()
	if len(adds) != len(pend.Invites) {
		return fmt.Errorf("%w: staged commit adds %d members for %d invitations", state.ErrCorrupt, len(adds), len(pend.Invites))
	}
	k := g.ending(en, sealed)
	k.Own = true
	if err := e.merge(tx, g, staged, d); err != nil {
		return err
	}
	// After the merge: a leaf that a removed member left may be an added one's now.
	for i, draft := range pend.Invites {
		keys := leafKeys{Reader: publicKey(draft.Ticket.signer())}
		k.Added = append(k.Added, keptAddition{Device: draft.Device, Ticket: keys.Reader})
		if err := putRecord(tx, bucketReader, leafKey(g.id, adds[i].Leaf), keys); err != nil {
			return err
		}
		if err := e.queueInvite(tx, g, pend, &pend.Invites[i], en.Position, d); err != nil {
			return err
		}
	}
	if err := e.keep(tx, g, k, staged, d); err != nil {
		return err
	}
	if c := e.changeByID(pend.Change); c != nil && c.rec.Late {
		if err := e.callRoll(tx, g); err != nil {
			return err
		}
	}
	return e.finishChange(tx, pend.Change)
}

// merge moves the group to the next epoch and tells the app who came and went.
func (e *engine) merge(tx *state.Tx, g *group, staged *mls.StagedCommit, d *delivery) error {
	pairs, adds, removes := replacements(g.rec.Queue, staged.Adds(), staged.Removes())
	if staged.SelfRemoved() {
		if now, ok := e.ownReplacement(pairs); ok {
			return e.selfReplaced(tx, g, now, d)
		}
		return e.endGroup(tx, g, "removed by a member")
	}
	past := pastEpoch{Epoch: g.mls.Epoch(), Secret: g.keys.knock, Ended: e.now(), Commit: g.processing}
	if by, ok := g.member(staged.Sender()); ok {
		past.By = memberID{by.Account, by.Device}
	}
	past.Added, past.Removed = memberIDs(adds), memberIDs(removes)
	if err := e.keepKnockSecret(tx, g.id, past); err != nil {
		return err
	}
	if err := g.mls.Merge(staged); err != nil {
		return fmt.Errorf("merging a checked commit: %w", err)
	}
	if err := g.renewEpoch(); err != nil {
		return err
	}
	g.rec.Gapped, g.forkTold, g.signals.heard = false, nil, nil
	d.moved, g.rec.Stuck = true, nil
	if over := e.groups[g.rec.Succeeds]; over != nil && g.unfounded() {
		d.after = append(d.after, func() { e.advance(over) }) // there may be all of the others now
	}
	if err := g.saveRecord(tx); err != nil {
		return err
	}
	for _, r := range pairs {
		if err := e.memberReplaced(tx, g, r, past.By, d); err != nil {
			return err
		}
	}
	for _, m := range removes {
		if err := e.memberRemoved(tx, g, m, d); err != nil {
			return err
		}
	}
	for _, m := range adds {
		if err := e.memberAdded(tx, g, m, d); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) memberAdded(tx *state.Tx, g *group, m mls.Member, d *delivery) error {
	c, err := parseCredential(m.Credential)
	if err != nil {
		return nil // the validator let it pass, so it parses
	}
	if err := e.verifyLater(tx, g, c, d); err != nil {
		return err
	}
	if err := e.entered(tx, g, c.Account); err != nil {
		return err
	}
	return e.emit(tx, Event{
		Kind: EventMemberAdded, Conversation: g.rec.Conversation, Account: c.Account, Device: c.Device, From: g.cursor.Seq,
	})
}

func memberIDs(members []mls.Member) (out []memberID) {
	for _, m := range members {
		if c, err := parseCredential(m.Credential); err == nil {
			out = append(out, memberID{c.Account, c.Device})
		}
	}
	return out
}

// shutOut notes whose commit this device cannot follow, and who has a vote against it.
func (e *engine) shutOut(tx *state.Tx, g *group, why error) error {
	f, ok := errors.AsType[*mls.FollowError](why)
	if !ok || g.rec.State == groupStuck {
		return nil
	}
	by, ok := g.member(f.Committer)
	if !ok {
		return nil
	}
	g.rec.Stuck = &stuckAt{Seq: g.cursor.Seq, Since: e.now(), Commit: g.processing, By: memberID{by.Account, by.Device}}
	e.after(e.votePatience()+time.Second, func() { e.advance(g) })
	return putRecord(tx, bucketRoster, rosterKey(g.id, g.processing), g.rosterOf(by))
}

// verifyLater has a member's account looked up. That is stored, so that it happens after a crash too.
func (e *engine) verifyLater(tx *state.Tx, g *group, c *keyserver.Credential, d *delivery) error {
	d.after = append(d.after, func() { e.verifyMember(g, c.Account, c.Device) })
	return tx.Put(bucketVerify, verifyKey(g.id, c.Account, c.Device), []byte{1})
}

// stuck ends reading: what comes next is for an epoch that this device is not in. It asks to be
// replaced.
func (e *engine) stuck(tx *state.Tx, g *group, at uint64, why string) error {
	if g.rec.State == groupStuck || g.rec.State == groupRemoved {
		return nil
	}
	if g.leaving() { // and was not invited: whoever is left here may let it in again
		g.rec.Successor, g.rec.Complaint = groupID{}, relay.Hash{}
	}
	if g.rec.State = groupStuck; g.rec.Stuck == nil {
		g.rec.Stuck = &stuckAt{Seq: g.cursor.Seq, Since: e.now()}
	}
	if err := g.saveRecord(tx); err != nil {
		return err
	}
	if err := e.takeBackRows(tx, g); err != nil {
		return err
	}
	if err := e.knock(tx, g); err != nil {
		return err
	}
	return e.emit(tx, Event{Kind: EventCannotFollow, Conversation: g.rec.Conversation, From: at, Detail: why})
}

// memberRemoved ends the invitation of a removed member and, where this device is an
// admin, takes its reader key off the queue.
func (e *engine) memberRemoved(tx *state.Tx, g *group, m mls.Member, d *delivery) error {
	c, err := parseCredential(m.Credential)
	if err != nil {
		return nil
	}
	if err := e.left(tx, g, c.Account); err != nil {
		return err
	}
	if err := e.inviteAnswered(tx, g, c.Device, d); err != nil {
		return err
	}
	if err := e.knockVoid(tx, g, c.Device, math.MaxUint64); err != nil {
		return err
	}
	keys, err := getRecord[leafKeys](tx, bucketReader, leafKey(g.id, m.Leaf))
	if err != nil {
		return err
	}
	if keys != nil {
		if err := tx.Delete(bucketReader, leafKey(g.id, m.Leaf)); err != nil {
			return err
		}
		d.removed = append(d.removed, keys.Reader)
		if g.policy.isAdmin(e.id.Account) {
			row := configureRow{Group: g.id, ID: newIdempotencyID(), RemoveReader: &keys.Reader}
			if err := e.queueConfigure(tx, row, d); err != nil {
				return err
			}
		}
	}
	if keys == nil || !keys.Claimed {
		if err := e.retireReader(tx, g, m, keys, d); err != nil {
			return err
		}
	}
	return e.emit(tx, Event{
		Kind: EventMemberRemoved, Conversation: g.rec.Conversation, Account: c.Account, Device: c.Device, From: g.cursor.Seq,
	})
}
