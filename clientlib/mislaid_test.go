package clientlib

import (
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// answers puts a KeyPackage in the place of a leaf, and writes the invitation, as change has it.
func (d *defector) answers(of *user, old mls.LeafIndex, kp *mls.KeyPackage, change func(*invitation)) {
	t := d.u.t
	t.Helper()
	staged := need[*mls.StagedCommit](t)(d.mls.Commit(mls.CommitParams{Remove: []mls.LeafIndex{old}, Add: []*mls.KeyPackage{kp}, Now: time.Now()}))
	next := need[*epochKeys](t)(newEpochKeys(staged.Next(), d.last.Queue))
	sealed := need[*sealedState](t)(sealState(need[[]byte](t)(wire.Marshal(&heldState{Tree: staged.Next().RatchetTree()}))))
	for _, chunk := range sealed.Chunks {
		_, err := of.eng.keys.PutChunk(of.ctx(), chunk)
		of.must(err)
	}
	ticket := newSecret()
	d.last.Tickets = []relay.PublicKey{publicKey(ticket.signer())}
	d.commit(d.keys, staged.Message(), publicKey(next.writer.signer()))
	d.last.Tickets = nil
	d.u.must(d.mls.Merge(staged))
	d.keys = next
	v := &invitation{
		Relay: of.cfg.Relay.String(), KeyServer: of.cfg.KeyServer.String(), Queue: d.last.Queue, Position: d.last.Expect, Ticket: ticket,
		Package: staged.Welcomes()[0].KeyPackageRef, Welcome: staged.Welcomes()[0].Message, Index: sealed.Index, IndexKey: sealed.Key,
	}
	change(v)
	to := need[*contact](t)(contactOf(kp))
	_, err := d.conn.Append(to.Inbox, newIdempotencyID(), to.RequestWriter.signer(), need[[]byte](t)(v.seal(to.Key, to.Inbox))).Wait(of.ctx())
	of.must(err)
}

// TestQ13_InvitationLeadsNowhere: an insider shuts Bob out, answers his knock, and writes him an
// invitation whose ticket or place in the log the relay does not know. Bob asks again by the reader
// that he has, blames no relay, and is served by another; all are told who had answered him.
func TestQ13_InvitationLeadsNowhere(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*invitation){
		"ticket":   func(v *invitation) { v.Ticket = newSecret() },
		"position": func(v *invitation) { v.Position.Seq, v.Position.Chain = v.Position.Seq+1000, relay.Hash{1} },
	} {
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
			d.answers(bob, leafOf(t, d.mls, bob.id), bob.asked(id), change)
			bob.awaitReplaced(bob, 1)
			alice.initiate()
			alice.awaitReplaced(bob, 2)
			bob.awaitReplaced(bob, 2)
			bob.say(id, "back")
			alice.awaitText("back")
			together(id, alice, bob)
			if n := bob.shown(EventRollback); n != 0 {
				t.Errorf("bob blames the relay: %s", describe(bob.events))
			}
			alice.mu.Lock()
			if !slices.ContainsFunc(alice.events, func(ev Event) bool { return ev.Kind == EventReplaced && ev.ByAccount == mal.id }) {
				t.Error("alice is not told who answered bob first")
			}
			alice.mu.Unlock()
		})
	}
}

// TestInvitationToALinkedRelay: a device writes to the inbox of whoever knocks, at a relay of the
// knocker's choice. That it has a link there lets no invitation lead it to that relay.
func TestInvitationToALinkedRelay(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, mal := s.register("alice"), s.register("mallory")
	evil := relay.Address{Host: "127.0.0.1:1", Key: relay.RelayKey{1}}.String()
	alice.must(alice.eng.call(alice.ctx(), func() error {
		if alice.eng.linkTo(evil) == nil {
			t.Error("no link")
		}
		return nil
	}))
	mal.lure(alice, lureSpec{letter: func(v *invitation) { v.Relay = evil }})
	alice.awaitKind(EventInvitationRefused, 1)
	if why := alice.refusals(); len(why) != 1 || why[0] != errElsewhere.Error() {
		t.Errorf("refused as %q", why)
	}
}
