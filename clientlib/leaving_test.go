package clientlib

import (
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/keyserver"
)

// TestQ15_SuccessorThatIsOnlyTalkedOf: a member that reads of a successor waits a day for its
// invitation, and says nothing that those who have gone would not hear. Then it goes on where it is.
func TestQ15_SuccessorThatIsOnlyTalkedOf(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	since := func(at int64) {
		alice.must(alice.eng.call(alice.ctx(), func() error {
			g := alice.eng.primary(id)
			g.rec.Successor, g.rec.LeftAt = groupID{1}, at
			if err := alice.eng.update(g.saveRecord); err != nil {
				return err
			}
			alice.eng.stay(g)
			alice.eng.advance(g)
			return nil
		}))
	}
	day := int64(leavePause / time.Second)
	since(time.Now().Unix())
	alice.say(id, "late")
	since(time.Now().Unix() - day + 60)
	alice.must(alice.eng.call(alice.ctx(), func() error {
		if g := alice.eng.primary(id); !g.leaving() || len(alice.eng.rows) != 1 || alice.eng.rows[0].rec.State != rowQueued {
			t.Error("alice goes on writing where the others may have gone")
		}
		return nil
	}))
	since(time.Now().Unix() - day)
	bob.awaitText("late")
}

// TestQ16_LateOnlyWhileItIs: whom a member has yet to add to a successor, and who has come or was
// removed meanwhile, is not added.
func TestQ16_LateOnlyWhileItIs(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	gone, away := keyserver.AccountID{1}, keyserver.AccountID{2}
	alice.must(alice.eng.call(alice.ctx(), func() error {
		e := alice.eng
		g := e.primary(id)
		add := func(late bool, accounts ...keyserver.AccountID) *pendingChange {
			alice.must(e.update(func(tx *state.Tx) error {
				return e.queueChange(tx, change{Group: g.id, Kind: changeAdd, Late: late, Accounts: accounts})
			}))
			return e.changes[len(e.changes)-1]
		}
		if err := e.update(func(tx *state.Tx) error { return tx.Put(bucketGone, goneKey(g.id, gone), []byte{1}) }); err != nil {
			return err
		}
		if c := add(true, bob.id, gone, away); !e.stillLate(g, c) || !slices.Equal(c.rec.Accounts, []keyserver.AccountID{away}) {
			t.Errorf("added are %v", c.rec.Accounts)
		} else if err := e.update(func(tx *state.Tx) error { return e.finishChange(tx, c.id) }); err != nil {
			return err
		}
		if c := add(true, bob.id, gone); e.stillLate(g, c) || slices.Contains(e.changes, c) {
			t.Error("a change that adds nobody stands")
		}
		if c := add(false, gone); !e.stillLate(g, c) {
			t.Error("who was removed cannot be asked back")
		} else {
			return e.update(func(tx *state.Tx) error { return e.finishChange(tx, c.id) })
		}
		return nil
	}))
}
