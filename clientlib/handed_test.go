package clientlib

import (
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
)

// TestQ03_HandedSecretsReplaceNoneOfItsOwn: whoever answers a knock hands over secrets of past epochs.
// What the device knows of those by itself stays: its votes can be taken back and counted.
func TestQ03_HandedSecretsReplaceNoneOfItsOwn(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.must(alice.RenewKeys(alice.ctx(), id))
	alice.quiet()
	alice.must(alice.RenewKeys(alice.ctx(), id))
	alice.quiet()
	alice.must(alice.eng.call(alice.ctx(), func() error {
		g := alice.eng.primary(id)
		return alice.eng.update(func(tx *state.Tx) error {
			before, err := pastEpochs(tx, g.id)
			if err != nil {
				return err
			}
			last := before[len(before)-2]
			if last.Commit == (relay.Hash{}) {
				t.Fatal("no epoch that alice has seen the end of")
			}
			if err := alice.eng.keepHanded(tx, g, []pastEpoch{{Epoch: last.Epoch, Secret: newSecret()}}); err != nil {
				return err
			}
			under, err := alice.eng.secretOf(tx, g, last.Commit)
			if err != nil || string(under) != string(last.Secret) {
				t.Errorf("the vote against that epoch's end is sealed under another secret: %v", err)
			}
			return nil
		})
	}))
}

// TestQ16_NumberAboveTheLeafs: a knock that was answered while the device's clock was ahead does not
// make the later ones void.
func TestQ16_NumberAboveTheLeafs(t *testing.T) {
	t.Parallel()
	s := badCommitTest(t)
	alice, bob, mal := s.register("alice"), s.register("bob"), s.register("mallory")
	var id ConversationID
	group8(&id, alice, bob, mal)
	for _, u := range []*user{alice, bob, mal} {
		u.quiet()
	}
	d := mal.turn(id)
	alice.initiate()
	ahead := uint64(time.Now().Add(365 * 24 * time.Hour).UnixMilli())
	bob.must(bob.eng.call(bob.ctx(), func() error {
		return bob.eng.update(func(tx *state.Tx) error {
			return bob.eng.knockLater(tx, bob.eng.primary(id), ahead, time.Hour)
		})
	}))
	d.badCommit()
	bob.awaitKind(EventCannotFollow, 1)
	bob.must(bob.eng.call(bob.ctx(), func() error {
		bob.eng.knocking[bob.eng.convs[id].Groups[0]].notBefore = time.Time{}
		bob.eng.flushKnocks()
		return nil
	}))
	bob.awaitReplaced(bob, 1)
	bob.must(bob.eng.call(bob.ctx(), func() error {
		e := bob.eng
		return e.update(func(tx *state.Tx) error {
			g := e.primary(id)
			if err := e.knock(tx, g); err != nil {
				return err
			}
			if n := e.knocking[g.id].rec.Number; n <= ahead {
				t.Errorf("the next knock begins at %d, the leaf's is above %d", n, ahead)
			}
			return nil
		})
	}))
}
