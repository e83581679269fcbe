package clientlib

import (
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// votesKeptHere counts the votes that a user has read and not seen taken back.
func (u *user) votesKeptHere() (n int) {
	u.t.Helper()
	u.must(u.db.View(u.ctx(), func(tx *state.Tx) error {
		for _, err := range tx.Scan(bucketVote, nil) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	}))
	return n
}

// TestQ06_VotesThatTheRelayLost: the log as it is now decides which successor is founded. So votes that
// were read before the relay's loss count for nobody, and whoever has cast one does so again.
func TestQ06_VotesThatTheRelayLost(t *testing.T) {
	t.Parallel()
	_, all, d, id := brokenGroup(t, "alice", "bob", "carol")
	alice := all[0]
	all[1].close()
	all[2].close()
	d.badCommit()
	alice.awaitKind(EventCannotFollow, 1)
	read := func() bool {
		alice.must(alice.eng.call(alice.ctx(), func() error {
			alice.eng.advance(alice.eng.groups[alice.eng.convs[id].Groups[0]])
			return nil
		}))
		return false
	}
	voted := func() bool { return alice.votesKeptHere() > 0 || read() }
	// Her successor holds nobody else yet, so she votes for it when the others have been added to it.
	alice.until("alice to vote", voted)
	alice.until("the relay's answer", func() (over bool) { // it may come behind the entry
		alice.must(alice.eng.call(alice.ctx(), func() error {
			over = !alice.eng.groups[alice.eng.convs[id].Groups[0]].voting
			return nil
		}))
		return over
	})
	alice.must(alice.eng.call(alice.ctx(), func() error {
		e := alice.eng
		g := e.groups[e.convs[id].Groups[0]]
		var d delivery
		err := e.update(func(tx *state.Tx) error {
			gap := relayclient.Gap{From: 1, To: 1, Reason: relay.GapLost, Position: g.cursor}
			return e.relayLost(tx, g, &relayclient.Stream{LastCommit: g.rec.LastCommit}, gap, &d)
		})
		if n := alice.votesKeptHere(); n != 0 {
			t.Errorf("%d votes count that the log has no more", n)
		}
		return err
	}))
	alice.until("alice to vote again", voted)
}

// TestQ15_OneSuccessorIsEnough: a member that is about to begin a successor reads that another has
// announced one, and waits for that.
func TestQ15_OneSuccessorIsEnough(t *testing.T) {
	t.Parallel()
	_, all, d, id := brokenGroup(t, "alice", "bob", "carol", "dave")
	alice, bob := all[0], all[1]
	for _, u := range all[1:] {
		u.close()
	}
	d.badCommit()
	alice.awaitKind(EventCannotFollow, 1)
	alice.until("alice to vote", func() bool {
		alice.must(alice.eng.call(alice.ctx(), func() error {
			alice.eng.advance(alice.eng.groups[alice.eng.convs[id].Groups[0]])
			return nil
		}))
		return alice.votesKeptHere() > 0
	})
	alice.close()
	bob.cfg.votes = time.Hour
	bob.open()
	bob.until("bob to read of it", func() bool { return bob.votesKeptHere() > 0 })
	bob.must(bob.eng.call(bob.ctx(), func() error {
		g := bob.eng.groups[bob.eng.convs[id].Groups[0]]
		if bob.eng.begin(g); bob.eng.begun(g) != nil {
			t.Error("bob has begun another one")
		}
		return nil
	}))
}
