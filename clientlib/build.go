package clientlib

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// buildCommit stages the commit that a change wants in the epoch in force, and stores it.
// The network may have moved on while its KeyPackages came: then advance starts over.
func (e *engine) buildCommit(g *group, c *pendingChange, adds []addition) {
	if g.pend != nil || !g.caughtUp() || !g.live() || !slices.Contains(e.changes, c) {
		e.advance(g)
		return
	}
	params, drafts, err := e.commitParams(g, c, adds)
	if err != nil {
		e.failChange(g, c, err)
		e.advance(g)
		return
	}
	if params == nil {
		// Somebody else has done it already.
		_ = e.update(func(tx *state.Tx) error { return e.finishChange(tx, c.id) })
		e.advance(g)
		return
	}
	pend, err := e.stage(g, c, params, drafts)
	if err != nil {
		if good, ok := e.leaveOut(g, c, adds); ok {
			e.buildCommit(g, c, good)
			return
		}
		e.failChange(g, c, err)
		e.advance(g)
		return
	}
	err = e.update(func(tx *state.Tx) error {
		if err := putRecord(tx, bucketPending, g.id[:], pend); err != nil {
			return err
		}
		return e.saveMLS(tx, g) // the commit used up a handshake key
	})
	if err != nil {
		return
	}
	g.pend = pend
	e.advance(g)
}

// commitParams says what to commit; nil if the group is as the change wants it.
func (e *engine) commitParams(g *group, c *pendingChange, adds []addition) (*mls.CommitParams, []inviteDraft, error) {
	if c.rec.Kind == changeReplace {
		p, drafts := e.replaceParams(g, c, adds)
		return p, drafts, nil
	}
	p := &mls.CommitParams{Now: time.Now()}
	var drafts []inviteDraft
	var members, added, removed []*keyserver.Credential
	present := map[keyserver.AccountID]bool{}
	for _, m := range g.mls.Members() {
		cred, err := parseCredential(m.Credential)
		if err != nil {
			return nil, nil, err
		}
		members = append(members, cred)
		present[cred.Account] = true
		if c.removes(cred) {
			p.Remove = append(p.Remove, m.Leaf)
			removed = append(removed, cred)
		}
	}
	for i, a := range adds {
		if present[a.account] {
			continue
		}
		p.Add = append(p.Add, adds[i].pkg.KeyPackage)
		added = append(added, &keyserver.Credential{Account: a.account, Device: a.device})
		drafts = append(drafts, inviteDraft{
			Account: a.account, Device: a.device, Contact: a.extension, Ticket: newSecret(), LastResort: a.lastResort,
		})
	}
	own := &keyserver.Credential{Account: e.id.Account, Device: e.device()}
	switch err := g.policy.judge(own, members, added, removed, false); {
	case err != nil:
		return nil, nil, err
	case len(p.Add) > maxAdd:
		return nil, nil, fmt.Errorf("%w: %d devices at once, at most %d", ErrTooLarge, len(p.Add), maxAdd)
	case c.rec.Kind == changeRenew:
		key, cred, err := e.newLeafKey(g.mls.Suite(), p.Now)
		if err != nil {
			return nil, nil, err
		}
		p.Path, p.NewSignatureKey, p.NewCredential = true, key, &cred
	case len(p.Add) == 0 && len(p.Remove) == 0:
		return nil, nil, nil
	}
	return p, drafts, nil
}

// removes reports whether the change wants a member gone.
func (c *pendingChange) removes(m *keyserver.Credential) bool {
	if c.rec.Kind != changeRemove {
		return false
	}
	if c.rec.Device != (keyserver.DeviceID{}) && c.rec.Device != m.Device {
		return false
	}
	return slices.Contains(c.rec.Accounts, m.Account)
}

// stage makes the commit, its envelope, and what its joiners need.
func (e *engine) stage(g *group, c *pendingChange, params *mls.CommitParams, drafts []inviteDraft) (*pendingCommit, error) {
	staged, err := g.mls.Commit(*params)
	if err != nil {
		return nil, fmt.Errorf("committing: %w", err)
	}
	next, err := newEpochKeys(staged.Next(), g.rec.Queue)
	if err != nil {
		return nil, err
	}
	pend := &pendingCommit{
		ID: newIdempotencyID(), Expect: g.rec.LastCommit, NextWriter: publicKey(next.writer.signer()),
		Invites: drafts, Change: c.id, Uploaded: len(drafts) == 0,
	}
	// Sealed under the epoch it ends: whoever is in that epoch can read it.
	pend.Envelope, pend.Blob, pend.BlobHash, err = encloseCommit(g.keys, staged.Message(), g.inline())
	if err != nil {
		return nil, err
	}
	if pend.Staged, err = staged.MarshalBinary(); err != nil {
		return nil, err
	}
	if len(drafts) == 0 {
		return pend, nil
	}
	welcomes := staged.Welcomes()
	if len(welcomes) != len(drafts) {
		return nil, fmt.Errorf("%d Welcomes for %d joiners", len(welcomes), len(drafts))
	}
	for i := range drafts {
		drafts[i].Welcome, drafts[i].Ref = welcomes[i].Message, welcomes[i].KeyPackageRef
	}
	tree := staged.Next().RatchetTree()
	if len(tree) > maxTreeSize {
		return nil, fmt.Errorf("%w: a tree of %d bytes, joiners take at most %d", ErrTooLarge, len(tree), maxTreeSize)
	}
	held, err := e.holdState(g, tree)
	if err != nil {
		return nil, err
	}
	s, err := sealState(held)
	if err != nil {
		return nil, err
	}
	pend.Chunks, pend.Index, pend.IndexKey = s.Chunks, s.Index, s.Key
	return pend, nil
}

// sendCommit brings the pending commit to the relay: first the group state, so that nobody
// is invited to what cannot be fetched, then COMMIT. Whether it counts, the log tells.
func (e *engine) sendCommit(l *link, g *group) {
	pend := g.pend
	if g.committing {
		return
	}
	if time.Now().Before(g.quiet) {
		return // woken when the pause is over
	}
	if pend.Expect != g.rec.LastCommit {
		// Another commit was processed while this one waited: it can only be refused.
		e.dropCommit(g)
		return
	}
	if !pend.Uploaded {
		e.uploadState(g, pend)
		return
	}
	if len(pend.Blob) > 0 && !pend.Stored {
		e.storeCommit(l, g, pend)
		return
	}
	if l.full() {
		return // an answer makes room, and comes back here
	}
	g.committing = true
	sent := pend.ID
	tickets := make([]relay.PublicKey, len(pend.Invites))
	for i, d := range pend.Invites {
		tickets[i] = publicKey(d.Ticket.signer())
	}
	call := l.conn.Commit(relayclient.CommitParams{
		Queue: g.rec.Queue, ID: pend.ID, Reader: e.id.Secret.readerKey(g.rec.Queue, e.reader(g)),
		Expect: pend.Expect, NextWriter: pend.NextWriter, Tickets: tickets, Envelope: pend.Envelope,
		Blobs: pend.blobs(),
	})
	e.send(l, len(pend.Envelope), call, func(_ relay.Position, err error) {
		if g.pend == pend && pend.ID == sent { // not moved behind what was given back
			e.commitAnswered(g, err)
		}
	})
}

func (e *engine) commitAnswered(g *group, err error) {
	switch {
	case err == nil, errors.Is(err, relay.ErrConflict):
		// Either way the entry that decides is in the log and on its way here; until then
		// the commit stays under way, and sends wait.
		e.raiseHead(g, err)
		if errors.Is(err, relay.ErrConflict) && g.caughtUp() {
			e.conflictWithoutEntry(g, err)
		}
	case errors.Is(err, relay.ErrMalformed), errors.Is(err, relay.ErrTooLarge), errors.Is(err, relay.ErrReused):
		g.committing = false
		if c := e.changeByID(g.pend.Change); c != nil {
			e.failChange(g, c, err)
		}
		e.dropCommit(g)
	default:
		g.committing = false
		if errors.Is(err, relay.ErrNoBlob) {
			g.pend.Stored = false // it expired meanwhile, or the relay lost it
		}
		wait := retryAfter(err)
		g.holdCommits(wait)
		e.wakeGroup(g)
	}
}

// conflictWithoutEntry deals with a CONFLICT about a commit that is not ahead in the log: it
// was processed, and this one was built before; or it is one that never came here, and then
// nothing that follows it can be read.
func (e *engine) conflictWithoutEntry(g *group, err error) {
	r, ok := errors.AsType[*relay.Refusal](err)
	if ok && r.Position != nil && *r.Position != g.rec.LastCommit && *r.Position != (relay.Position{}) {
		_ = e.update(func(tx *state.Tx) error {
			ev := Event{
				Kind: EventRollback, Conversation: g.rec.Conversation, From: r.Position.Seq,
				Detail: "the relay names a last commit that its log did not show",
			}
			if err := e.emitProof(tx, g, ev, g.rec.LastCommit, *r.Position, nil); err != nil {
				return err
			}
			return e.stuck(tx, g, r.Position.Seq, ev.Detail)
		})
		return
	}
	e.dropCommit(g)
}

// dropCommit discards a staged commit that lost; its change is staged anew.
func (e *engine) dropCommit(g *group) {
	g.pend, g.committing = nil, false
	g.losses++
	g.holdCommits(raceJitter(g.losses))
	if e.update(func(tx *state.Tx) error { return tx.Delete(bucketPending, g.id[:]) }) == nil {
		e.wakeGroup(g)
	}
}

// uploadState puts the joiners' tree to the key server. It goes on while the relay is away.
func (e *engine) uploadState(g *group, pend *pendingCommit) {
	if g.uploading == pend {
		return
	}
	g.uploading = pend
	chunks := pend.Chunks
	e.spawn(func(ctx context.Context) {
		err := untilDone(ctx, func() (bool, error) {
			if err := e.still(ctx, func() bool { return g.pend == pend }); err != nil {
				return false, err
			}
			for _, chunk := range chunks {
				if _, err := e.anonymous.PutChunk(ctx, chunk); err != nil {
					return !permanent(err), err
				}
			}
			return false, nil
		})
		e.post(func() {
			if g.uploading == pend {
				g.uploading = nil
			}
			if g.pend != pend {
				return
			}
			if err != nil {
				if c := e.changeByID(pend.Change); c != nil {
					e.failChange(g, c, fmt.Errorf("uploading the group state: %w", err))
				}
				e.dropCommit(g)
				return
			}
			pend.Uploaded, pend.Chunks = true, nil
			if e.update(func(tx *state.Tx) error { return putRecord(tx, bucketPending, g.id[:], pend) }) == nil {
				e.advance(g)
			}
		})
	})
}
