package clientlib

import (
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// answersApart answers a knock by a commit that all others can follow, and sends the invitation into
// another epoch, which only the defector knows. ticket tells whether the queue knows the one in it.
func (d *defector) answersApart(old mls.LeafIndex, kp *mls.KeyPackage, ticket bool) {
	t := d.u.t
	t.Helper()
	params := mls.CommitParams{Remove: []mls.LeafIndex{old}, Add: []*mls.KeyPackage{kp}, Now: time.Now()}
	apart := need[*mls.StagedCommit](t)(d.mls.Clone().Commit(params))
	given := newSecret()
	d.last.Tickets = nil
	if ticket {
		d.last.Tickets = []relay.PublicKey{publicKey(given.signer())}
	}
	staged := need[*mls.StagedCommit](t)(d.mls.Commit(params))
	next := need[*epochKeys](t)(newEpochKeys(staged.Next(), d.last.Queue))
	d.commit(d.keys, staged.Message(), publicKey(next.writer.signer()))
	d.last.Tickets = nil

	sealed := need[*sealedState](t)(sealState(need[[]byte](t)(wire.Marshal(&heldState{Tree: apart.Next().RatchetTree()}))))
	keys := keyserver.NewClient(d.u.cfg.KeyServer, keyserver.Options{})
	defer keys.Close()
	for _, chunk := range sealed.Chunks {
		_, err := keys.PutChunk(d.u.ctx(), chunk)
		d.u.must(err)
	}
	welcome := apart.Welcomes()[0]
	v := &invitation{
		Relay: d.u.cfg.Relay.String(), KeyServer: d.u.cfg.KeyServer.String(), Queue: d.last.Queue, Position: d.last.Expect, Ticket: given,
		Package: welcome.KeyPackageRef, Welcome: welcome.Message, Index: sealed.Index, IndexKey: sealed.Key,
	}
	to := need[*contact](t)(contactOf(kp))
	envelope := need[[]byte](t)(v.seal(to.Key, to.Inbox))
	_, err := d.conn.Append(to.Inbox, newIdempotencyID(), to.RequestWriter.signer(), envelope).Wait(d.u.ctx())
	d.u.must(err)
}

// TestQ13_AnsweredIntoAGroupApart: an insider shuts Bob out, answers his knock, and invites him into
// an epoch of his own, where Bob would hear nobody else. The first commit of the others that does not
// open there has Bob knock once more, and another serves him.
func TestQ13_AnsweredIntoAGroupApart(t *testing.T) {
	t.Parallel()
	for name, ticket := range map[string]bool{"with a ticket": true, "with one that the queue does not know": false} {
		t.Run(name, func(t *testing.T) {
			s := badCommitTest(t)
			s.stop()
			s.queues.Knocks.Burst, s.queues.Knocks.Every = 100, time.Millisecond
			s.start()
			alice, bob, mal := s.register("alice"), s.register("bob"), s.register("mallory")
			var id ConversationID
			group8(&id, alice, bob, mal)
			for _, u := range []*user{alice, bob, mal} {
				u.quiet()
			}
			d := mal.turn(id)
			alice.close()
			d.badCommit()
			d.answersApart(leafOf(t, d.mls, bob.id), bob.asked(id), ticket)
			bob.awaitReplaced(bob, 1)

			alice.initiate()
			alice.awaitReplaced(bob, 1)
			alice.must(alice.RenewKeys(alice.ctx(), id))
			bob.awaitKind(EventCannotFollow, 2)
			alice.awaitReplaced(bob, 2)
			bob.awaitReplaced(bob, 2)
			bob.say(id, "back")
			alice.awaitText("back")
			alice.say(id, "welcome")
			bob.awaitText("welcome")
			together(id, alice, bob)
		})
	}
}

// TestDoubtOfAnAnswerEnds: a commit of whoever invited a device back shows nothing of where the others
// are, and that of another member does.
func TestDoubtOfAnAnswerEnds(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	doubts := func(epoch uint64) (does bool) {
		bob.until("the commit to be followed", func() (followed bool) {
			bob.must(bob.eng.call(bob.ctx(), func() error {
				g := bob.eng.primary(id)
				does, followed = g.rec.Before != nil, g.mls.Epoch() >= epoch
				return nil
			}))
			return followed
		})
		return does
	}
	var epoch uint64
	bob.must(bob.eng.call(bob.ctx(), func() error {
		g := bob.eng.primary(id)
		g.rec.Before, epoch = &before{Inviter: alice.eng.device()}, g.mls.Epoch()
		return bob.eng.update(g.saveRecord)
	}))
	alice.must(alice.RenewKeys(alice.ctx(), id))
	if !doubts(epoch + 1) {
		t.Error("alice, who invited bob, has rid him of his doubt")
	}
	carol.quiet()
	carol.must(carol.RenewKeys(carol.ctx(), id))
	if doubts(epoch + 2) {
		t.Error("bob doubts where carol is, whose commit he has followed")
	}
}
