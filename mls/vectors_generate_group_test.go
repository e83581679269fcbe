package mls

import (
	"math"
	"slices"
	"testing"
)

// What groups in the files consist of. They use nothing that only Sealpost knows, and no
// lifetime ends.

// vectorApp is the application of every member.
func vectorApp(psks PSKSource) Application {
	return Application{PSKs: psks, KeepEpochs: 16, MaxLifetime: -1}
}

// vectorGroup is a new group whose creator's leaf is one of a commit.
func vectorGroup(t *testing.T, s *suite, name string, psks PSKSource) *Group {
	t.Helper()
	g := must(NewGroup(GroupConfig{
		Suite: s.id, GroupID: drawn(16), Credential: basic(name), SignatureKey: signatureKeyOf(t, s.id), Now: testNow,
		Application: vectorApp(psks),
	}))(t)
	if err := g.Merge(must(g.Commit(CommitParams{}))(t)); err != nil {
		t.Fatal(err)
	}
	return g
}

// vectorKeyPackage is one that never ends.
func vectorKeyPackage(t *testing.T, s *suite, name string) (*KeyPackage, *KeyPackageSecrets) {
	t.Helper()
	signer := signatureKeyOf(t, s.id)
	kp, secrets, err := NewKeyPackage(KeyPackageConfig{
		Suite: s.id, Credential: basic(name), SignatureKey: signer, NotBefore: testNow, NotAfter: testNow,
	})
	if err != nil {
		t.Fatal(err)
	}
	kp.leaf.lifetime = lifetime{0, math.MaxUint64}
	if err := kp.leaf.sign(s, signer, nil, 0); err != nil {
		t.Fatal(err)
	}
	kp.signature = must(s.signWithLabel(signer, "KeyPackageTBS", kp.tbs()))(t)
	return kp, secrets
}

func keyPackageMessage(kp *KeyPackage) []byte {
	return encode(&message{wireFormat: wireFormatKeyPackage, keyPackage: kp}, writeMessage)
}

// vectorCommit has from commit, and everybody follow. The Welcome is for all who are added.
func vectorCommit(t *testing.T, groups []*Group, from *Group, p CommitParams) (c *StagedCommit, welcome []byte) {
	t.Helper()
	p.Now = testNow
	c = must(from.Commit(p))(t)
	deliver(t, c.Message(), slices.DeleteFunc(slices.Clone(groups), func(g *Group) bool { return g == from || g.Removed() }))
	if err := from.Merge(c); err != nil {
		t.Fatal(err)
	}
	return c, must(CombineWelcomes(c.Welcomes()))(t)
}

// grown adds a member by the commit of the last one, which leaves no leaf unmerged: get_tree of
// the working group's document, where it begins with one.
func grown(t *testing.T, s *suite, groups []*Group, p CommitParams) []*Group {
	t.Helper()
	last := groups[len(groups)-1]
	kp, secrets := vectorKeyPackage(t, s, string(rune('a'+len(groups))))
	p.Add = []*KeyPackage{kp}
	_, welcome := vectorCommit(t, groups, last, p)
	joined := must(Join(welcome, secrets, JoinParams{Tree: last.RatchetTree(), Application: last.app}))(t)
	return append(groups, joined)
}

// vectorMembers is a group of n.
func vectorMembers(t *testing.T, s *suite, n int) []*Group {
	t.Helper()
	groups := []*Group{vectorGroup(t, s, "a", nil)}
	for len(groups) < n {
		groups = grown(t, s, groups, CommitParams{Path: true})
	}
	return groups
}
