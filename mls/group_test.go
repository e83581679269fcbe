package mls

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

func TestGroupOfThree(t *testing.T) { eachSuite(t, groupOfThree) }

func groupOfThree(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	for _, g := range groups {
		say(t, g, groups, fmt.Sprintf("from %d", g.OwnLeaf()))
	}
	c := must(groups[1].Commit(CommitParams{}))(t)
	if len(c.Updates()) != 1 || c.Updates()[0].Leaf != 1 || c.SelfRemoved() || c.Next().Epoch() != 2 {
		t.Errorf("staged commit: %+v, next epoch %d", c.Updates(), c.Next().Epoch())
	}
	deliver(t, c.Message(), []*Group{groups[0], groups[2]})
	if own, ok := must(groups[1].Process(c.Message()))(t).(*OwnCommit); !ok || !bytes.Equal(own.Message, c.Message()) {
		t.Error("the own commit was not recognised")
	}
	if err := groups[1].Merge(c); err != nil {
		t.Fatal(err)
	}
	agree(t, groups)
	if err := groups[1].Merge(c); !errors.Is(err, ErrStale) {
		t.Errorf("merging twice: %v, want ErrStale", err)
	}
	want := must(groups[0].Export("label", []byte("context"), 40))(t)
	if got := must(groups[2].Export("label", []byte("context"), 40))(t); !bytes.Equal(got, want) || len(got) != 40 {
		t.Error("exported secrets differ")
	}
	if got := must(groups[2].Export("other", []byte("context"), 40))(t); bytes.Equal(got, want) {
		t.Error("the label makes no difference")
	}
	longest := 255 * suites[id].nh
	if got := must(groups[2].Export("label", nil, longest))(t); len(got) != longest {
		t.Errorf("exported %d bytes, want %d", len(got), longest)
	}
	if _, err := groups[2].Export("label", nil, longest+1); !errors.Is(err, ErrLimit) {
		t.Errorf("export of %d bytes: %v, want ErrLimit", longest+1, err)
	}
}

func TestRemovedMemberIsOut(t *testing.T) { eachSuite(t, removedMemberIsOut) }

func removedMemberIsOut(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	c := must(groups[0].Commit(CommitParams{Remove: []LeafIndex{2}}))(t)
	removed := must(groups[2].Process(c.Message()))(t).(*StagedCommit)
	if !removed.SelfRemoved() || removed.Next() != nil || len(removed.Removes()) != 1 ||
		string(removed.Removes()[0].Credential.Identity) != "c" {
		t.Errorf("removal is not announced: %+v", removed.Removes())
	}
	again := must(groups[2].LoadCommit(must(removed.MarshalBinary())(t)))(t)
	if err := groups[2].Merge(again); err != nil {
		t.Fatal(err)
	}
	deliver(t, c.Message(), groups[1:2])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	agree(t, groups[:2])
	if !groups[2].Removed() {
		t.Error("the group is not marked")
	}
	msg := must(groups[0].Encrypt([]byte("secret"), nil))(t)
	for name, err := range map[string]error{
		"Process": second(groups[2].Process(msg)), "Encrypt": second(groups[2].Encrypt(nil, nil)),
		"Commit": second(groups[2].Commit(CommitParams{})), "Export": second(groups[2].Export("x", nil, 8)),
		"LoadCommit": second(groups[2].LoadCommit(nil)), "Sign": second(groups[2].Sign("x", nil)),
		"View().Export": second(groups[2].View().Export("x", nil, 8)),
	} {
		if !errors.Is(err, ErrRemoved) {
			t.Errorf("%s: %v, want ErrRemoved", name, err)
		}
	}
	if _, psk := groups[2].View().ResumptionPSK(); psk != nil || groups[2].View().EpochAuthenticator() != nil {
		t.Error("secrets of the epoch that removed the member are given out, which everybody can compute")
	}
}

func TestHundredAddsWithoutPath(t *testing.T) {
	a := newGroup(t, "a")
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("m%d", i))
	}
	joined := add(t, a, nil, CommitParams{}, names...)
	groups := append([]*Group{a}, joined...)
	agree(t, groups)
	say(t, groups[77], groups, "hello")
	// Every later path has to reach all of them.
	c := must(groups[50].Commit(CommitParams{Remove: []LeafIndex{3, 64}}))(t)
	rest := slices.DeleteFunc(slices.Clone(groups), func(g *Group) bool {
		return g.OwnLeaf() == 3 || g.OwnLeaf() == 64 || g.OwnLeaf() == 50
	})
	deliver(t, c.Message(), rest)
	if err := groups[50].Merge(c); err != nil {
		t.Fatal(err)
	}
	agree(t, append(rest, groups[50]))
}

func TestWelcomeHasConstantSize(t *testing.T) {
	a := newGroup(t, "a")
	var sizes []int
	for _, n := range []int{1, 20, 60} {
		var p CommitParams
		for range n {
			kp, _ := keyPackage(t, "member")
			p.Add = append(p.Add, kp)
		}
		p.Now, p.Path = testNow, true
		c := must(a.Commit(p))(t)
		if err := a.Merge(c); err != nil {
			t.Fatal(err)
		}
		for _, w := range c.Welcomes() {
			sizes = append(sizes, len(w.Message))
		}
	}
	if low, high := slices.Min(sizes), slices.Max(sizes); high-low > 1 {
		t.Errorf("Welcomes have between %d and %d bytes", low, high)
	}
}

func TestOutOfOrderAndReplay(t *testing.T) { eachSuite(t, outOfOrderAndReplay) }

func outOfOrderAndReplay(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	var msgs [][]byte
	for i := range 40 {
		msgs = append(msgs, must(groups[0].Encrypt([]byte{byte(i)}, nil))(t))
	}
	order := []int{39, 0, 17, 38, 1, 5, 4, 3, 2, 20}
	for _, i := range order {
		groups[1] = reload(t, groups[1])
		m := must(groups[1].Process(msgs[i]))(t).(*ApplicationMessage)
		if m.Data[0] != byte(i) || m.Generation != uint32(i) {
			t.Fatalf("message %d came out as %d, generation %d", i, m.Data[0], m.Generation)
		}
	}
	for _, i := range order {
		if _, err := groups[1].Process(msgs[i]); !errors.Is(err, ErrConsumed) {
			t.Errorf("replay of %d: %v, want ErrConsumed", i, err)
		}
	}
	if _, err := groups[0].Process(msgs[3]); !errors.Is(err, ErrConsumed) {
		t.Errorf("own message: %v, want ErrConsumed", err)
	}
}

func TestEpochAndGroupMismatch(t *testing.T) {
	groups := trio(t)
	old := must(groups[0].Encrypt([]byte("old"), nil))(t)
	behind := groups[2].Clone()
	c := must(groups[0].Commit(CommitParams{}))(t)
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	if _, err := groups[1].Process(old); !errors.Is(err, ErrPastEpoch) {
		t.Errorf("old message: %v, want ErrPastEpoch", err)
	}
	if _, err := behind.Process(must(groups[0].Encrypt(nil, nil))(t)); !errors.Is(err, ErrFutureEpoch) {
		t.Errorf("new message: %v, want ErrFutureEpoch", err)
	}
	other := must(NewGroup(GroupConfig{
		Suite: SuiteX25519AES128Ed25519, GroupID: []byte("another"), SignatureKey: signatureKey(t),
		Credential: basic("x"), Now: testNow,
	}))(t)
	if _, err := other.Process(old); !errors.Is(err, ErrWrongGroup) {
		t.Errorf("message of another group: %v, want ErrWrongGroup", err)
	}
}

// TestProposals: by reference, from everybody, with an own Update that somebody else commits.
func TestProposals(t *testing.T) { eachSuite(t, proposals) }

func proposals(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	kp, secrets := keyPackageOf(t, id, "d")
	newKey := signatureKeyOf(t, id)
	leaf := LeafIndex(0)
	extensions := []Extension{{Type: testExtension, Data: []byte("second")}}
	for _, p := range []struct {
		from int
		what ProposalParams
	}{
		{2, ProposalParams{Update: true, NewSignatureKey: newKey, NewCredential: new(basic("c2"))}},
		{2, ProposalParams{Add: kp, Now: testNow}},
		{1, ProposalParams{Remove: &leaf}}, // the committer cannot carry this one out
		{1, ProposalParams{Extensions: &extensions}},
	} {
		msg := must(groups[p.from].Propose(p.what))(t)
		for i := range groups {
			groups[i] = reload(t, groups[i])
			q, ok := must(groups[i].Process(msg))(t).(*QueuedProposal)
			if !ok || q.Own != (i == p.from) || int(q.Sender) != p.from {
				t.Fatalf("leaf %d got %+v", i, q)
			}
		}
	}
	if _, err := groups[1].Encrypt([]byte("too early"), nil); !errors.Is(err, ErrPendingProposals) {
		t.Errorf("sending before a commit: %v, want ErrPendingProposals", err)
	}
	c := must(groups[0].Commit(CommitParams{IncludePending: true, Now: testNow}))(t)
	if len(c.Adds()) != 1 || len(c.Removes()) != 0 || len(c.Updates()) != 2 {
		t.Fatalf("commit adds %d, removes %d, updates %d", len(c.Adds()), len(c.Removes()), len(c.Updates()))
	}
	if es, ok := c.Extensions(); !ok || string(es[0].Data) != "second" {
		t.Errorf("extensions: %v %v", es, ok)
	}
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	groups = append(groups, must(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: groups[0].RatchetTree(), Now: testNow}))(t))
	agree(t, groups)
	m, _ := groups[1].Member(2)
	if string(m.Credential.Identity) != "c2" || !bytes.Equal(m.SignatureKey, newKey.Public()) {
		t.Errorf("member 2 is %s", m.Credential.Identity)
	}
	for _, g := range groups {
		say(t, g, groups, "after")
	}
}

func TestRotateSignatureKey(t *testing.T) { eachSuite(t, rotateSignatureKey) }

func rotateSignatureKey(t *testing.T, id Suite) {
	groups := trioOf(t, id)
	key := signatureKeyOf(t, id)
	c := must(groups[1].Commit(CommitParams{NewSignatureKey: key, NewCredential: new(basic("b2"))}))(t)
	deliver(t, c.Message(), []*Group{groups[0], groups[2]})
	if err := groups[1].Merge(must(groups[1].LoadCommit(must(c.MarshalBinary())(t)))(t)); err != nil {
		t.Fatal(err)
	}
	agree(t, groups)
	say(t, groups[1], groups, "signed with the new key")
	if m, _ := groups[0].Member(1); !bytes.Equal(m.SignatureKey, key.Public()) {
		t.Error("the others do not know the new key")
	}
}

// TestNewLeavesGetNoPathSecret: a leaf that a commit adds is not among those to which the
// commit's path is encrypted, also where it is an unmerged leaf of a parent that is (RFC 9420
// section 7.5). Its secret comes with the Welcome.
func TestNewLeavesGetNoPathSecret(t *testing.T) {
	a := newGroup(t, "a")
	groups := append([]*Group{a}, add(t, a, nil, CommitParams{}, "b", "c", "d", "e", "f", "g")...)
	c := must(groups[4].Commit(CommitParams{}))(t) // sets node 11, over leaves 4 to 7
	deliver(t, c.Message(), slices.Concat(groups[:4], groups[5:]))
	if err := groups[4].Merge(c); err != nil {
		t.Fatal(err)
	}
	kp, secrets := keyPackage(t, "h")
	p := CommitParams{Add: []*KeyPackage{kp}, Path: true, Now: testNow}
	b := &commitBuilder{group: a, plan: must(a.choose(&p))(t), params: &p, commit: new(commit)}
	commitSecret := must(b.assemble())(t)
	if n := b.plan.tree.node(11); n == nil || !slices.Equal(n.parent.unmerged, []LeafIndex{7}) {
		t.Fatal("the new leaf is not unmerged at node 11")
	}
	if top := b.commit.path.nodes[len(b.commit.path.nodes)-1]; len(top.secrets) != 1 {
		t.Errorf("the root's secret is encrypted %d times, want once: to node 11", len(top.secrets))
	}
	c = must(b.seal(commitSecret))(t)
	deliver(t, c.Message(), groups[1:])
	if err := a.Merge(c); err != nil {
		t.Fatal(err)
	}
	groups = append(groups, must(Join(c.Welcomes()[0].Message, secrets, JoinParams{Tree: a.RatchetTree(), Now: testNow}))(t))
	agree(t, groups)
}

// TestDropProposals: members that all drop what was proposed go on by commits alone, and a
// commit that refers to it counts for none of them.
func TestDropProposals(t *testing.T) {
	groups := trio(t)
	msg := must(groups[0].Propose(ProposalParams{Update: true}))(t)
	for _, g := range groups {
		must(g.Process(msg))(t)
	}
	byReference := must(groups[1].Commit(CommitParams{IncludePending: true, Now: testNow}))(t)
	for _, g := range groups {
		g.DropProposals()
	}
	if _, err := groups[2].Process(byReference.Message()); !errors.Is(err, ErrInvalidCommit) {
		t.Errorf("commit of a dropped proposal: %v, want ErrInvalidCommit", err)
	}
	say(t, groups[0], groups, "on we go")
}

// TestParametersThatCannotBe: a program's mistake is an error, not a crash.
func TestParametersThatCannotBe(t *testing.T) {
	g, key := trio(t)[0], signatureKey(t)
	unknown := Credential{Type: 3}
	for name, err := range map[string]error{
		"NewGroup": second(NewGroup(GroupConfig{Suite: DefaultSuite, SignatureKey: key, Now: testNow})),
		"NewKeyPackage": second3(NewKeyPackage(KeyPackageConfig{
			Suite: DefaultSuite, SignatureKey: key, Credential: unknown, NotBefore: testNow, NotAfter: testNow.Add(time.Hour),
		})),
		"Commit":       second(g.Commit(CommitParams{NewCredential: &unknown})),
		"Propose":      second(g.Propose(ProposalParams{Update: true, NewCredential: new(Credential)})),
		"JoinExternal": second3(JoinExternal(groupInfoFor(t, g), ExternalParams{Now: testNow, Credential: unknown, SignatureKey: key})),
	} {
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s with a credential of no type: %v, want ErrUnsupported", name, err)
		}
	}
	for _, padding := range []int{-1, math.MinInt, math.MaxInt, maxContent} {
		if _, err := g.EncryptPadded([]byte("text"), nil, padding); !errors.Is(err, ErrLimit) {
			t.Errorf("padding of %d bytes: %v, want ErrLimit", padding, err)
		}
	}
}
