package clientlib

import (
	"crypto/ed25519"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/content"
	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// says writes a text into the group, as of the conversation that it says it goes on with.
func (g *luring) says(room, text string) relay.Position {
	t := g.by.t
	t.Helper()
	m := content.Text(text)
	p := &payload{Kind: payloadContent, Body: need[[]byte](t)(m.Encode())}
	p.ID = need[MessageID](t)(m.ID(senderURI(g.by.id), room))
	sealed := need[[]byte](t)(g.keys.seal(relay.KindMessage, need[[]byte](t)(g.mls.Encrypt(need[[]byte](t)(wire.Marshal(p)), nil))))
	return need[relay.Position](t)(g.conn.Append(g.before.queue, newIdempotencyID(), g.keys.writer.signer(), sealed).Wait(g.by.ctx()))
}

// removes commits a removal.
func (g *luring) removes(u *user) relay.Position {
	t := g.by.t
	t.Helper()
	staged := need[*mls.StagedCommit](t)(g.mls.Commit(mls.CommitParams{Remove: []mls.LeafIndex{leafOf(t, g.mls, u.id)}, Now: time.Now()}))
	next := need[*epochKeys](t)(newEpochKeys(staged.Next(), g.before.queue))
	return need[relay.Position](t)(g.conn.Commit(relayclient.CommitParams{
		Queue: g.before.queue, ID: newIdempotencyID(), Reader: g.reader, Expect: g.at, NextWriter: publicKey(next.writer.signer()),
		Envelope: enclosed(t, g.keys, staged.Message()),
	}).Wait(g.by.ctx()))
}

// hasRead waits until a user has processed an entry of a group's log.
func (u *user) hasRead(id groupID, at relay.Position) {
	u.t.Helper()
	u.until("the entry to be read", func() (ok bool) {
		u.must(u.eng.call(u.ctx(), func() error {
			g := u.eng.groups[id]
			ok = g != nil && g.cursor.Seq >= at.Seq
			return nil
		}))
		return ok
	})
}

// TestQ15_GroupThatOnlySaysItSucceeds: a member invites Bob, and nobody else, to a group that says it
// succeeds theirs. What it says there is not shown as said in the conversation, neither before nor after
// an admin has removed it from that; and Bob's removal from its group is none from the conversation.
func TestQ15_GroupThatOnlySaysItSucceeds(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, mal := s.register("alice"), s.register("bob"), s.register("mallory")
	var id ConversationID
	group8(&id, alice, bob, mal)
	for _, u := range []*user{alice, bob, mal} {
		u.quiet()
	}
	after := bob.succession(id)
	var room string
	bob.must(bob.eng.call(bob.ctx(), func() error { room = bob.eng.roomURI(bob.eng.primary(id)); return nil }))
	lure := mal.lure(bob, lureSpec{after: &after})
	candidate := groupID(lure.mls.ID())
	bob.hasRead(candidate, lure.says(room, "as a member"))
	alice.must(alice.RemoveMember(alice.ctx(), id, mal.id))
	bob.awaitKind(EventMemberRemoved, 1)
	bob.hasRead(candidate, lure.says(room, "removed"))
	bob.hasRead(candidate, lure.removes(bob))
	bob.say(id, "still here")
	alice.awaitText("still here")
	bob.quiet()
	if got := bob.texts(id); !slices.Equal(got, []string{"still here"}) {
		t.Errorf("bob has %q", got)
	}
	if n := bob.shown(EventMessage) + bob.shown(EventRemoved) + bob.shown(EventFailed) + bob.shown(EventSucceeded); n != 0 {
		t.Errorf("bob is told: %s", describe(bob.events))
	}
	bob.must(bob.db.View(bob.ctx(), func(tx *state.Tx) error {
		for range tx.Scan(bucketHeld, nil) {
			t.Error("a message of a group that is gone is held")
		}
		return nil
	}))
}

// TestQ15_CandidateThatCloses: the group that only says it succeeds theirs is closed, and a successor of
// itself is announced in it. Bob founds and joins nothing on its account, and says what he says as before.
func TestQ15_CandidateThatCloses(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	s.votes = 2 * time.Second
	alice, bob, mal := s.register("alice"), s.register("bob"), s.register("mallory")
	var id ConversationID
	group8(&id, alice, bob, mal)
	for _, u := range []*user{alice, bob, mal} {
		u.quiet()
	}
	after := bob.succession(id)
	lure := mal.lure(bob, lureSpec{after: &after})
	candidate := groupID(lure.mls.ID())
	bob.hasRead(candidate, lure.says("", "to be read"))
	need[relay.Position](t)(lure.conn.Delete(lure.before.queue, newIdempotencyID(), lure.admin).Wait(mal.ctx()))
	closed := func() (ok bool) {
		bob.must(bob.eng.call(bob.ctx(), func() error { ok = bob.eng.groups[candidate].rec.Closed; return nil }))
		return ok
	}
	bob.until("the closing to be read", closed)
	bob.must(bob.eng.call(bob.ctx(), func() error {
		e, g := bob.eng, bob.eng.groups[candidate]
		e.seek(e.links[g.rec.Relay], g)
		if g.begins || e.begun(g) != nil {
			t.Error("bob founds a successor of a group that is no conversation")
		}
		return nil
	}))
	second := mal.lure(bob, lureSpec{after: &succession{Group: candidate, Queue: lure.before.queue, Room: after.Room}})
	bob.say(id, "still here")
	alice.awaitText("still here")
	bob.until("the second group to be refused", func() (refused bool) {
		bob.must(bob.eng.call(bob.ctx(), func() error {
			if bob.eng.groups[groupID(second.mls.ID())] != nil {
				t.Fatal("bob has joined what succeeds no conversation")
			}
			return nil
		}))
		return len(bob.refusals()) > 0
	})
}

// TestSuccessorGivenUpWhileItIsMade: the queue of a successor of one's own is being created when
// another one is founded. What is left of it does not keep the store from being opened.
func TestSuccessorGivenUpWhileItIsMade(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob := s.register("alice"), s.register("bob")
	var id ConversationID
	group8(&id, alice, bob)
	alice.quiet()
	var own *group
	alice.must(alice.eng.call(alice.ctx(), func() (err error) {
		e, g := alice.eng, alice.eng.primary(id)
		r := g.rosterOf(&keyserver.Credential{})
		if own, err = e.beginGroup(g.policy.heirs(&r, newQueueID()), g.mls.Suite()); err != nil {
			return err
		}
		e.groups[own.id] = own
		if err := e.update(func(tx *state.Tx) error { return e.keepCandidate(tx, own) }); err != nil {
			return err
		}
		e.advance(own)
		return e.update(func(tx *state.Tx) error { return e.discard(tx, own) })
	}))
	alice.until("the relay's answer", func() (over bool) {
		alice.must(alice.eng.call(alice.ctx(), func() error { over = !own.busy; return nil }))
		return over
	})
	alice.reopen()
	alice.say(id, "still here")
	bob.awaitText("still here")
}

// succession is what a group says that succeeds a conversation.
func (u *user) succession(id ConversationID) (after succession) {
	u.t.Helper()
	u.must(u.eng.call(u.ctx(), func() error {
		g := u.eng.primary(id)
		r, err := u.eng.roomID(g)
		after = succession{Group: g.id, Queue: g.rec.Queue, Room: r}
		return err
	}))
	return after
}

// TestQ15_StrangerInTheSuccessor: a friend of the insider announces a successor first, in which there
// is somebody besides the others. They vote for another, and are told who is not in it any more.
func TestQ15_StrangerInTheSuccessor(t *testing.T) {
	t.Parallel()
	s, all, d, id := brokenGroup(t, "alice", "bob", "eve")
	zoe, eve := s.register("zoe"), all[2]
	zoes := need[keyserver.AccountID](t)(eve.Find(eve.ctx(), "zoe"))
	d.badCommit()
	eve.awaitKind(EventCannotFollow, 1)
	eve.must(eve.eng.call(eve.ctx(), func() error {
		e := eve.eng
		g := e.groups[e.convs[id].Groups[0]]
		e.begin(g)
		for _, c := range e.changesOf(e.begun(g).id) {
			c.rec.Accounts = append(c.rec.Accounts, zoes)
		}
		return nil
	}))
	inSuccessor(id, all)
	for _, u := range all {
		u.mu.Lock()
		for _, ev := range u.events {
			if ev.Kind == EventMemberAdded && ev.Account == zoe.id {
				t.Errorf("%s is told that zoe has come", u.name)
			}
		}
		if !slices.ContainsFunc(u.events, func(ev Event) bool { return ev.Kind == EventMemberRemoved && ev.Account == d.u.id }) {
			t.Errorf("%s is not told that mallory is not in the successor", u.name)
		}
		u.mu.Unlock()
	}
}

// TestQ03_ReplacedInASuccessor: a member that a successor's insider shuts out is replaced there as it
// would be in any group.
func TestQ03_ReplacedInASuccessor(t *testing.T) {
	t.Parallel()
	_, all, d, id := brokenGroup(t, "alice", "bob", "eve")
	alice, bob, eve := all[0], all[1], all[2]
	d.badCommit()
	inSuccessor(id, all)
	eves := eve.turn(id)
	alice.initiate()
	eves.badCommit()
	bob.awaitKind(EventCannotFollow, 2)
	alice.awaitReplaced(bob, 1)
	bob.awaitReplaced(bob, 1)
	bob.say(id, "back")
	alice.awaitText("back")
	alice.say(id, "welcome")
	bob.awaitText("welcome")
	together(id, alice, bob)
	if n := bob.shown(EventSucceeded); n != 1 {
		t.Errorf("bob is told of %d successors", n)
	}
	bob.must(bob.eng.call(bob.ctx(), func() error {
		if len(bob.eng.knocking) != 0 {
			t.Error("bob goes on asking")
		}
		return nil
	}))
}

// TestQ16_RemovedFromTheSuccessor: who was removed from a successor knocks in the queue of the group
// before it, in whose tree it stands for good. Nobody adds it again.
func TestQ16_RemovedFromTheSuccessor(t *testing.T) {
	t.Parallel()
	s, all, d, id := brokenGroup(t, "alice", "bob", "carol")
	alice, bob, carol := all[0], all[1], all[2]
	d.badCommit()
	inSuccessor(id, all)
	s.stop()
	s.queues.Knocks.Burst, s.queues.Knocks.Every = 100, time.Millisecond // bob has knocked in this hour
	s.start()
	var old groupID
	var queue relay.QueueID
	var shared secret
	var reader ed25519.PrivateKey
	bob.must(bob.eng.call(bob.ctx(), func() error {
		g := bob.eng.groups[bob.eng.convs[id].Groups[0]]
		old, queue, shared = g.id, g.rec.Queue, g.keys.knock
		reader = bob.eng.id.Secret.readerKey(queue, bob.eng.reader(g))
		return nil
	}))
	j := newJoined(queue, bob.eng.device(), reader, reader)
	kp := bob.packageFor(&mark{Queue: queue, Reader: j.Reader, Proof: j.Proof, Last: relay.Position{Seq: 1}, Number: math.MaxUint64})
	alice.must(alice.RemoveMember(alice.ctx(), id, bob.id))
	removed := func(u *user) {
		u.await("bob to be removed", func(events []Event) bool {
			return slices.ContainsFunc(events, func(ev Event) bool { return ev.Kind == EventMemberRemoved && ev.Account == bob.id })
		})
		u.quiet()
	}
	removed(alice)
	removed(carol)
	content := need[[]byte](t)(wire.Marshal(&knock{Package: kp.Bytes()}))
	envelope := need[[]byte](t)(knockKeys(shared, queue).seal(relay.KindKnock, content))
	at := need[relay.Position](t)(bob.insider().Knock(queue, newIdempotencyID(), reader, relay.ClassKnock, envelope).Wait(bob.ctx()))
	for _, u := range []*user{alice, carol} {
		u.hasRead(old, at)
		u.quiet()
	}
	alice.say(id, "without bob")
	carol.awaitText("without bob")
	for _, u := range []*user{alice, carol} {
		if n := u.members(id); n != 2 {
			t.Errorf("%s is in a group of %d", u.name, n)
		}
	}
}

// TestQ03_WhoMustNotSendFindsTheSuccessor: a member whose store was copied back cannot count the votes of
// those whom an insider shuts out. It goes with them when they have gone.
func TestQ03_WhoMustNotSendFindsTheSuccessor(t *testing.T) {
	t.Parallel()
	_, all, d, id := brokenGroup(t, "alice", "bob", "carol")
	carol := all[2]
	all[0].close()
	all[1].close()
	carol.must(carol.eng.call(carol.ctx(), func() error {
		return carol.eng.update(func(tx *state.Tx) error { return carol.eng.unsafe(tx, carol.eng.primary(id)) })
	}))
	d.badCommit()
	all[0].open()
	all[1].open()
	inSuccessor(id, all)
}

// TestQ15_ManySuccessorsOfOneFounder: a member invites Bob to one group after the other that says it
// succeeds theirs. It is told to stop before there is no room for another member's.
func TestQ15_ManySuccessorsOfOneFounder(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, mal := s.register("alice"), s.register("bob"), s.register("mallory")
	var id ConversationID
	group8(&id, alice, bob, mal)
	for _, u := range []*user{alice, bob, mal} {
		u.quiet()
	}
	var after succession
	bob.must(bob.eng.call(bob.ctx(), func() error {
		g := bob.eng.primary(id)
		after = succession{Group: g.id, Queue: g.rec.Queue, Room: groupConversation(g.id)}
		return nil
	}))
	joins := func(by *user) {
		lure := by.lure(bob, lureSpec{after: &after})
		bob.hasRead(groupID(lure.mls.ID()), lure.at)
	}
	for range maxCandidates {
		joins(mal)
	}
	mal.lure(bob, lureSpec{after: &after})
	bob.awaitKind(EventInvitationRefused, 1)
	joins(alice)
	if why := bob.refusals(); len(why) != 1 || why[0] != errBadSuccessor.Error() {
		t.Errorf("refused as %q", why)
	}
}
