package clientlib

import (
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
)

// waiting gives a user work for a conversation that has no chance to be done: Dave is to be added,
// the queue configured, and he was invited, and invited a first time.
func (u *user) waiting(id ConversationID, dave *user) {
	u.t.Helper()
	peer := need[keyserver.AccountID](u.t)(u.Find(u.ctx(), dave.name))
	u.must(u.eng.call(u.ctx(), func() error {
		e, g := u.eng, u.eng.primary(id)
		return e.update(func(tx *state.Tx) error {
			if err := e.queueAdds(tx, g, []keyserver.AccountID{peer}); err != nil {
				return err
			}
			e.changes[len(e.changes)-1].notBefore = time.Now().Add(time.Hour)
			if err := e.queueConfigure(tx, configureRow{Group: g.id, ID: newIdempotencyID()}, new(delivery)); err != nil {
				return err
			}
			for sent := range 2 {
				n, err := tx.NextID(bucketInvite)
				if err != nil {
					return err
				}
				row := inviteRow{
					Group: g.id, Device: dave.eng.device(), Relay: dave.eng.id.Relay, Inbox: dave.eng.id.Inbox, Writer: dave.eng.id.Writer,
					Envelope: make([]byte, invitationSize), ID: newIdempotencyID(), Sent: sent, NextAt: e.now() + 3600,
				}
				e.invites[n] = &inviteJob{id: n, rec: row}
				if err := putRecord(tx, bucketInvite, counterKey(n), row); err != nil {
					return err
				}
			}
			return nil
		})
	}))
}

// left counts what still waits, on disk.
func (u *user) left() (n map[string]int) {
	u.t.Helper()
	n = map[string]int{}
	u.must(u.db.View(u.ctx(), func(tx *state.Tx) error {
		for _, bucket := range []string{bucketChange, bucketConfigure, bucketInvite} {
			for _, err := range tx.Scan(bucket, nil) {
				if err != nil {
					return err
				}
				n[bucket]++
			}
		}
		return nil
	}))
	return n
}

// TestNothingWaitsForAGroupThatWasLeft: what waits when this device is removed is not done when it
// comes back, and does not stay either. An invitation that nobody has yet goes out once.
func TestNothingWaitsForAGroupThatWasLeft(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	bob, alice, dave := s.register("bob"), s.register("alice"), s.register("dave")
	var id ConversationID
	group8(&id, bob, alice)
	bob.quiet()
	alice.quiet()
	alice.waiting(id, dave)
	bob.must(bob.RemoveMember(bob.ctx(), id, alice.id))
	alice.awaitKind(EventRemoved, 1)
	if n := alice.left(); n[bucketChange] != 0 || n[bucketConfigure] != 0 || n[bucketInvite] != 1 {
		t.Errorf("left behind: %v", n)
	}
	if _, changes, err := alice.Pending(alice.ctx()); err != nil || changes != 0 {
		t.Errorf("%d changes are pending: %v", changes, err)
	}
	alice.must(alice.eng.call(alice.ctx(), func() error {
		for _, j := range alice.eng.invites {
			j.rec.NextAt = 0
		}
		alice.eng.flushInvites()
		return nil
	}))
	alice.until("the invitation to be sent", func() bool { return alice.left()[bucketInvite] == 0 })
	bob.must(bob.AddMembers(bob.ctx(), id, alice.id))
	alice.awaitKind(EventJoined, 2)
	alice.quiet()
	if n := bob.members(id); n != 2 {
		t.Errorf("%d members, want bob and alice", n)
	}
}

// TestNothingWaitsForAGroupThatWasLost: the same where the device could not follow and hears of
// its removal by the invitation back.
func TestNothingWaitsForAGroupThatWasLost(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	bob, alice, dave := s.register("bob"), s.register("alice"), s.register("dave")
	var id ConversationID
	group8(&id, bob, alice)
	bob.quiet()
	alice.quiet()
	alice.waiting(id, dave)
	alice.must(alice.eng.call(alice.ctx(), func() error {
		g := alice.eng.primary(id)
		return alice.eng.update(func(tx *state.Tx) error { return alice.eng.stuck(tx, g, 1, "a test") })
	}))
	bob.must(bob.RemoveMember(bob.ctx(), id, alice.id))
	bob.quiet()
	bob.must(bob.AddMembers(bob.ctx(), id, alice.id))
	alice.awaitKind(EventJoined, 2)
	alice.quiet()
	if n := alice.left(); n[bucketChange] != 0 || n[bucketConfigure] != 0 {
		t.Errorf("left behind: %v", n)
	}
}
