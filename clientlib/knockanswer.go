package clientlib

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/jitter"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// knocked processes a KNOCK entry. If it counts, this member answers it after a pause, as all that
// are online do: the first COMMIT in the log is the answer, and the others drop theirs.
func (e *engine) knocked(tx *state.Tx, g *group, en *relayclient.Entry, d *delivery) error {
	content, err := g.openKnock(tx, en.Envelope)
	if err != nil {
		return err
	}
	if content == nil {
		g.skipped++
		return nil
	}
	if len(content) > 1 && content[1] != knockReplace {
		return e.voted(tx, g, en, content, d)
	}
	asked, err := e.checkKnock(tx, g, en, content)
	if err != nil {
		return err
	}
	if asked == nil || asked.Device == e.device() {
		return nil
	}
	if !g.live() {
		return e.lateComer(tx, g, asked, d)
	}
	if g.leaving() {
		return nil // it is answered in the successor
	}
	for _, c := range e.changesOf(g.id) {
		if c.rec.Kind == changeReplace && c.rec.Device == asked.Device && c.rec.Number >= asked.Number {
			return nil
		}
	}
	// A newer one voids the older.
	if err := e.knockVoid(tx, g, asked.Device, asked.Number); err != nil {
		return err
	}
	if err := e.queueChange(tx, *asked); err != nil {
		return err
	}
	wait := jitter.Below(knockJitter*time.Duration(min(g.size, 100)) + 1)
	e.changes[len(e.changes)-1].notBefore = time.Now().Add(wait)
	d.after = append(d.after, func() { e.after(wait, func() { e.advance(g) }) })
	return nil
}

// prepareReplace checks who knocks as before every Add: its device is in its account's chain.
func (e *engine) prepareReplace(g *group, c *pendingChange) {
	own, suite := *e.id, g.mls.Suite()
	g.preparing = true
	e.spawn(func(ctx context.Context) {
		a, err := e.checkKnocker(ctx, &own, &c.rec, suite)
		e.post(func() {
			g.preparing = false
			switch {
			case ctx.Err() != nil:
			case err == nil:
				e.buildCommit(g, c, []addition{*a})
			case permanent(err):
				e.failChange(g, c, fmt.Errorf("replacing a device that cannot follow: %w", err))
				e.advance(g)
			default:
				pause := c.backoff.Next(0, 0)
				c.notBefore = time.Now().Add(pause)
				e.after(pause, func() { e.advance(g) })
				e.advance(g) // there may be something else to do
			}
		})
	})
}

func (e *engine) checkKnocker(ctx context.Context, own *identity, c *change, suite mls.Suite) (*addition, error) {
	chain, err := e.chainOf(ctx, own, c.Accounts[0])
	if err != nil {
		return nil, err
	}
	account, err := keyserver.VerifyChain(chain.Chain)
	if err != nil {
		return nil, err
	}
	if account.ID != c.Accounts[0] {
		return nil, fmt.Errorf("%w: chain of another account", keyserver.ErrChain)
	}
	return checkAddition(c.Package, account, c.Device, suite, false)
}

// replaceParams exchanges the leaf of a device that knocks; nil if that has been done.
func (e *engine) replaceParams(g *group, c *pendingChange, adds []addition) (*mls.CommitParams, []inviteDraft) {
	old, ok := standing(g, &keyserver.Credential{Account: c.rec.Accounts[0], Device: c.rec.Device})
	if !ok || len(adds) != 1 || old.Leaf == g.mls.OwnLeaf() {
		return nil, nil
	}
	if before := markOf(old.Extensions); before != nil && before.Number >= c.rec.Number {
		return nil, nil
	}
	a := &adds[0]
	return &mls.CommitParams{Remove: []mls.LeafIndex{old.Leaf}, Add: []*mls.KeyPackage{a.pkg.KeyPackage}, Now: time.Now()},
		[]inviteDraft{{Account: a.account, Device: a.device, Contact: a.extension, Ticket: newSecret()}}
}

// memberReplaced tells that a device has another leaf. The reader of the one before stays until
// the new one has spoken: who answered the knock may keep the invitation, and the device then
// knocks again.
func (e *engine) memberReplaced(tx *state.Tx, g *group, r replacement, by memberID, d *delivery) error {
	c, err := parseCredential(r.now.Credential)
	if err != nil {
		return nil // the validator let it pass, so it parses
	}
	if err := e.inviteAnswered(tx, g, c.Device, d); err != nil {
		return err
	}
	if err := tx.Delete(bucketReader, leafKey(g.id, r.old.Leaf)); err != nil {
		return err
	}
	if err := e.knockVoid(tx, g, c.Device, markOf(r.now.Extensions).Number); err != nil {
		return err
	}
	if err := e.verifyLater(tx, g, c, d); err != nil {
		return err
	}
	return e.emit(tx, Event{
		Kind: EventReplaced, Conversation: g.rec.Conversation, Account: c.Account, Device: c.Device, From: g.cursor.Seq,
		ByAccount: by.Account, ByDevice: by.Device,
	})
}

// knockVoid forgets the knocks of a device up to a number: its leaf is gone, or has been replaced.
func (e *engine) knockVoid(tx *state.Tx, g *group, device keyserver.DeviceID, upTo uint64) error {
	for _, c := range e.changesOf(g.id) {
		if c.rec.Kind == changeReplace && c.rec.Device == device && c.rec.Number <= upTo {
			if err := e.finishChange(tx, c.id); err != nil {
				return err
			}
		}
	}
	return nil
}

// retireReader removes the reader under which the device of a leaf knocked, once it is of no more
// use: an admin's client does.
func (e *engine) retireReader(tx *state.Tx, g *group, leaf mls.Member, keys *leafKeys, d *delivery) error {
	m := markOf(leaf.Extensions)
	if m == nil || keys != nil && keys.Reader == m.Reader || !g.policy.isAdmin(e.id.Account) {
		return nil
	}
	return e.queueConfigure(tx, configureRow{Group: g.id, ID: newIdempotencyID(), RemoveReader: &m.Reader}, d)
}

// selfReplaced deals with a commit that replaces this device, which reads on and did not know that
// it was shut out, or is not. The invitation is on its way, or is here already.
func (e *engine) selfReplaced(tx *state.Tx, g *group, now mls.Member, d *delivery) error {
	if err := e.stuck(tx, g, g.cursor.Seq, "another member has replaced this device's keys; its invitation is on the way"); err != nil {
		return err
	}
	if j := e.knocking[g.id]; j != nil { // it did not ask: it waits before it does
		j.notBefore = time.Now().Add(knockPatience)
	}
	if err := e.knockLater(tx, g, markOf(now.Extensions).Number, knockPatience); err != nil {
		return err
	}
	d.after = append(d.after, e.answerArrived)
	return nil
}

// isOwn reports whether a leaf is this device's.
func (e *engine) isOwn(m mls.Member) bool {
	c, err := parseCredential(m.Credential)
	return err == nil && c.Account == e.id.Account && c.Device == e.device()
}

// ownReplacement finds this device among the replaced.
func (e *engine) ownReplacement(pairs []replacement) (mls.Member, bool) {
	i := slices.IndexFunc(pairs, func(r replacement) bool { return e.isOwn(r.now) })
	if i < 0 {
		return mls.Member{}, false
	}
	return pairs[i].now, true
}
