package clientlib

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

// errElsewhere refuses an invitation to servers that this client does not use: following it
// would show a stranger's server this device's address.
var errElsewhere = errors.New("clientlib: invitation leads to servers that this account does not use")

// join answers an invitation: fetch the tree, join, check every member's account, and only
// then keep the group. All of it can be repeated after a crash.
func (e *engine) join(hash [32]byte, v *invitation) {
	if e.joining[hash] {
		return
	}
	e.joining[hash] = true
	if v.KeyServer != e.id.KeyServer || !e.uses(v.Relay) {
		e.refuseInvitation(hash, errElsewhere)
		return
	}
	if err := e.deaths(hash); err != nil {
		e.refuseInvitation(hash, err)
		return
	}
	// Before anything is fetched: whoever knows the inbox can write here, but only who took
	// a KeyPackage can invite.
	if _, err := e.welcomed(v.Package); err != nil {
		e.refuseInvitation(hash, err)
		return
	}
	if e.fetching {
		e.waiting = append(e.waiting, func() { e.fetchAndJoin(hash, v) })
		return
	}
	e.fetchAndJoin(hash, v)
}

// uses reports whether a relay is this account's, or one that a conversation of it lives on. A link
// says nothing: an invitation is written to the inbox of whoever is added, at a relay of its choice.
func (e *engine) uses(addr string) bool {
	if addr == e.id.Relay {
		return true
	}
	for _, g := range e.groups {
		if g.rec.Relay == addr && g.rec.State != groupRemoved {
			return true
		}
	}
	return false
}

// nextJoin begins the next invitation that waits. One at a time: each may hold a large tree.
func (e *engine) nextJoin() {
	e.fetching = false
	if len(e.waiting) > 0 {
		next := e.waiting[0]
		e.waiting = e.waiting[1:]
		next()
	}
}

func (e *engine) fetchAndJoin(hash [32]byte, v *invitation) {
	e.fetching = true
	e.spawn(func(ctx context.Context) {
		var content []byte
		held := new(heldState)
		err := untilDone(ctx, func() (bool, error) {
			var err error
			content, err = fetchState(ctx, func(ctx context.Context, h [32]byte) ([]byte, error) {
				return e.anonymous.GetChunk(ctx, keyserver.ChunkHash(h))
			}, v.Index, v.IndexKey)
			return !permanent(err) && !errors.Is(err, ErrBadGroupState), err
		})
		var joined *mls.Group
		var keys *mls.KeyPackageSecrets
		if err == nil && wire.Unmarshal(content, held) != nil {
			err = ErrBadGroupState
		}
		if err == nil {
			joined, keys, err = e.joinTree(hash, v, held.Tree)
		}
		e.post(func() {
			defer e.nextJoin()
			if err != nil {
				e.refuseInvitation(hash, err)
				return
			}
			e.joined(hash, v, joined, keys, held.Knocks)
		})
	})
}

// joinTree finds the KeyPackage that the Welcome is for, and enters the group in memory. It does
// not run on run: of a large group it takes time, and of a hostile one as much as its author likes.
func (e *engine) joinTree(hash [32]byte, v *invitation, tree []byte) (joined *mls.Group, keys *mls.KeyPackageSecrets, err error) {
	if keys, err = e.welcomed(v.Package); err != nil {
		return nil, nil, err
	}
	err = e.surviving(hash, func() error {
		// Without a time: a member that has not renewed its leaf for long is for the next
		// committer to evict, and must not keep others from joining until then.
		joined, err = mls.Join(v.Welcome, keys, mls.JoinParams{Tree: tree, Application: e.groupRules})
		return err
	})
	return joined, keys, err
}

// joined looks whether a group is what its invitation says, and takes nothing else's place.
func (e *engine) joined(hash [32]byte, v *invitation, joined *mls.Group, keys *mls.KeyPackageSecrets, handed []pastEpoch) {
	if len(joined.ID()) != len(groupID{}) { // MLS allows any length
		e.refuseInvitation(hash, fmt.Errorf("%w: group id of %d bytes", errBadInvitation, len(joined.ID())))
		return
	}
	if groupID(joined.ID()) == groupID(e.id.Inbox) { // their cursors stand in one bucket
		e.refuseInvitation(hash, fmt.Errorf("%w: group with the id of the inbox", errBadInvitation))
		return
	}
	g := &group{id: groupID(joined.ID()), mls: joined, cursor: v.Position, handed: handed}
	if old := e.groups[g.id]; old != nil {
		if old.rec.Successor != (groupID{}) && !old.live() || old.rec.State == groupCandidate {
			e.forgetInvitation(hash) // its conversation has gone on without it, or may go on in it
			return
		}
		if old.live() && foretold(old, joined) {
			delete(e.joining, hash)
			return
		}
		if old.live() && !old.overtaken(joined.Epoch(), v) {
			e.forgetInvitation(hash) // delivered again, or answered before a crash
			return
		}
		// Who comes back to a group comes back to its queue, and later than it left. Another
		// group under the same id would be shown as that one, and an earlier invitation
		// again, by a last-resort KeyPackage, would use keys twice.
		if old.rec.Queue != v.Queue || old.rec.Relay != v.Relay || joined.Epoch() <= old.lastShared() {
			e.refuseInvitation(hash, fmt.Errorf("%w: not the way back into a group that was left", errBadInvitation))
			return
		}
	}
	g.rec = groupRecord{
		State: groupRekeying, Queue: v.Queue, Relay: v.Relay, KeyServer: v.KeyServer, Ticket: v.Ticket,
		RequestID: newIdempotencyID(), LastCommit: v.Position, Renewed: e.now(),
		Base: v.Position, BaseEpoch: joined.Epoch(),
	}
	if err := g.renewEpoch(); err != nil {
		e.refuseInvitation(hash, err)
		return
	}
	if g.policy.Queue != v.Queue || g.policy.Relay != v.Relay || g.policy.KeyServer != v.KeyServer {
		e.refuseInvitation(hash, fmt.Errorf("%w: it names another queue than the group", errBadInvitation))
		return
	}
	// A third member would read along where the user writes to a friend.
	if n := len(g.accounts()); g.policy.Kind == Direct && n != 2 {
		e.refuseInvitation(hash, fmt.Errorf("%w: conversation of two with %d accounts", errBadInvitation, n))
		return
	}
	if g.policy.Kind == Group && !g.policy.Keeper.verify(v.Queue) {
		e.refuseInvitation(hash, errBadKeeper)
		return
	}
	if _, err := e.candidate(g); err != nil {
		e.refuseInvitation(hash, err)
		return
	}
	e.checkMembers(hash, g, keys)
}

// welcomed returns the secrets of the KeyPackage that a Welcome was made for.
func (e *engine) welcomed(ref []byte) (keys *mls.KeyPackageSecrets, err error) {
	err = e.db.View(e.ctx, func(tx *state.Tx) error {
		b, ok, err := tx.Get(bucketPackage, ref)
		if err == nil && !ok {
			err = mls.ErrNotForUs
		}
		if err != nil {
			return err
		}
		keys, err = mls.UnmarshalKeyPackageSecrets(b)
		return err
	})
	return keys, err
}

// checkMembers is the account check before one joins: every member's device is in the chain
// that its account's id commits to.
func (e *engine) checkMembers(hash [32]byte, g *group, keys *mls.KeyPackageSecrets) {
	var members []*keyserver.Credential
	for _, m := range g.mls.Members() {
		if c, err := parseCredential(m.Credential); err == nil && (c.Account != e.id.Account || c.Device != e.device()) {
			members = append(members, c)
		}
	}
	own := *e.id
	e.spawn(func(ctx context.Context) {
		known := map[keyserver.AccountID]*knownAccount{}
		err := untilDone(ctx, func() (bool, error) {
			for _, c := range members {
				if err := e.checkDevice(ctx, &own, c, known); err != nil {
					return !permanent(err), err
				}
			}
			return false, nil
		})
		e.post(func() {
			if err != nil {
				e.refuseInvitation(hash, fmt.Errorf("checking a member: %w", err))
				return
			}
			e.enter(hash, g, keys, known)
		})
	})
}

// checkDevice asks the directory for the account of a credential, once for each account.
func (e *engine) checkDevice(ctx context.Context, own *identity, c *keyserver.Credential, looked map[keyserver.AccountID]*knownAccount) error {
	k := looked[c.Account]
	if k == nil {
		var err error
		if k, err = e.chainOf(ctx, own, c.Account); err != nil {
			return err
		}
		if c.Account != own.Account {
			looked[c.Account] = k
		}
	}
	account, err := keyserver.VerifyChain(k.Chain)
	if err != nil {
		return err
	}
	if account.ID != c.Account || !account.Has(c.Device) {
		return fmt.Errorf("%w: device is not in its account's chain", keyserver.ErrChain)
	}
	return nil
}

// chainOf asks the directory for the chain of an account. Of one's own nobody knows more than
// this device.
func (e *engine) chainOf(ctx context.Context, own *identity, account keyserver.AccountID) (*knownAccount, error) {
	if account == own.Account {
		return &knownAccount{Chain: own.Chain}, nil
	}
	known, err := e.known(ctx, account)
	if err != nil && !errors.Is(err, ErrUnknownAccount) {
		return nil, err
	}
	listing, err := e.lookUp(ctx, account, known)
	switch {
	case errors.Is(err, keyserver.ErrNotFound) && known != nil:
		return known, nil // without a directory the chain of its contact card counts
	case err != nil:
		return nil, err
	}
	return &knownAccount{Handle: listing.Handle, Chain: listing.Entries, CheckedAt: e.now()}, nil
}

// enter keeps the joined group. The KeyPackage's secrets go in the same transaction, so no
// second Welcome can ever be opened with them; a last resort stays, and its leaf is
// replaced at once.
func (e *engine) enter(hash [32]byte, g *group, keys *mls.KeyPackageSecrets, known map[keyserver.AccountID]*knownAccount) {
	over, err := e.candidate(g)
	if err != nil {
		e.refuseInvitation(hash, err)
		return
	}
	old := e.groups[g.id]
	overtaken := old != nil && old.live()
	if overtaken {
		if old.rec.State != groupRekeying || g.mls.Epoch() <= old.rec.Epoch {
			e.forgetInvitation(hash)
			return
		}
		old.rec.State = groupRemoved // in memory: what is under way for it changes nothing any more
	}
	kp := keys.KeyPackage()
	var d delivery
	err = e.update(func(tx *state.Tx) error {
		_, lastResort, err := tx.Get(bucketLast, kp.Ref())
		if err != nil {
			return err
		}
		if !lastResort {
			if err := tx.Delete(bucketPackage, kp.Ref()); err != nil {
				return err
			}
		}
		for id, k := range known {
			if err := e.learn(tx, id, k); err != nil {
				return err
			}
		}
		if err := e.dropAnnouncements(tx, g.id); err != nil {
			return err
		}
		if err := tx.Delete(bucketArrived, hash[:]); err != nil {
			return err
		}
		if over != nil && over.rec.Successor == g.id && over.rec.State == groupSucceeded && old != nil {
			g.rec.Succeeds, g.rec.Founded, g.rec.Returned = over.id, true, true // back into what the conversation has gone on in
			return e.keepJoined(tx, g, old, overtaken, lastResort)
		}
		if over != nil {
			return e.enterCandidate(tx, g, over, &d)
		}
		return e.keepJoined(tx, g, old, overtaken, lastResort)
	})
	if err != nil {
		return
	}
	delete(e.joining, hash)
	if old != nil {
		old.end()
	}
	e.groups[g.id] = g
	e.advance(g)
	if over != nil {
		e.advance(over) // which may have waited for it
	}
	for _, fn := range d.after {
		fn()
	}
}

// keepJoined stores a group that this device is in from here on, for the first time or again.
func (e *engine) keepJoined(tx *state.Tx, g, old *group, overtaken, lastResort bool) error {
	// Who comes back starts over: which reader had which leaf is old knowledge.
	if err := clearBucket(tx, bucketReader, g.id[:]); err != nil {
		return err
	}
	if err := e.adopt(tx, g); err != nil {
		return err
	}
	back := old != nil && old.away()
	var under secret // before what the inviter says that it was
	if back {
		var err error
		if under, err = old.sharedSecret(tx); err != nil {
			return err
		}
	}
	if err := e.keepHanded(tx, g, g.handed); err != nil {
		return err
	}
	if overtaken {
		err := e.emit(tx, Event{
			Kind: EventGap, Conversation: old.rec.Conversation, From: old.cursor.Seq + 1, To: g.cursor.Seq,
			Detail: "removed and added again before they could be read",
		})
		if err != nil {
			return err
		}
	}
	if overtaken && old.rec.Before != nil {
		if err := g.remainUnsure(tx, old.rec.Before); err != nil {
			return err
		}
	}
	if back {
		if err := e.returned(tx, g, old, under); err != nil {
			return err
		}
	}
	if err := e.announce(tx, g); err != nil {
		return err
	}
	if lastResort {
		if err := e.queueChange(tx, change{Group: g.id, Kind: changeRenew}); err != nil {
			return err
		}
	}
	if back {
		return nil
	}
	return e.emit(tx, Event{Kind: EventJoined, Conversation: g.rec.Conversation, Account: e.convs[g.rec.Conversation].Peer})
}

// overtaken reports whether an invitation takes the place of the one that this group came by: it
// was removed and added again before it ever read the queue, and its ticket went with the removal.
func (g *group) overtaken(epoch uint64, v *invitation) bool {
	return g.rec.State == groupRekeying && g.rec.Queue == v.Queue && g.rec.Relay == v.Relay && epoch > g.rec.Epoch
}

// dropAnnouncements forgets what would be said of keys that an earlier invitation brought.
func (e *engine) dropAnnouncements(tx *state.Tx, id groupID) error {
	for _, r := range slices.Clone(e.rows) {
		if r.rec.Kind == payloadJoined && r.rec.Pinned == id {
			if err := e.forgetRow(tx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// announce queues the signed message by which a joiner tells its keys at the relay.
func (e *engine) announce(tx *state.Tx, g *group) error {
	reader := e.id.Secret.readerKey(g.rec.Queue, e.reader(g))
	body, err := wire.Marshal(newJoined(g.rec.Queue, e.device(), reader, e.id.Secret.adminKey(g.rec.Queue)))
	if err != nil {
		return err
	}
	var id MessageID
	copy(id[:], newSecret())
	return e.queueRow(tx, outRow{Conversation: g.rec.Conversation, Pinned: g.id, Kind: payloadJoined, ID: id, Body: body, State: rowQueued})
}

// refuseInvitation gives an invitation up, with an event that says why.
func (e *engine) refuseInvitation(hash [32]byte, why error) {
	if e.ctx.Err() != nil {
		return // closing: it is answered at the next start
	}
	delete(e.joining, hash)
	_ = e.update(func(tx *state.Tx) error {
		if err := tx.Delete(bucketArrived, hash[:]); err != nil {
			return err
		}
		if err := tx.Delete(bucketTrial, invitationTrial(hash)); err != nil {
			return err
		}
		if errors.Is(why, mls.ErrNotForUs) {
			return nil // a repetition of one that was answered, its KeyPackage used up
		}
		return e.emit(tx, Event{Kind: EventInvitationRefused, Detail: why.Error()})
	})
}

func (e *engine) forgetInvitation(hash [32]byte) {
	delete(e.joining, hash)
	_ = e.update(func(tx *state.Tx) error { return tx.Delete(bucketArrived, hash[:]) })
}

func verifyKey(id groupID, account keyserver.AccountID, device keyserver.DeviceID) []byte {
	return slices.Concat(id[:], account[:], device[:])
}

// verifyMember checks, after the fact, the account of a member that another one added. It
// cannot undo the commit, which counts for all; it tells, and an admin evicts the device.
func (e *engine) verifyMember(g *group, account keyserver.AccountID, device keyserver.DeviceID) {
	own := *e.id
	e.spawn(func(ctx context.Context) {
		looked := map[keyserver.AccountID]*knownAccount{}
		err := untilDone(ctx, func() (bool, error) {
			err := e.checkDevice(ctx, &own, &keyserver.Credential{Account: account, Device: device}, looked)
			return err != nil && !permanent(err), err
		})
		if ctx.Err() != nil {
			return
		}
		e.post(func() {
			_ = e.update(func(tx *state.Tx) error { return e.memberVerified(tx, g, account, device, looked[account], err) })
			e.advance(g)
		})
	})
}

func (e *engine) memberVerified(tx *state.Tx, g *group, account keyserver.AccountID, device keyserver.DeviceID, k *knownAccount, why error) error {
	if err := tx.Delete(bucketVerify, verifyKey(g.id, account, device)); err != nil {
		return err
	}
	if why == nil {
		if k == nil {
			return nil // of one's own account
		}
		return e.learn(tx, account, k)
	}
	if g.live() && g.policy.isAdmin(e.id.Account) {
		evict := change{Group: g.id, Kind: changeRemove, Accounts: []keyserver.AccountID{account}, Device: device}
		if err := e.queueChange(tx, evict); err != nil {
			return err
		}
	}
	return e.emit(tx, Event{
		Kind: EventSuspiciousDevice, Conversation: g.rec.Conversation, Account: account, Device: device, Detail: why.Error(),
	})
}
