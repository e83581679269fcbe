package clientlib

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/jitter"
	"github.com/sealpost/sealpost/keyserver"
)

// When a device replaces its keys in a group (DESIGN section 4), and until when others wait for it.
const (
	renewEvery  = 7 * 24 * time.Hour
	renewLarge  = 30 * 24 * time.Hour // above largeGroup members: each renewal is a commit for all of them
	largeGroup  = 200
	renewAbsent = 7 * 24 * time.Hour // away for longer: at once
	evictSlack  = 24 * time.Hour     // how far this device's clock may be ahead
	evictEvery  = time.Hour          // between two looks at the leaves of a group
	renewTold   = 24 * time.Hour     // of being connected: a renewal that is not in the log by then is told of
	seenEvery   = 6 * time.Hour      // how often it is noted that this device was there
)

// watchLeaves sees to it, for each group that is up to date, that no leaf gets too old: neither
// this device's nor another's. tick calls it.
func (e *engine) watchLeaves(g *group) {
	if e.id == nil || g.rec.State != groupActive || !g.caughtUp() || e.healing(g) || g.size < 2 || g.unfounded() {
		return
	}
	now := e.now()
	e.watchRenewal(g)
	if e.renewalDue(g, now) {
		// Not all who come back at once from a long outage, and at a time of its own for each group.
		if g.renewAt.IsZero() {
			g.renewAt = time.Now().Add(jitter.Below(60 * e.grace()))
		}
		if time.Now().After(g.renewAt) {
			g.renewAt = time.Time{}
			e.queueRenewal(g)
		}
	}
	if since := now - g.rec.Online; since > int64(seenEvery/time.Second) || since < 0 {
		if since > int64(renewAbsent/time.Second) && g.rec.Online != 0 {
			g.rec.Renewed = 0 // due, even if this is the last that is done now
		}
		g.rec.Online = now
		if e.update(g.saveRecord) != nil {
			return
		}
	}
	if time.Since(g.leavesSeen) > evictEvery {
		g.leavesSeen = time.Now()
		e.evictOld(g, now)
		e.stopNaming(g)
	}
}

// renewalDue reports whether this device's leaf is old enough to be replaced. The interval is
// longer or shorter by up to a quarter, another one each time: who knows when one renewal was must
// not know when the next one is, and members must not go in step.
func (e *engine) renewalDue(g *group, now int64) bool {
	every := renewEvery
	if g.size > largeGroup {
		every = renewLarge
	}
	own := e.device()
	mixed := sha256.Sum256(binary.BigEndian.AppendUint64(slices.Concat(g.id[:], own[:]), uint64(g.rec.Renewed)))
	quarter := int64(every/time.Second) / 4
	shift := int64(binary.BigEndian.Uint32(mixed[:]))%(2*quarter+1) - quarter
	return now-g.rec.Renewed > int64(every/time.Second)+shift
}

// renewing returns the renewal that waits for a group.
func (e *engine) renewing(g *group) *pendingChange {
	for _, c := range e.changes {
		if c.rec.Group == g.id && c.rec.Kind == changeRenew {
			return c
		}
	}
	return nil
}

func (e *engine) queueRenewal(g *group) {
	if e.renewing(g) != nil {
		return
	}
	if e.update(func(tx *state.Tx) error { return e.queueChange(tx, change{Group: g.id, Kind: changeRenew}) }) == nil {
		e.advance(g)
	}
}

// watchRenewal warns of a renewal that does not get into the log although this device is connected:
// whoever has its keys would like that (RFC 9420 section 16.9), and only the relay, or members who
// commit all the time, can bring it about.
func (e *engine) watchRenewal(g *group) {
	c := e.renewing(g)
	if c == nil {
		return
	}
	before := c.rec.Waited
	if c.rec.Waited += int64(tickEvery / time.Second); c.rec.Waited%600 >= before%600 && c.rec.Waited < int64(renewTold/time.Second) {
		return // in memory until ten minutes are full
	}
	told := before < int64(renewTold/time.Second) && c.rec.Waited >= int64(renewTold/time.Second)
	_ = e.update(func(tx *state.Tx) error {
		if told {
			err := e.emit(tx, Event{
				Kind: EventNotRenewed, Conversation: g.rec.Conversation, Account: e.id.Account, Device: e.device(), From: g.cursor.Seq,
				Detail: "the renewal of this device's keys does not get into the conversation's log",
			})
			if err != nil {
				return err
			}
		}
		return putRecord(tx, bucketChange, counterKey(c.id), c.rec)
	})
}

// evictOld removes, where the policy lets this device, the leaves that were not renewed in 90 days:
// whose credentials are over. That decides what is committed here, and never what counts. If most
// others look too old, it is this device's clock that is wrong.
func (e *engine) evictOld(g *group, now int64) {
	var old []*keyserver.Credential
	for _, m := range g.mls.Members() {
		c, err := parseCredential(m.Credential)
		if err != nil || m.Leaf == g.mls.OwnLeaf() {
			continue
		}
		if c.Expired(time.Unix(now, 0).Add(-evictSlack)) {
			old = append(old, c)
		}
	}
	if len(old) == 0 || g.size > 2 && 2*len(old) > g.size-1 {
		return
	}
	err := e.update(func(tx *state.Tx) error {
		for _, c := range old {
			if !g.policy.isAdmin(e.id.Account) && c.Account != e.id.Account || e.removing(g, c) {
				continue
			}
			evict := change{Group: g.id, Kind: changeRemove, Accounts: []keyserver.AccountID{c.Account}, Device: c.Device}
			if err := e.queueChange(tx, evict); err != nil {
				return err
			}
			if g.policy.Kind != Direct || c.Account == e.id.Account {
				continue
			}
			// Of two the other one is asked back, with keys that are new.
			if err := e.queueAdds(tx, g, []keyserver.AccountID{c.Account}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		e.advance(g)
	}
}

// removing reports whether a change waits that removes a device.
func (e *engine) removing(g *group, device *keyserver.Credential) bool {
	return slices.ContainsFunc(e.changes, func(c *pendingChange) bool { return c.rec.Group == g.id && c.removes(device) })
}

// RenewAllKeys replaces this device's keys in all its conversations, for when the device may have
// been in other hands: whoever has its keys reads nothing sent afterwards. Like AddMembers it
// returns early; what is already on its way counts.
func (c *Client) RenewAllKeys(ctx context.Context) error {
	return c.eng.call(ctx, func() error {
		e := c.eng
		var live []*group
		err := e.update(func(tx *state.Tx) error {
			for _, g := range inOrderOfIDs(e.groups) {
				if !g.live() || e.renewing(g) != nil && g.pend == nil {
					continue
				}
				if err := e.queueChange(tx, change{Group: g.id, Kind: changeRenew}); err != nil {
					return err
				}
				live = append(live, g)
			}
			return nil
		})
		for _, g := range live {
			e.advance(g)
		}
		return err
	})
}
