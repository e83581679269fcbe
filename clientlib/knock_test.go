package clientlib

import (
	"bytes"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/mls"
)

// lenient lets a commit name a pre-shared key. Who lacks the key cannot follow a commit that
// passes all public checks: as with a path secret that is wrong for some, of which mls has its own
// tests.
type lenient struct{ validator }

func (v lenient) ValidateCommit(c mls.CommitCheck) error {
	c.PSKs = nil
	return v.validator.ValidateCommit(c)
}

// initiated has the pre-shared keys of the bad commits with these numbers; of all if there are none.
type initiated []byte

func (i initiated) PSK(id mls.PSKID) ([]byte, error) {
	if len(i) > 0 && !bytes.Contains(i, id.External) {
		return nil, mls.ErrUnknownPSK
	}
	return bytes.Repeat([]byte{7}, 32), nil
}

// badCommitTest begins a test in which commits can shut members out.
func badCommitTest(t *testing.T) *servers {
	s := startServers(t)
	s.rules = &mls.Application{Credentials: lenient{}}
	return s
}

// initiate has a user's groups follow bad commits, until it is opened again.
func (u *user) initiate(into ...byte) {
	u.t.Helper()
	u.close()
	was := u.cfg.rules
	u.cfg.rules = &mls.Application{Credentials: lenient{}, PSKs: initiated(into)}
	u.open()
	u.cfg.rules = was
	u.must(u.eng.call(u.ctx(), func() error { u.eng.groupRules.PSKs = nil; return nil })) // of later groups
}

// badCommit posts a commit that only the initiated can follow, and shows the defector the next epoch.
func (d *defector) badCommit() {
	d.u.t.Helper()
	d.bad++
	staged := need[*mls.StagedCommit](d.u.t)(d.mls.Commit(mls.CommitParams{PSKs: []mls.PSKID{{External: []byte{d.bad}}}, Path: true, Now: time.Now()}))
	next := need[*epochKeys](d.u.t)(newEpochKeys(staged.Next(), d.last.Queue))
	d.commit(d.keys, staged.Message(), publicKey(next.writer.signer()))
	d.u.must(d.mls.Merge(staged))
	d.keys = next
}

// turn makes a defector of a user who then is gone.
func (u *user) turn(id ConversationID) *defector {
	u.t.Helper()
	u.quiet()
	d := u.defect(id)
	u.must(u.db.View(u.ctx(), func(tx *state.Tx) error {
		records, err := storedMLS(tx, groupID(d.mls.ID()))
		if err != nil {
			return err
		}
		d.mls, err = mls.LoadGroup(records, mls.Application{PSKs: initiated{}})
		return err
	}))
	u.close()
	return d
}

// replaced waits until the user has been told so often that a device was replaced.
func (u *user) awaitReplaced(of *user, count int) {
	u.t.Helper()
	u.await(of.name+" to be replaced", func(events []Event) bool {
		n := 0
		for _, ev := range events {
			if ev.Kind == EventReplaced && ev.Account == of.id {
				n++
			}
		}
		return n >= count
	})
}

// TestQ03_CommitThatSomeCannotFollow: an insider's commit passes the public checks and shuts one
// member out. It is told, knocks, and is replaced by whoever could follow; what it had to say goes
// out under the same conversation, and its history is as it was.
func TestQ03_CommitThatSomeCannotFollow(t *testing.T) {
	t.Parallel()
	s := badCommitTest(t)
	alice, bob, mal := s.register("alice"), s.register("bob"), s.register("mallory")
	var id ConversationID
	group8(&id, alice, bob, mal)
	for _, u := range []*user{alice, bob, mal} {
		u.quiet()
	}
	bob.say(id, "before")
	alice.awaitText("before")
	bob.quiet()
	d := mal.turn(id)
	alice.initiate()
	d.badCommit()
	bob.awaitKind(EventCannotFollow, 1)
	alice.say(id, "while bob is away")
	alice.awaitReplaced(bob, 1)
	bob.awaitReplaced(bob, 1)
	bob.say(id, "back")
	alice.awaitText("back")
	alice.say(id, "welcome")
	bob.awaitText("welcome")
	together(id, alice, bob)
	bob.awaitKind(EventGap, 1)
	if got := bob.texts(id); len(got) < 3 || got[0] != "before" || got[len(got)-1] != "welcome" {
		t.Errorf("bob has %q", got)
	}
	for _, u := range []*user{alice, bob} {
		u.mu.Lock()
		if n := u.count(u.events, EventMemberRemoved) + u.count(u.events, EventRemoved) + u.count(u.events, EventRollback) + u.count(u.events, EventFailed); n != 0 {
			t.Errorf("%s is told: %s", u.name, describe(u.events))
		}
		u.mu.Unlock()
	}
}

// age makes all knock secrets that a user keeps older.
func (u *user) age(d time.Duration) {
	u.t.Helper()
	u.must(u.eng.call(u.ctx(), func() error {
		return u.eng.update(func(tx *state.Tx) error {
			return each(tx, bucketKnock, func(key []byte, p *pastEpoch) error {
				p.Ended -= int64(d / time.Second)
				return putRecord(tx, bucketKnock, key, p)
			})
		})
	}))
}

// kept counts them.
func (u *user) kept() (n int) {
	u.t.Helper()
	u.must(u.db.View(u.ctx(), func(tx *state.Tx) error {
		return each(tx, bucketKnock, func([]byte, *pastEpoch) error { n++; return nil })
	}))
	return n
}

// TestQ11_BackAfterSixtyDays: Bob was shut out while he was away, and comes back 60 days later. Who
// knew him then is gone; Carol has joined since. She answers his knock with what she was given.
func TestQ11_BackAfterSixtyDays(t *testing.T) {
	t.Parallel()
	s := badCommitTest(t)
	alice, bob, mal, carol := s.register("alice"), s.register("bob"), s.register("mallory"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, mal)
	for _, u := range []*user{alice, bob, mal} {
		u.quiet()
	}
	bob.close()
	alice.say(id, "kept")
	alice.quiet()
	d := mal.turn(id)
	alice.initiate()
	d.badCommit()
	peer, err := alice.Find(alice.ctx(), "carol")
	alice.must(err)
	alice.must(alice.AddMembers(alice.ctx(), id, peer))
	carol.awaitKind(EventJoined, 1)
	alice.say(id, "never read")
	carol.awaitText("never read")
	alice.quiet()
	carol.quiet()
	alice.close()
	carol.age(60 * 24 * time.Hour)
	carol.must(carol.RenewKeys(carol.ctx(), id))
	carol.quiet()

	bob.open()
	bob.awaitReplaced(bob, 1)
	bob.say(id, "back after all that time")
	carol.awaitText("back after all that time")
	carol.say(id, "welcome")
	bob.awaitText("kept", "welcome")
	together(id, carol, bob)
	bob.mu.Lock()
	for _, ev := range bob.events {
		if ev.Kind == EventGap && (ev.From == 0 || ev.To < ev.From) {
			t.Errorf("bob is told that %d to %d are missing", ev.From, ev.To)
		}
	}
	bob.mu.Unlock()
	if n := bob.shown(EventGap); n != 1 {
		t.Errorf("bob is told of %d gaps", n)
	}

	before := carol.kept()
	carol.age(91 * 24 * time.Hour)
	carol.must(carol.RenewKeys(carol.ctx(), id))
	carol.until("the old secrets to be forgotten", func() bool { return carol.kept() == 1 })
	if before < 3 {
		t.Errorf("carol kept %d secrets before", before)
	}
}

// TestKnockBytes: every prefix of what a member can send is refused, and more bytes too.
func TestKnockBytes(t *testing.T) {
	t.Parallel()
	m := &mark{Number: 7}
	k := &knock{Package: []byte("a package")}
	h := &heldState{Tree: []byte("a tree"), Knocks: []pastEpoch{{Epoch: 3, Secret: newSecret(), Ended: 9}}}
	for name, c := range map[string]struct {
		bytes []byte
		into  func([]byte) error
	}{
		"mark":        {need[[]byte](t)(wire.Marshal(m)), func(b []byte) error { return wire.Unmarshal(b, new(mark)) }},
		"knock":       {need[[]byte](t)(wire.Marshal(k)), func(b []byte) error { return wire.Unmarshal(b, new(knock)) }},
		"group state": {need[[]byte](t)(wire.Marshal(h)), func(b []byte) error { return wire.Unmarshal(b, new(heldState)) }},
	} {
		if err := c.into(c.bytes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range c.bytes {
			if c.into(c.bytes[:n]) == nil {
				t.Errorf("%s: %d bytes of %d are enough", name, n, len(c.bytes))
			}
		}
		if c.into(append(bytes.Clone(c.bytes), 0)) == nil {
			t.Errorf("%s: a byte too many is passed over", name)
		}
	}
	many := &heldState{Knocks: make([]pastEpoch, maxKnockKept+1)}
	for i := range many.Knocks {
		many.Knocks[i].Secret = make(secret, 32)
	}
	if wire.Unmarshal(need[[]byte](t)(wire.Marshal(many)), new(heldState)) == nil {
		t.Error("any number of knock secrets is taken")
	}
}
