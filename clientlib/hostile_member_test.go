package clientlib

import (
	"errors"
	"slices"
	"sync"
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

// defector is a member who makes by hand what its client would refuse to make.
type defector struct {
	u    *user
	conn *relayclient.Conn
	mls  *mls.Group // a copy of the member's, without the application's checks
	keys *epochKeys
	last relayclient.CommitParams // queue, reader and last commit for the next COMMIT
	bad  byte                     // commits made that not all can follow
}

func (u *user) defect(id ConversationID) *defector {
	u.t.Helper()
	d := &defector{u: u, conn: u.insider(), last: u.dud(id, relay.PublicKey{})}
	u.must(u.eng.call(u.ctx(), func() error {
		g := u.eng.primary(id)
		d.keys = g.keys
		return u.db.View(u.ctx(), func(tx *state.Tx) error {
			records, err := storedMLS(tx, g.id)
			if err != nil {
				return err
			}
			d.mls, err = mls.LoadGroup(records, mls.Application{})
			return err
		})
	}))
	return d
}

// commit posts a message as a COMMIT of the epoch of keys.
func (d *defector) commit(keys *epochKeys, message []byte, next relay.PublicKey) {
	d.u.t.Helper()
	d.last.ID, d.last.NextWriter = newIdempotencyID(), next
	d.last.Envelope = enclosed(d.u.t, keys, message)
	var err error
	d.last.Expect, err = d.conn.Commit(d.last).Wait(d.u.ctx())
	d.u.must(err)
}

// append posts an envelope as an APPEND of the epoch in force.
func (d *defector) append(envelope []byte) {
	d.u.t.Helper()
	_, err := d.conn.Append(d.last.Queue, newIdempotencyID(), d.keys.writer.signer(), envelope).Wait(d.u.ctx())
	d.u.must(err)
}

// leafOf finds a member's leaf.
func leafOf(t *testing.T, g *mls.Group, account keyserver.AccountID) mls.LeafIndex {
	t.Helper()
	for _, m := range g.Members() {
		if need[*keyserver.Credential](t)(parseCredential(m.Credential)).Account == account {
			return m.Leaf
		}
	}
	t.Fatal("no such member")
	return 0
}

// ghost makes a KeyPackage of a device that says it is of an account, and is not.
func ghost(t *testing.T, account keyserver.AccountID) (*mls.KeyPackage, *mls.KeyPackageSecrets) {
	t.Helper()
	d := newTestDevice(t)
	d.account = account
	return d.keyPackage(t, nil)
}

// sameGroup wants the users to be in one group of these accounts still, that none came to or
// left since they had the given numbers of events, and that goes on.
func sameGroup(id ConversationID, users []*user, since []int, accounts ...keyserver.AccountID) {
	t := users[0].t
	t.Helper()
	for _, u := range users {
		u.say(id, "from "+u.name)
	}
	for i, u := range users {
		u.quiet()
		u.awaitText("from " + users[(i+1)%len(users)].name)
		all, err := u.Conversations(u.ctx())
		u.must(err)
		if got := all[0].Members; len(got) != len(accounts) || slices.ContainsFunc(accounts, func(a keyserver.AccountID) bool { return !slices.Contains(got, a) }) {
			t.Errorf("%s sees the members %x, want %x", u.name, got, accounts)
		}
		u.mu.Lock()
		for _, ev := range u.events[since[i]:] {
			if ev.Kind != EventMessage && ev.Kind != EventSent {
				t.Errorf("%s is told of %q: %s", u.name, ev.Kind, ev.Detail)
			}
		}
		u.mu.Unlock()
	}
}

// told is how many events a user has.
func (u *user) told() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.events)
}

// TestB01_GhostOfAnAdmin: a member adds a device that says it is the admin's, and has that
// device remove another member. Neither commit counts, for anybody.
func TestB01_GhostOfAnAdmin(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	d := carol.defect(id)
	carol.close()
	since := []int{alice.told(), bob.told()}
	kp, secrets := ghost(t, alice.id)
	staged := need[*mls.StagedCommit](t)(d.mls.Commit(mls.CommitParams{Add: []*mls.KeyPackage{kp}, Now: time.Now()}))
	theirs := need[*mls.Group](t)(mls.Join(staged.Welcomes()[0].Message, secrets, mls.JoinParams{Tree: staged.Next().RatchetTree()}))
	keys := need[*epochKeys](t)(newEpochKeys(theirs, d.last.Queue))
	d.commit(d.keys, staged.Message(), publicKey(keys.writer.signer()))
	staged = need[*mls.StagedCommit](t)(theirs.Commit(mls.CommitParams{Remove: []mls.LeafIndex{leafOf(t, theirs, bob.id)}, Now: time.Now()}))
	next := need[*epochKeys](t)(newEpochKeys(staged.Next(), d.last.Queue))
	d.commit(keys, staged.Message(), publicKey(next.writer.signer()))

	sameGroup(id, []*user{alice, bob}, since, alice.id, bob.id, carol.id)
	for _, u := range []*user{alice, bob} {
		if _, skipped := u.logged(id); skipped != 2 {
			t.Errorf("%s passed over %d entries, want both commits", u.name, skipped)
		}
	}
}

// TestPolicyAgainstEveryCommit: a member who is no admin, and whose client asks nobody, commits
// what the policy does not allow. All others pass over it alike.
func TestPolicyAgainstEveryCommit(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	d := carol.defect(id)
	carol.close()
	since := []int{alice.told(), bob.told()}
	more := func(account keyserver.AccountID) []*mls.KeyPackage {
		kp, _ := ghost(t, account)
		return []*mls.KeyPackage{kp}
	}
	data, _ := d.mls.GroupContextExtension(extensionPolicy)
	usurped := new(policy)
	if err := wire.Unmarshal(data, usurped); err != nil {
		t.Fatal(err)
	}
	usurped.Admins = []keyserver.AccountID{carol.id}
	context := func(p *policy) *[]mls.Extension {
		return &[]mls.Extension{{Type: extensionPolicy, Data: need[[]byte](t)(wire.Marshal(p))}}
	}
	rows := map[string]mls.CommitParams{
		"removes a member":          {Remove: []mls.LeafIndex{leafOf(t, d.mls, bob.id)}},
		"removes the admin":         {Remove: []mls.LeafIndex{leafOf(t, d.mls, alice.id)}},
		"a device for a member":     {Add: more(bob.id)},
		"a device for the admin":    {Add: more(alice.id)},
		"replaces the admin":        {Add: more(alice.id), Remove: []mls.LeafIndex{leafOf(t, d.mls, alice.id)}},
		"makes itself admin":        {Extensions: context(usurped)},
		"drops the policy":          {Extensions: new([]mls.Extension)},
		"the same policy once more": {Extensions: &[]mls.Extension{{Type: extensionPolicy, Data: data}}},
	}
	for name, params := range rows {
		params.Now = time.Now()
		staged, err := d.mls.Clone().Commit(params)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		next := need[*epochKeys](t)(newEpochKeys(staged.Next(), d.last.Queue))
		d.commit(d.keys, staged.Message(), publicKey(next.writer.signer()))
	}
	sameGroup(id, []*user{alice, bob}, since, alice.id, bob.id, carol.id)
	for _, u := range []*user{alice, bob} {
		if _, skipped := u.logged(id); skipped != uint64(len(rows)) {
			t.Errorf("%s passed over %d of %d commits", u.name, skipped, len(rows))
		}
	}
}

// broken is a message whose last byte another has changed: who it says it is from still stands
// in it, and nothing else.
func broken(message []byte) []byte {
	out := slices.Clone(message)
	out[len(out)-1] ^= 1
	return out
}

// TestC01_EvidenceThatOthersCanMake: a member posts again, sealed anew or damaged, what Alice
// said and what she is about to say. None of it shows that her store was copied, so she goes on
// sending; what a copy of her store really said ends that.
func TestC01_EvidenceThatOthersCanMake(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	alice, bob, carol := s.register("alice"), s.register("bob"), s.register("carol")
	var id ConversationID
	group8(&id, alice, bob, carol)
	for _, u := range []*user{alice, bob, carol} {
		u.quiet()
	}
	d := carol.defect(id)
	var mu sync.Mutex
	var said []byte // the envelope of Alice's newest message
	alice.close()
	alice.cfg.Tap = func(sent bool, frame []byte) {
		f, err := relay.ParseFrame(slices.Clone(frame[4:]))
		if a, ok := f.(*relay.Append); ok && sent && err == nil && a.Queue == d.last.Queue {
			mu.Lock()
			said = a.Envelope
			mu.Unlock()
		}
	}
	alice.open()
	alice.say(id, "one")
	bob.awaitText("one")
	alice.quiet()
	mu.Lock()
	envelope := said
	mu.Unlock()
	message := need[[]byte](t)(d.keys.open(relay.KindMessage, envelope))
	copied := alice.defect(id).mls // as a second process with her store
	sealed := func(message []byte) []byte { return need[[]byte](t)(d.keys.seal(relay.KindMessage, message)) }
	later := copied.Clone()
	writer := publicKey(d.keys.writer.signer())
	before, skipped := alice.logged(id)

	d.append(envelope)
	d.append(sealed(message))
	d.append(sealed(broken(message)))
	d.append(sealed(broken(need[[]byte](t)(later.Encrypt([]byte("next"), nil)))))
	d.commit(d.keys, message, writer)
	d.commit(d.keys, broken(message), writer)
	d.commit(d.keys, broken(need[*mls.StagedCommit](t)(later.Commit(mls.CommitParams{Path: true, Now: time.Now()})).Message()), writer)
	const forged = 7
	alice.until("all of it", func() bool { at, _ := alice.logged(id); return at == before+forged })
	if _, now := alice.logged(id); now != skipped+forged {
		t.Errorf("alice passed over %d entries, want %d", now-skipped, forged)
	}
	alice.say(id, "two")
	bob.awaitText("two")
	bob.say(id, "three")
	alice.awaitText("three")
	alice.quiet()
	alice.mu.Lock()
	if n := alice.count(alice.events, EventUnsafeStore); n != 0 {
		t.Errorf("alice was told %d times that her store was copied", n)
	}
	alice.mu.Unlock()

	copied = alice.defect(id).mls
	d.append(sealed(need[[]byte](t)(copied.Encrypt([]byte("by a copy"), nil))))
	alice.awaitKind(EventUnsafeStore, 1)
	if _, err := alice.Send(alice.ctx(), id, content.Text("four")); !errors.Is(err, ErrUnsafeStore) {
		t.Errorf("sending beside a copy of the store: %v, want ErrUnsafeStore", err)
	}
}
