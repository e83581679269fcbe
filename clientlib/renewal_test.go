package clientlib

import (
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
)

const day = 24 * 60 * 60 // seconds

// aged changes what a user's client knows of the time in a conversation, and has it look.
func (u *user) aged(id ConversationID, change func(*group)) {
	u.t.Helper()
	u.must(u.eng.call(u.ctx(), func() error {
		g := u.eng.primary(id)
		change(g)
		g.renewAt = time.Now().Add(-time.Second) // no jitter
		u.eng.watchLeaves(g)
		return nil
	}))
}

// TestA15_LeavesAreRenewedInTime: about weekly, after a week away, and not before. A member that
// is behind hears what the others hear, with keys that were not there before.
func TestA15_LeavesAreRenewedInTime(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	bob.quiet()
	inOneEpoch(id, alice, bob)
	now := time.Now().Unix()
	for _, c := range []struct {
		name            string
		renewed, online int64
		size            int
		due             bool
	}{
		{"five days", now - 5*day, now, 2, false},
		{"nine days", now - 9*day, now, 2, true},
		{"nine days in a large group", now - 9*day, now, largeGroup + 1, false},
		{"38 days in a large group", now - 38*day, now, largeGroup + 1, true},
		{"a day old, but away for eight", now - day, now - 8*day, largeGroup + 1, true},
		{"away for six", now - day, now - 6*day, 2, false},
	} {
		before, _ := alice.epoch(id)
		for range 2 { // the second look finds what the first one noted
			alice.aged(id, func(g *group) {
				if g.rec.Renewed != 0 {
					g.rec.Renewed = c.renewed
				}
				g.rec.Online, g.size = c.online, c.size
			})
		}
		alice.quiet()
		alice.must(alice.eng.call(alice.ctx(), func() error { alice.eng.primary(id).size = 2; return nil }))
		if after, _ := alice.epoch(id); (after != before) != c.due {
			t.Errorf("%s: the epoch went from %d to %d, due is %v", c.name, before, after, c.due)
		}
		inOneEpoch(id, alice, bob)
	}
	reach(id, "at last", alice, bob)
}

// TestRenewalsSpread: devices that joined together do not renew together.
func TestRenewalsSpread(t *testing.T) {
	t.Parallel()
	e := &engine{id: &identity{Device: newSecret()}}
	day4, day10, week := 0, 0, 0
	for n := range 1000 {
		g := &group{id: groupID{byte(n), byte(n >> 8)}, size: 3}
		if e.renewalDue(g, 5*day) {
			day4++
		}
		if e.renewalDue(g, 7*day) {
			week++
		}
		if e.renewalDue(g, 9*day) {
			day10++
		}
	}
	if day4 != 0 || day10 != 1000 || week < 400 || week > 600 {
		t.Errorf("of 1000, %d are due after 5 days, %d after 7 and %d after 9", day4, week, day10)
	}
}

// old gives a user's leaf keys whose time is over, as if it had renewed them long ago.
func (u *user) old(id ConversationID) {
	u.t.Helper()
	before, _ := u.epoch(id)
	u.must(u.eng.call(u.ctx(), func() error {
		e, g := u.eng, u.eng.primary(id)
		key, cred, err := e.newLeafKey(g.mls.Suite(), time.Now().Add(-credentialOf-2*evictSlack))
		if err != nil {
			return err
		}
		params := &mls.CommitParams{Path: true, NewSignatureKey: key, NewCredential: &cred, Now: time.Now()}
		pend, err := e.stage(g, &pendingChange{}, params, nil)
		if err != nil {
			return err
		}
		err = e.update(func(tx *state.Tx) error {
			if err := putRecord(tx, bucketPending, g.id[:], pend); err != nil {
				return err
			}
			return e.saveMLS(tx, g)
		})
		g.pend = pend
		e.advance(g)
		return err
	}))
	u.until("its renewal", func() bool { now, _ := u.epoch(id); return now > before })
}

// TestA15_OldLeavesAreEvicted: an admin's client removes the device whose keys are 90 days old, and
// nobody else's does. A clock that makes everybody look old removes nobody.
func TestA15_OldLeavesAreEvicted(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol, dave := s.register("alice"), s.register("bob"), s.register("carol"), s.register("dave")
	var id ConversationID
	group8(&id, alice, bob, carol, dave)
	all := []*user{alice, bob, carol, dave}
	for _, u := range all {
		u.quiet()
	}
	inOneEpoch(id, all...)
	dave.old(id)
	inOneEpoch(id, all...)
	look := func(u *user, from time.Duration) (queued int) {
		u.must(u.eng.call(u.ctx(), func() error {
			u.eng.evictOld(u.eng.primary(id), time.Now().Add(from).Unix())
			queued = len(u.eng.changes)
			return nil
		}))
		return queued
	}
	if n := look(bob, 0); n != 0 {
		t.Errorf("a member that may not remove anybody queued %d changes", n)
	}
	if n := look(alice, 100*24*time.Hour); n != 0 {
		t.Errorf("a clock that is 100 days ahead queued %d changes", n)
	}
	if n := look(alice, 0); n != 1 {
		t.Errorf("the admin's client queued %d changes", n)
	}
	alice.quiet()
	dave.awaitKind(EventRemoved, 1)
	reach(id, "without dave", alice, bob, carol)
	if n := look(alice, 0); n != 0 {
		t.Errorf("%d changes when nobody is old", n)
	}
	bob.mu.Lock()
	defer bob.mu.Unlock()
	if n := bob.count(bob.events, EventFailed); n != 0 {
		t.Errorf("a member that may not remove anybody tried %d times", n)
	}
}

// TestA15_OldPeerIsAskedBack: in a conversation of two the other one is removed too, and asked back.
func TestA15_OldPeerIsAskedBack(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, id := s.couple()
	alice.quiet()
	bob.quiet()
	bob.old(directID(alice.id))
	at, _ := bob.epoch(directID(alice.id))
	alice.until("bob's renewal", func() bool { now, _ := alice.epoch(id); return now == at })
	alice.must(alice.eng.call(alice.ctx(), func() error { alice.eng.evictOld(alice.eng.primary(id), time.Now().Unix()); return nil }))
	bob.awaitKind(EventRemoved, 1)
	bob.awaitKind(EventJoined, 2)
	alice.say(id, "hello again")
	bob.awaitText("hello again")
	bob.say(directID(alice.id), "hello")
	alice.awaitText("hello")
}

// TestA15_RenewalThatDoesNotComeThrough: a renewal that waits for a day of being connected is told
// of, once, across restarts.
func TestA15_RenewalThatDoesNotComeThrough(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	hold := func() {
		alice.until("the log", func() (there bool) {
			alice.must(alice.eng.call(alice.ctx(), func() error {
				g := alice.eng.primary(id)
				g.holdCommits(time.Hour)
				there = g.caughtUp()
				return nil
			}))
			return there
		})
	}
	hold()
	alice.must(alice.RenewKeys(alice.ctx(), id))
	look := func(times int) {
		alice.must(alice.eng.call(alice.ctx(), func() error {
			for range times {
				alice.eng.watchRenewal(alice.eng.primary(id))
			}
			return nil
		}))
	}
	ticks := int(renewTold / tickEvery)
	look(ticks / 2)
	told := func() int {
		alice.mu.Lock()
		defer alice.mu.Unlock()
		return alice.count(alice.events, EventNotRenewed)
	}
	if told() != 0 {
		t.Error("told after half a day")
	}
	alice.must(alice.db.View(alice.ctx(), func(tx *state.Tx) error {
		return each(tx, bucketChange, func(_ []byte, c *change) error {
			if c.Waited < int64(renewTold/time.Second)/2-600 {
				t.Errorf("half a day is %d s on disk", c.Waited)
			}
			return nil
		})
	}))
	look(ticks)
	alice.awaitKind(EventNotRenewed, 1)
	look(ticks)
	if n := told(); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestRenewAllKeys: every conversation has new keys of this device's afterwards.
func TestRenewAllKeys(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	peer := need[keyserver.AccountID](t)(alice.Find(alice.ctx(), "bob"))
	var ids []ConversationID
	var before []uint64
	for range 2 {
		ids = append(ids, need[ConversationID](t)(alice.CreateGroup(alice.ctx(), "group", peer)))
		bob.awaitKind(EventJoined, len(ids))
	}
	alice.quiet()
	for _, id := range ids {
		n, _ := alice.epoch(id)
		before = append(before, n)
	}
	alice.must(alice.RenewAllKeys(alice.ctx()))
	alice.quiet()
	var after []uint64
	for _, id := range ids {
		n, _ := alice.epoch(id)
		after = append(after, n)
	}
	if want := []uint64{before[0] + 1, before[1] + 1}; !slices.Equal(after, want) {
		t.Errorf("epochs %v, want %v", after, want)
	}
}
