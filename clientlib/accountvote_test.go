package clientlib

import (
	"fmt"
	"testing"
	"time"

	"github.com/sealpost/sealpost/keyserver"
	"github.com/sealpost/sealpost/mls"
	"github.com/sealpost/sealpost/relay"
)

// sibling is a device that a member has made up for its own account.
type sibling struct {
	key  mls.SignaturePrivateKey
	cred mls.Credential
	pkg  *mls.KeyPackage
}

func newSibling(t *testing.T, account keyserver.AccountID) *sibling {
	t.Helper()
	d := newTestDevice(t)
	d.account = account
	s := &sibling{}
	s.pkg, _ = d.keyPackage(t, func(c *mls.KeyPackageConfig) { s.key, s.cred = c.SignatureKey, c.Credential })
	return s
}

// commits posts a commit of the defector's that all can follow, and returns it.
func (d *defector) commits(p mls.CommitParams) (message []byte) {
	d.u.t.Helper()
	p.Path, p.Now = true, time.Now()
	staged := need[*mls.StagedCommit](d.u.t)(d.mls.Commit(p))
	next := need[*epochKeys](d.u.t)(newEpochKeys(staged.Next(), d.last.Queue))
	d.commit(d.keys, staged.Message(), publicKey(next.writer.signer()))
	d.u.must(d.mls.Merge(staged))
	d.keys = next
	return staged.Message()
}

// follows takes over what another defector has committed.
func (d *defector) follows(by *defector, message []byte) {
	t := d.u.t
	t.Helper()
	staged := need[mls.Received](t)(d.mls.Process(message)).(*mls.StagedCommit)
	d.u.must(d.mls.Merge(staged))
	d.keys, d.last.Expect = need[*epochKeys](t)(newEpochKeys(d.mls, d.last.Queue)), by.last.Expect
}

// TestQ15_VotesOfOneAccount: a member adds devices of her own, with keys that she has made up, and all
// of them vote for a successor that there is not. It is one vote, and nobody goes anywhere.
func TestQ15_VotesOfOneAccount(t *testing.T) {
	t.Parallel()
	_, all, mallory, id := brokenGroup(t, "alice", "bob", "carol", "eve")
	honest, eve := all[:3], all[3]
	eves := eve.turn(id)
	for _, u := range honest {
		u.close()
	}
	var siblings []*sibling
	var add mls.CommitParams
	for range 4 {
		s := newSibling(t, eve.id)
		siblings, add.Add = append(siblings, s), append(add.Add, s.pkg)
	}
	mallory.follows(eves, eves.commits(add))
	sealed := mallory.keys.knock
	mallory.commits(mls.CommitParams{})
	commit := relay.Hash(envelopeHash(mallory.last.Envelope))
	hollow := vote{Kind: voteFor, Group: groupID(newSecret())}
	eves.complains(commit, sealed, hollow)
	for _, s := range siblings { // with hers they are five of nine members but the commit's author
		eves.votes(commit, sealed, hollow, s.key.Public(), s.cred, func(b []byte) ([]byte, error) { return s.key.Sign(signVote, b) })
	}
	for _, u := range honest {
		u.open()
	}
	for i, u := range honest {
		u.say(id, fmt.Sprint("still here, ", i))
	}
	for i, u := range honest {
		u.hears(honest, "still here", i)
		u.quiet()
		if n := u.shown(EventSucceeded) + u.shown(EventCannotFollow); n != 0 {
			t.Errorf("%s has gone: %s", u.name, describe(u.events))
		}
	}
}

// TestQ15_AuthorOfManyDevices: the insider who shuts all others out has added devices of his own
// before. They have no vote, they are invited nowhere, and they keep nobody from going on without him.
func TestQ15_AuthorOfManyDevices(t *testing.T) {
	t.Parallel()
	_, all, mallory, id := brokenGroup(t, "alice", "bob", "carol")
	for _, u := range all {
		u.close()
	}
	mallory.commits(mls.CommitParams{Add: []*mls.KeyPackage{newSibling(t, mallory.u.id).pkg, newSibling(t, mallory.u.id).pkg}})
	mallory.badCommit()
	for i, u := range all {
		u.open()
		u.say(id, fmt.Sprint("shut out, ", i))
	}
	inSuccessor(id, all)
}
