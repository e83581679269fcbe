package mls

import (
	"errors"
	"reflect"
	"testing"
)

// policyOf judges commits by a function.
type policyOf func(CommitCheck) error

func (policyOf) ValidateCredential(CredentialCheck) error { return nil }
func (p policyOf) ValidateCommit(c CommitCheck) error     { return p(c) }

var errNotAllowed = errors.New("not allowed by the test")

// onlyLeaf0Removes is a policy.
func onlyLeaf0Removes(c CommitCheck) error {
	if len(c.Removes) > 0 && c.Sender.Leaf != 0 {
		return errNotAllowed
	}
	return nil
}

// quartet is a trio and one more; all but leaf 1 have the policy, given in each of the ways
// that a group gets its validator.
func quartet(t *testing.T) []*Group {
	t.Helper()
	groups := trio(t)
	kp, secrets := keyPackage(t, "d")
	c := must(groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t)
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 2} {
		groups[i] = must(LoadGroup(stored(groups[i]), Application{Credentials: policyOf(onlyLeaf0Removes)}))(t)
	}
	return append(groups, must(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: groups[0].RatchetTree(), Application: Application{Credentials: policyOf(onlyLeaf0Removes)}, Now: testNow}))(t))
}

// removal is a valid commit of g that removes a leaf, with every path secret damaged.
func removal(t *testing.T, g *Group, leaf LeafIndex) []byte {
	t.Helper()
	g = g.Clone()
	pl := must(g.at.apply([]listed{{proposal: &proposal{kind: proposalRemove, remove: leaf}, from: fromMember(g.at.own)}}, g.at.own, &Application{}))(t)
	b := &commitBuilder{group: g, plan: pl, params: new(CommitParams), commit: new(commit)}
	commitSecret := must(b.assemble())(t)
	for _, n := range b.commit.path.nodes {
		for _, ct := range n.secrets {
			ct.ciphertext[3] ^= 1
		}
	}
	return must(b.seal(commitSecret))(t).Message()
}

// TestPolicyIsAPublicCheck: a commit against the policy counts for nobody (not for one whose
// path secret is broken, not for one that it removes) and leaves no trace.
func TestPolicyIsAPublicCheck(t *testing.T) {
	groups := quartet(t)
	rogue := groups[1]
	for name, msg := range map[string][]byte{
		"commit":                       must(rogue.Clone().Commit(CommitParams{Remove: []LeafIndex{3}}))(t).Message(),
		"commit with a broken path":    removal(t, rogue, 3),
		"commit that rotates the leaf": must(rogue.Clone().Commit(CommitParams{Remove: []LeafIndex{3}, NewCredential: new(basic("b2"))}))(t).Message(),
	} {
		for _, g := range []*Group{groups[0], groups[2], groups[3]} {
			err := untouched(t, name, g, msg)
			if !errors.Is(err, ErrInvalidCommit) || !errors.Is(err, errNotAllowed) || errors.Is(err, ErrCannotFollow) {
				t.Errorf("%s at leaf %d: %v, want ErrInvalidCommit with the validator's error", name, g.OwnLeaf(), err)
			}
			wantRule(t, name, err, "commit.policy")
		}
	}
	// The broken path is broken indeed, and what the policy allows passes.
	free := groups[2].Clone()
	free.app = Application{}
	if err := untouched(t, "broken path", free, removal(t, rogue, 3)); !errors.Is(err, ErrCannotFollow) {
		t.Errorf("broken path without a policy: %v, want ErrCannotFollow", err)
	}
	deliver(t, must(groups[0].Commit(CommitParams{Remove: []LeafIndex{3}}))(t).Message(), groups[1:])
}

// TestPolicyForOwnCommits: what the others would refuse is not made, and no proposal of
// another member gets into a commit that it would spoil.
func TestPolicyForOwnCommits(t *testing.T) {
	groups := quartet(t)
	g := groups[2]
	before := fingerprint(t, g)
	if _, err := g.Commit(CommitParams{Remove: []LeafIndex{1}}); !errors.Is(err, errNotAllowed) || !errors.Is(err, ErrInvalid) {
		t.Errorf("own commit against the policy: %v, want the validator's error", err)
	}
	if string(fingerprint(t, g)) != string(before) {
		t.Error("a refused commit left a trace")
	}
	kp, _ := keyPackage(t, "e")
	for _, p := range []ProposalParams{{Remove: new(LeafIndex(3))}, {Add: kp, Now: testNow}} {
		must(g.Process(must(groups[1].Propose(p))(t)))(t)
	}
	c := must(g.Commit(CommitParams{IncludePending: true, Now: testNow}))(t)
	if len(c.Adds()) != 1 || len(c.Removes()) != 0 {
		t.Errorf("%d members are added and %d removed, want the one that may be", len(c.Adds()), len(c.Removes()))
	}
}

// TestProposalsDoNotMultiplyWork: however many proposals clash, what the committer asks for is
// checked once.
func TestProposalsDoNotMultiplyWork(t *testing.T) {
	groups := trio(t)
	twice, _ := keyPackage(t, "twice")
	for _, g := range groups[1:] {
		must(groups[0].Process(must(g.Propose(ProposalParams{Add: twice, Now: testNow}))(t)))(t)
	}
	r := new(recorder)
	groups[0].app.Credentials = r
	kp, _ := keyPackage(t, "d")
	c := must(groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, IncludePending: true, Now: testNow}))(t)
	adds := 0
	for _, event := range r.take() {
		if event == CredentialAdd {
			adds++
		}
	}
	if len(c.Adds()) != 2 || adds != 1 {
		t.Errorf("%d members are added and the one by value was checked %d times, want 2 and once", len(c.Adds()), adds)
	}
}

// TestPolicySeesTheCommit: the check holds what the staged commit then says, and a commit
// that breaks another rule never gets there.
func TestPolicySeesTheCommit(t *testing.T) {
	groups := quartet(t)
	var seen []CommitCheck
	for _, g := range groups {
		g.app.Credentials = policyOf(func(c CommitCheck) error {
			seen = append(seen, c)
			return nil
		})
	}
	kp, _ := keyPackage(t, "e")
	c := must(groups[0].Commit(CommitParams{
		Add: []*KeyPackage{kp}, Remove: []LeafIndex{1}, NewCredential: new(basic("a2")), Now: testNow,
		Extensions: &[]Extension{{Type: testExtension, Data: []byte("second")}},
	}))(t)
	must(groups[2].Process(c.Message()))(t)
	must(groups[1].Process(c.Message()))(t) // is removed by it
	if len(seen) != 3 {
		t.Fatalf("the policy was asked %d times, want once for each member", len(seen))
	}
	extensions, _ := c.Extensions()
	for i, check := range seen {
		if check.Before.Epoch() != groups[0].Epoch() || check.Sender.Leaf != 0 || string(check.Sender.Credential.Identity) != "a" {
			t.Errorf("check %d: epoch %d, sender %+v", i, check.Before.Epoch(), check.Sender)
		}
		if !reflect.DeepEqual(check.Adds, c.Adds()) || !reflect.DeepEqual(check.Removes, c.Removes()) ||
			!reflect.DeepEqual(check.Updates, c.Updates()) || string(check.Updates[0].Credential.Identity) != "a2" ||
			!reflect.DeepEqual(check.Extensions, extensions) || !check.ExtensionsChanged {
			t.Errorf("check %d differs from the staged commit: %+v", i, check)
		}
	}
	seen = nil
	must(groups[2].Process(must(groups[0].Commit(CommitParams{}))(t).Message()))(t)
	for i, check := range seen {
		if check.ExtensionsChanged || !reflect.DeepEqual(check.Extensions, groups[0].Extensions()) || check.Adds != nil || len(check.Updates) != 1 {
			t.Errorf("empty commit, check %d: %+v", i, check)
		}
	}
	seen = nil
	for _, damage := range []func(*commitBuilder){
		func(b *commitBuilder) { b.commit.path.nodes = b.commit.path.nodes[:1] },
		func(b *commitBuilder) { b.commit.path.leaf.signature[0] ^= 1 },
		func(b *commitBuilder) {
			b.commit.proposals = []proposalOrRef{{proposal: &proposal{kind: proposalRemove, remove: 0}}}
		},
	} {
		msg := must(hack(t, groups[0].Clone(), nil, damage, wireFormatPrivate, nil))(t)
		if _, err := groups[2].Process(msg); !errors.Is(err, ErrInvalidCommit) || len(seen) != 0 {
			t.Errorf("a commit that breaks a rule: %v, and the policy was asked %d times", err, len(seen))
		}
	}
}
