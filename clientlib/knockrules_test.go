package clientlib

import (
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
	"github.com/sealpost/sealpost/relay/relayclient"
)

// asked is the KeyPackage of a user's newest knock.
func (u *user) asked(id ConversationID) (kp *mls.KeyPackage) {
	u.t.Helper()
	u.until("its knock to be sent", func() bool {
		u.must(u.eng.call(u.ctx(), func() error {
			j := u.eng.knocking[u.eng.convs[id].Groups[0]]
			if j == nil || j.rec.Sent == 0 || len(j.rec.Envelope) > 0 {
				return nil
			}
			return u.db.View(u.ctx(), func(tx *state.Tx) error {
				b, _, err := tx.Get(bucketPackage, j.rec.Packages[len(j.rec.Packages)-1])
				if err != nil {
					return err
				}
				keys, err := mls.UnmarshalKeyPackageSecrets(b)
				if err == nil {
					kp = keys.KeyPackage()
				}
				return err
			})
		}))
		return kp != nil
	})
	return kp
}

// askAgain lets an hour pass for a user who knocks.
func (u *user) askAgain(id ConversationID) {
	u.t.Helper()
	u.must(u.eng.call(u.ctx(), func() error {
		u.eng.knocking[u.eng.convs[id].Groups[0]].rec.NextAt = 0
		u.eng.flushKnocks()
		return nil
	}))
}

// readerIn is the reader key that a user has in a conversation's queue.
func (u *user) readerIn(id ConversationID) (queue relay.QueueID, reader ed25519.PrivateKey) {
	u.t.Helper()
	u.must(u.eng.call(u.ctx(), func() error {
		g := u.eng.groups[u.eng.convs[id].Groups[0]]
		queue, reader = g.rec.Queue, u.eng.id.Secret.readerKey(g.rec.Queue, u.eng.reader(g))
		return nil
	}))
	return queue, reader
}

// exchange posts a commit that puts a KeyPackage in the place of a leaf, with a ticket that
// nobody gets.
func (d *defector) exchange(old mls.LeafIndex, kp *mls.KeyPackage) *mls.StagedCommit {
	d.u.t.Helper()
	staged := need[*mls.StagedCommit](d.u.t)(d.mls.Commit(mls.CommitParams{Remove: []mls.LeafIndex{old}, Add: []*mls.KeyPackage{kp}, Now: time.Now()}))
	next := need[*epochKeys](d.u.t)(newEpochKeys(staged.Next(), d.last.Queue))
	d.last.Tickets = []relay.PublicKey{publicKey(newSecret().signer())}
	d.commit(d.keys, staged.Message(), publicKey(next.writer.signer()))
	d.last.Tickets = nil
	return staged
}

// TestQ13_InvitationKept: an insider shuts Bob out, answers his knock, and keeps the invitation.
// Bob still has the reader that he knocked under; he knocks again, and another serves him. Then
// that reader goes.
func TestQ13_InvitationKept(t *testing.T) {
	t.Parallel()
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
	queue, before := bob.readerIn(id)
	alice.close()
	d.badCommit()
	first := bob.asked(id)
	d.exchange(leafOf(t, d.mls, bob.id), first)

	alice.initiate()
	alice.awaitReplaced(bob, 1)
	if bob.count(bob.events, EventReplaced) != 0 {
		t.Fatal("bob is back without an invitation")
	}
	bob.askAgain(id)
	alice.awaitReplaced(bob, 2)
	bob.awaitReplaced(bob, 1)
	bob.say(id, "back")
	alice.awaitText("back")
	together(id, alice, bob)
	conn := bob.insider()
	alice.until("bob's old reader to be removed", func() bool {
		_, err := conn.Knock(queue, newIdempotencyID(), before, relay.ClassKnock, make([]byte, minEnvelope)).Wait(bob.ctx())
		return errors.Is(err, relay.ErrUnknown)
	})
}

// TestQ16_KnocksThatDoNotCount: what a knock is bound to.
func TestQ16_KnocksThatDoNotCount(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	queue, _ := bob.readerIn(id)
	_, other := carol.readerIn(id)
	type attempt struct {
		by     *user
		reader relay.PublicKey // that posts it; zero: the one that it names
		at     relay.Position
		change func(*mark)
	}
	rows := map[string]func(*attempt){
		"":                             func(*attempt) {},
		"posted by another reader":     func(a *attempt) { a.reader = publicKey(other) },
		"another's knock":              func(a *attempt) { a.by, a.reader = carol, publicKey(bob.ownReader(id)) },
		"names another's reader":       func(a *attempt) { a.change = func(m *mark) { m.Reader = publicKey(other) } },
		"for another queue":            func(a *attempt) { a.change = func(m *mark) { m.Queue[0] ^= 1 } },
		"has seen itself":              func(a *attempt) { a.at = relay.Position{Seq: 1} },
		"by a device that has no leaf": func(a *attempt) { a.by = s.register("stranger") },
		"by a reader that bob left":    func(a *attempt) { a.change = bob.underOld(queue) },
		"of no mark":                   func(a *attempt) { a.change = func(m *mark) { *m = mark{} } },
	}
	for name, change := range rows {
		a := attempt{by: bob, at: relay.Position{Seq: 1 << 20}}
		change(&a)
		m := a.by.marked(queue, id)
		if a.change != nil {
			a.change(m)
		}
		if a.reader == (relay.PublicKey{}) {
			a.reader = m.Reader
		}
		content := need[[]byte](t)(wire.Marshal(&knock{Package: a.by.packageFor(m).Bytes()}))
		counts := false
		alice.must(alice.eng.call(alice.ctx(), func() error {
			return alice.db.View(alice.ctx(), func(tx *state.Tx) error {
				c, err := alice.eng.checkKnock(tx, alice.eng.primary(id), &relayclient.Entry{Position: a.at, Reader: &a.reader}, content)
				counts = c != nil
				return err
			})
		}))
		if counts != (name == "") {
			t.Errorf("%q counts: %t", name, counts)
		}
	}
}

// ownReader is readerIn without the queue.
func (u *user) ownReader(id ConversationID) ed25519.PrivateKey {
	_, reader := u.readerIn(id)
	return reader
}

// underOld has a knock come from another reader of the same device, as one has that was a member before.
func (u *user) underOld(queue relay.QueueID) func(*mark) {
	return func(m *mark) {
		old := u.eng.id.Secret.readerKey(queue, relay.PublicKey{9})
		j := newJoined(queue, u.eng.device(), old, old)
		m.Reader, m.Proof = j.Reader, j.Proof
	}
}

// marked is the mark of a knock of the user.
func (u *user) marked(queue relay.QueueID, id ConversationID) *mark {
	u.t.Helper()
	var reader ed25519.PrivateKey
	u.must(u.eng.call(u.ctx(), func() error {
		reader = u.eng.id.Secret.readerKey(queue, relay.PublicKey{})
		if g := u.eng.primary(id); g != nil {
			reader = u.eng.id.Secret.readerKey(queue, u.eng.reader(g))
		}
		return nil
	}))
	j := newJoined(queue, u.eng.device(), reader, reader)
	return &mark{Queue: queue, Reader: j.Reader, Proof: j.Proof, Last: relay.Position{Seq: 1}, Number: 5}
}

// packageFor makes a KeyPackage with a mark; of none without.
func (u *user) packageFor(m *mark) (kp *mls.KeyPackage) {
	u.t.Helper()
	var leaf []mls.Extension
	if *m != (mark{}) {
		leaf = append(leaf, mls.Extension{Type: extensionMark, Data: need[[]byte](u.t)(wire.Marshal(m))})
	}
	u.must(u.eng.call(u.ctx(), func() error {
		return u.eng.update(func(tx *state.Tx) (err error) {
			kp, err = u.eng.newPackage(tx, bestSuite, time.Now(), leaf...)
			return err
		})
	}))
	return kp
}

// TestQ16_ReplacementThatNobodyAskedFor: a member puts a KeyPackage of Bob's in the place of his
// leaf. It counts if Bob made it for a knock here, later than the one before; else it is a dud for all.
func TestQ16_ReplacementThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	queue, _ := bob.readerIn(id)
	packaged := func(change func(*mark)) *mls.KeyPackage {
		m := bob.marked(queue, id)
		change(m)
		return bob.packageFor(m)
	}
	bad := map[string]*mls.KeyPackage{
		"an ordinary package":    packaged(func(m *mark) { *m = mark{} }),
		"for another queue":      packaged(func(m *mark) { m.Queue[0] ^= 1 }),
		"under another's reader": packaged(func(m *mark) { m.Reader = publicKey(carol.ownReader(id)) }),
		"of another device":      carol.packageFor(carol.marked(queue, id)),
	}
	good, again, older := packaged(func(*mark) {}), packaged(func(*mark) {}), packaged(func(m *mark) { m.Number = 4 })
	bob.close()
	d := carol.defect(id)
	carol.close()
	leaf := leafOf(t, d.mls, bob.id)
	_, skipped := alice.logged(id)
	for name, kp := range bad {
		if _, err := d.mls.Clone().Commit(mls.CommitParams{Remove: []mls.LeafIndex{leaf}, Add: []*mls.KeyPackage{kp}, Now: time.Now()}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		was := d.mls.Clone()
		d.exchange(leaf, kp)
		d.mls = was
	}
	staged := d.exchange(leaf, good)
	alice.awaitReplaced(bob, 1)
	if _, now := alice.logged(id); now != skipped+uint64(len(bad)) {
		t.Errorf("alice passed over %d commits, want %d", now-skipped, len(bad))
	}
	d.u.must(d.mls.Merge(staged))
	if _, authenticator := alice.epoch(id); authenticator != string(d.mls.EpochAuthenticator()) {
		t.Error("another commit than the good one has counted")
	}
	d.keys = need[*epochKeys](t)(newEpochKeys(d.mls, queue))
	leaf = leafOf(t, d.mls, bob.id)
	for _, kp := range []*mls.KeyPackage{again, older} {
		was := d.mls.Clone()
		d.exchange(leaf, kp)
		d.mls = was
	}
	alice.until("all of it", func() bool { _, now := alice.logged(id); return now == skipped+uint64(len(bad))+2 })
	if n := alice.shown(EventReplaced); n != 1 {
		t.Errorf("bob was replaced %d times", n)
	}
}
