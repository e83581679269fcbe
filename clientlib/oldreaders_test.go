package clientlib

import (
	"testing"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// TestQ06_ReadersOfTheRemoved: the relay goes back to a moment between the commit that removed a member
// and the removal of its reader. An admin's client removes that again; of a commit that the log lacks
// it waits for the commit.
func TestQ06_ReadersOfTheRemoved(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, mal := s.register("alice"), s.register("bob"), s.register("mallory")
	var id ConversationID
	group8(&id, alice, bob, mal)
	mal.quiet()
	mal.say(id, "here")
	alice.awaitText("here")
	var reader relay.PublicKey
	mal.must(mal.eng.call(mal.ctx(), func() error {
		g := mal.eng.primary(id)
		reader = publicKey(mal.eng.id.Secret.readerKey(g.rec.Queue, mal.eng.reader(g)))
		return nil
	}))
	alice.must(alice.RemoveMember(alice.ctx(), id, mal.id))
	bob.awaitKind(EventMemberRemoved, 1)
	alice.awaitKind(EventMemberRemoved, 1)
	alice.until("mallory's reader to be removed", func() (done bool) {
		alice.must(alice.eng.call(alice.ctx(), func() error { done = len(alice.eng.configure) == 0; return nil }))
		return done
	})
	alice.quiet()
	for _, u := range []*user{alice, bob} {
		u.must(u.eng.call(u.ctx(), func() error {
			e := u.eng
			g := e.primary(id)
			removes := func(last relay.Position) (n int) {
				u.must(e.update(func(tx *state.Tx) error {
					gap := relayclient.Gap{From: 1, To: g.cursor.Seq, Reason: relay.GapLost, Position: relay.Position{Incarnation: relay.Incarnation{9}, Seq: g.cursor.Seq}}
					return e.relayLost(tx, g, &relayclient.Stream{LastCommit: last}, gap, new(delivery))
				}))
				u.must(u.db.View(u.ctx(), func(tx *state.Tx) error {
					return each(tx, bucketConfigure, func(_ []byte, row *configureRow) error {
						if row.RemoveReader != nil && *row.RemoveReader == reader {
							n++
						}
						return nil
					})
				}))
				return n
			}
			if n := removes(relay.Position{}); n != 0 {
				t.Errorf("%s removes a reader %d times whose removal is not in the log", u.name, n)
			}
			want := 0
			if u == alice {
				want = 1
			}
			if n := removes(g.kept[len(g.kept)-1].At); n != want {
				t.Errorf("%s removes mallory's reader %d times", u.name, n)
			}
			return nil
		}))
	}
}
