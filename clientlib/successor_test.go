package clientlib

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/clientlib/internal/state"
	"github.com/sealpost/sealpost/internal/wire"
	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// broken begins a test of a group in which an insider shuts others out: some users and Mallory, who
// acts by hand.
func brokenGroup(t *testing.T, names ...string) (s *servers, all []*user, d *defector, id ConversationID) {
	s = badCommitTest(t)
	s.votes = 2 * time.Second
	for _, name := range names {
		all = append(all, s.register(name))
	}
	mal := s.register("mallory")
	group8(&id, append(slices.Clone(all), mal)...)
	for i, u := range all {
		u.quiet()
		u.say(id, fmt.Sprint("before, ", i))
	}
	for i, u := range all {
		u.hears(all, "before", i)
		u.quiet()
	}
	return s, all, mal.turn(id), id
}

// hears waits for what all others have said.
func (u *user) hears(all []*user, what string, own int) {
	u.t.Helper()
	for i := range all {
		if i != own {
			u.awaitText(fmt.Sprint(what, ", ", i))
		}
	}
}

// inSuccessor wants all to be in one group without Mallory, under the conversation that they had.
func inSuccessor(id ConversationID, all []*user) {
	t := all[0].t
	t.Helper()
	for _, u := range all {
		u.awaitKind(EventSucceeded, 1)
	}
	for i, u := range all {
		u.say(id, fmt.Sprint("at last, ", i))
	}
	for i, u := range all {
		u.hears(all, "at last", i)
		u.quiet()
	}
	together(id, all...)
	for _, u := range all {
		c := need[[]Conversation](t)(u.Conversations(u.ctx()))
		if len(c) != 1 || c[0].ID != id || !c[0].Active || len(c[0].Members) != len(all) {
			t.Errorf("%s has %+v", u.name, c)
		}
		if n := u.shown(EventSucceeded); n != 1 {
			t.Errorf("%s is told of %d successors", u.name, n)
		}
		texts := map[string]int{}
		for _, text := range u.texts(id) {
			if texts[text]++; texts[text] > 1 {
				t.Errorf("%s has %q twice", u.name, text)
			}
		}
	}
}

// TestQ03_NobodyCanFollow: nobody but its author can follow a commit. The others found one
// successor without him, and go on in the same conversation with all that they had to say.
func TestQ03_NobodyCanFollow(t *testing.T) {
	t.Parallel()
	for others := 2; others <= 4; others++ {
		t.Run(fmt.Sprint(others), func(t *testing.T) {
			_, all, d, id := brokenGroup(t, []string{"alice", "bob", "carol", "dave"}[:others]...)
			d.badCommit()
			for i, u := range all {
				u.awaitKind(EventCannotFollow, 1)
				u.say(id, fmt.Sprint("shut out, ", i))
			}
			inSuccessor(id, all)
			for i, u := range all {
				u.hears(all, "shut out", i)
			}
		})
	}
}

// TestQ03_WhoCouldFollowComesLater: three of four others are shut out, and found a successor. The
// fourth could have answered them, and was away: it finds a group that it leaves with the others.
func TestQ03_WhoCouldFollowComesLater(t *testing.T) {
	t.Parallel()
	_, all, d, id := brokenGroup(t, "alice", "bob", "carol", "dave")
	dave := all[3]
	dave.close()
	d.badCommit()
	for _, u := range all[:3] {
		u.awaitKind(EventSucceeded, 1)
	}
	dave.initiate()
	inSuccessor(id, all)
	if n := dave.shown(EventReplaced); n != 0 {
		t.Errorf("dave has replaced %d devices in the group that he left", n)
	}
}

// TestSuccessorPassesOn: who could follow has added Zoe before it learnt that the others had gone. It
// adds her to the successor, and she goes with them, though she can count no votes.
func TestSuccessorPassesOn(t *testing.T) {
	t.Parallel()
	s, all, d, id := brokenGroup(t, "alice", "bob", "carol", "dave")
	dave := all[3]
	for _, u := range all[:3] {
		u.close()
	}
	dave.initiate()
	d.badCommit()
	zoe := s.register("zoe")
	dave.must(dave.AddMembers(dave.ctx(), id, need[keyserver.AccountID](t)(dave.Find(dave.ctx(), "zoe"))))
	zoe.awaitKind(EventJoined, 1)
	dave.quiet()
	dave.close()
	zoe.quiet()
	zoe.close()
	for _, u := range all[:3] {
		u.open()
	}
	for _, u := range all[:3] {
		u.awaitKind(EventSucceeded, 1)
	}
	dave.open()
	dave.awaitKind(EventSucceeded, 1)
	zoe.open()
	inSuccessor(id, append(all, zoe))
}

// TestQ03_SecondBeforeTheFirstIsRepaired: one commit shuts Alice out, and a second one by the same
// insider those who could have answered her. They end in one successor, whoever begins it.
func TestQ03_SecondBeforeTheFirstIsRepaired(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{"alice", "bob"}, {"alice", "bob", "carol"}} {
		t.Run(fmt.Sprint(len(names)), func(t *testing.T) {
			_, all, d, id := brokenGroup(t, names...)
			for _, u := range all[1:] {
				u.close()
			}
			d.badCommit()
			d.badCommit()
			all[0].awaitKind(EventCannotFollow, 1)
			for _, u := range all[1:] {
				u.initiate(1)
				u.awaitKind(EventCannotFollow, 1)
			}
			inSuccessor(id, all)
		})
	}
}

// complains posts a vote by hand.
func (d *defector) complains(commit relay.Hash, sealed secret, v vote) {
	t := d.u.t
	t.Helper()
	own, _ := d.mls.Member(d.mls.OwnLeaf())
	d.votes(commit, sealed, v, own.SignatureKey, own.Credential, func(b []byte) ([]byte, error) { return d.mls.Sign(signVote, b) })
}

// votes posts a vote of the device whose leaf key that is.
func (d *defector) votes(commit relay.Hash, sealed secret, v vote, key []byte, c mls.Credential, sign func([]byte) ([]byte, error)) {
	t := d.u.t
	t.Helper()
	v.Commit, v.Reader, v.Key, v.Credential = commit, publicKey(d.last.Reader), key, c.Identity
	v.Signature = need[[]byte](t)(sign(v.signed(d.last.Queue)))
	envelope := need[[]byte](t)(knockKeys(sealed, d.last.Queue).seal(relay.KindKnock, need[[]byte](t)(wire.Marshal(&v))))
	_, err := d.conn.Knock(d.last.Queue, newIdempotencyID(), d.last.Reader, relay.ClassVote, envelope).Wait(d.u.ctx())
	d.u.must(err)
}

// TestQ15_FalseVotes: two of five members say that they cannot follow what a third has committed,
// announce a successor that they invite nobody to, and vote for it as often as they like. Nothing
// happens: they are no majority of the others.
func TestQ15_FalseVotes(t *testing.T) {
	t.Parallel()
	s, all, mallory, id := brokenGroup(t, "alice", "bob", "carol", "eve")
	_ = s
	alice, eve := all[0], all[3]
	alice.must(alice.RenewKeys(alice.ctx(), id))
	alice.quiet()
	together(id, all...)
	var commit relay.Hash
	var sealed secret
	alice.must(alice.eng.call(alice.ctx(), func() error {
		return alice.db.View(alice.ctx(), func(tx *state.Tx) error {
			past, err := pastEpochs(tx, alice.eng.primary(id).id)
			if err != nil || len(past) == 0 {
				return errors.Join(err, errors.New("no past epoch"))
			}
			commit, sealed = past[len(past)-1].Commit, past[len(past)-1].Secret
			return nil
		})
	}))
	eves := eve.turn(id)
	hollow := groupID(newSecret())
	for range 3 {
		mallory.complains(commit, sealed, vote{Kind: voteFor, Group: hollow})
		eves.complains(commit, sealed, vote{Kind: voteFor, Group: hollow})
	}
	mallory.complains(commit, sealed, vote{Kind: voteWithdraw})
	mallory.complains(commit, sealed, vote{Kind: voteFor, Group: hollow})
	honest := all[:3]
	for i, u := range honest {
		u.say(id, fmt.Sprint("still here, ", i))
	}
	for i, u := range honest {
		u.hears(honest, "still here", i)
		u.quiet()
	}
	together(id, honest...)
	for _, u := range honest {
		if n := u.shown(EventSucceeded) + u.shown(EventCannotFollow); n != 0 {
			t.Errorf("%s has gone: %s", u.name, describe(u.events))
		}
		alice.until("the votes to be read", func() bool {
			n := 0
			u.must(u.db.View(u.ctx(), func(tx *state.Tx) error {
				votes, err := votesFor(tx, &group{id: u.eng.convs[id].Groups[0]}, commit, hollow)
				n = len(votes)
				return err
			}))
			return n == 2
		})
	}
}

// TestQ15_SuccessorWithoutInvitations: Alice is really shut out, by Mallory. Eve announces a
// successor that Alice is not invited to. She does not vote for it, and is replaced by who could follow.
func TestQ15_SuccessorWithoutInvitations(t *testing.T) {
	t.Parallel()
	_, all, mallory, id := brokenGroup(t, "alice", "bob", "carol", "eve")
	alice, bob, carol, eve := all[0], all[1], all[2], all[3]
	eves := eve.turn(id)
	bob.close()
	carol.close()
	sealed := mallory.keys.knock
	mallory.badCommit()
	commit := relay.Hash(envelopeHash(mallory.last.Envelope))
	alice.awaitKind(EventCannotFollow, 1)
	hollow := groupID(newSecret())
	eves.complains(commit, sealed, vote{Kind: voteFor, Group: hollow})
	alice.until("a successor of her own", func() (ok bool) {
		alice.must(alice.eng.call(alice.ctx(), func() error {
			g := alice.eng.groups[alice.eng.convs[id].Groups[0]]
			alice.eng.advance(g)
			ok = len(g.votes) > 0
			if slices.Contains(g.votes, hollow) {
				t.Error("alice has voted for a group that she is not in")
			}
			return nil
		}))
		return ok
	})
	bob.initiate()
	carol.initiate()
	alice.awaitReplaced(alice, 1)
	honest := all[:3]
	for i, u := range honest {
		u.say(id, fmt.Sprint("repaired, ", i))
	}
	for i, u := range honest {
		u.hears(honest, "repaired", i)
		u.quiet()
		if n := u.shown(EventSucceeded); n != 0 {
			t.Errorf("%s has gone to a successor", u.name)
		}
	}
	together(id, honest...)
	bob.until("alice's vote to be withdrawn", func() bool {
		n := 0
		bob.must(bob.db.View(bob.ctx(), func(tx *state.Tx) error {
			for kv, err := range tx.Scan(bucketVote, nil) {
				if err != nil {
					return err
				}
				if string(kv.Key[96:]) != string(hollow[:]) {
					n++
				}
			}
			return nil
		}))
		return n == 0
	})
}

// TestSuccessorKilledAtEveryStep: one of two who are shut out, without whom there is no majority, is
// killed at every frame on the way to the successor.
func TestSuccessorKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	_, all, d, id := brokenGroup(t, "alice", "bob")
	d.badCommit()
	for i, u := range all {
		u.awaitKind(EventCannotFollow, 1)
		u.say(id, fmt.Sprint("shut out, ", i))
	}
	deaths := all[0].diesUntil(func(events []Event) bool {
		return slices.ContainsFunc(events, func(ev Event) bool { return ev.Kind == EventSucceeded })
	})
	if deaths < 5 {
		t.Errorf("killed %d times: the test shows nothing", deaths)
	}
	inSuccessor(id, all)
	for i, u := range all {
		u.hears(all, "shut out", i)
	}
}

// TestVoteBytes: every prefix of what a voter or a founder can send is refused, and more bytes too.
func TestVoteBytes(t *testing.T) {
	t.Parallel()
	v := &vote{Kind: voteFor, Key: []byte("key"), Credential: []byte("credential"), Signature: []byte("signature")}
	b := need[[]byte](t)(wire.Marshal(v))
	s := need[[]byte](t)(wire.Marshal(&succession{Group: groupID{1}}))
	for n := range b {
		if wire.Unmarshal(b[:n], new(vote)) == nil {
			t.Errorf("%d bytes of %d are a vote", n, len(b))
		}
	}
	for n := range s {
		if wire.Unmarshal(s[:n], new(succession)) == nil {
			t.Errorf("%d bytes of %d are a succession", n, len(s))
		}
	}
	if wire.Unmarshal(append(b, 0), new(vote)) == nil || wire.Unmarshal(append(s, 0), new(succession)) == nil {
		t.Error("a byte too many is passed over")
	}
	b[1] = knockReplace
	if wire.Unmarshal(b, new(vote)) == nil {
		t.Error("a knock is a vote")
	}
}
