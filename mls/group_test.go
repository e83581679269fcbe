package mls

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

var testNow = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

const testExtension ExtensionType = 0xf0a1

// tb is what testing.T and rapid.T have in common here.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func must[T any](v T, err error) func(tb) T {
	return func(t tb) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func signatureKey(t tb) SignaturePrivateKey {
	return must(SuiteX25519AES128Ed25519.GenerateSignatureKey())(t)
}

func basic(name string) Credential {
	return Credential{Type: CredentialBasic, Identity: []byte(name)}
}

func keyPackage(t tb, name string) (*KeyPackage, *KeyPackageSecrets) {
	t.Helper()
	kp, secrets, err := NewKeyPackage(KeyPackageConfig{
		Suite: SuiteX25519AES128Ed25519, Credential: basic(name), SignatureKey: signatureKey(t),
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(24 * time.Hour),
		SupportedExtensions: []ExtensionType{testExtension},
	})
	if err != nil {
		t.Fatal(err)
	}
	return kp, secrets
}

func newGroup(t tb, name string) *Group {
	t.Helper()
	return must(NewGroup(GroupConfig{
		Suite: SuiteX25519AES128Ed25519, GroupID: []byte("group"), Credential: basic(name),
		SignatureKey: signatureKey(t), Now: testNow, SupportedExtensions: []ExtensionType{testExtension},
		Extensions: []Extension{{Type: testExtension, Data: []byte("first")}},
	}))(t)
}

// add has g add the named clients in one commit, which g merges; others process it.
func add(t tb, g *Group, others []*Group, p CommitParams, names ...string) []*Group {
	t.Helper()
	var secrets []*KeyPackageSecrets
	for _, name := range names {
		kp, s := keyPackage(t, name)
		p.Add, secrets = append(p.Add, kp), append(secrets, s)
	}
	p.Now = testNow
	c := must(g.Commit(p))(t)
	deliver(t, c.Message(), others)
	if err := g.Merge(c); err != nil {
		t.Fatal(err)
	}
	var joined []*Group
	for i, s := range secrets {
		joined = append(joined, must(Join(c.Welcomes()[i].Message, s, g.RatchetTree(), nil, testNow))(t))
	}
	return joined
}

// deliver has every group process and merge a commit.
func deliver(t tb, msg []byte, groups []*Group) {
	t.Helper()
	for _, g := range groups {
		c, ok := must(g.Process(msg))(t).(*StagedCommit)
		if !ok {
			t.Fatalf("leaf %d did not see a commit", g.OwnLeaf())
		}
		if err := g.Merge(c); err != nil {
			t.Fatal(err)
		}
	}
}

// agree fails unless all groups are in the same epoch of the same history, with private keys
// that fit the tree.
func agree(t tb, groups []*Group) {
	t.Helper()
	for _, g := range groups {
		if !bytes.Equal(g.EpochAuthenticator(), groups[0].EpochAuthenticator()) || g.Epoch() != groups[0].Epoch() ||
			!bytes.Equal(g.RatchetTree(), groups[0].RatchetTree()) || !bytes.Equal(g.at.interim, groups[0].at.interim) {
			t.Fatalf("leaf %d in epoch %d and leaf %d in epoch %d disagree",
				g.OwnLeaf(), g.Epoch(), groups[0].OwnLeaf(), groups[0].Epoch())
		}
		if len(g.at.held.prune(g.at.tree)) != len(g.at.held) || g.at.held[g.at.own.node()] == nil {
			t.Fatalf("leaf %d holds keys that are not in the tree", g.OwnLeaf())
		}
	}
}

func say(t tb, from *Group, to []*Group, text string) {
	t.Helper()
	msg := must(from.Encrypt([]byte(text), []byte("aad")))(t)
	for _, g := range to {
		if g == from {
			continue
		}
		m, ok := must(g.Process(msg))(t).(*ApplicationMessage)
		if !ok || string(m.Data) != text || string(m.AAD) != "aad" || m.Sender != from.OwnLeaf() {
			t.Fatalf("leaf %d got %+v, want %q", g.OwnLeaf(), m, text)
		}
	}
}

// reload stores a group and loads it again.
func reload(t tb, g *Group) *Group {
	t.Helper()
	core, ratchets := must(g.MarshalBinary())(t), must(g.MarshalRatchets())(t)
	again := must(UnmarshalGroup(core, ratchets, g.validator))(t)
	if !bytes.Equal(must(again.MarshalBinary())(t), core) || !bytes.Equal(must(again.MarshalRatchets())(t), ratchets) {
		t.Fatalf("leaf %d differs after being stored", g.OwnLeaf())
	}
	return again
}

// trio is a group of three in an epoch that began with a path.
func trio(t tb) []*Group {
	t.Helper()
	a := newGroup(t, "a")
	groups := append([]*Group{a}, add(t, a, nil, CommitParams{Path: true}, "b", "c")...)
	agree(t, groups)
	return groups
}

func TestGroupOfThree(t *testing.T) {
	groups := trio(t)
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
}

func TestRemovedMemberIsOut(t *testing.T) {
	groups := trio(t)
	c := must(groups[0].Commit(CommitParams{Remove: []LeafIndex{2}}))(t)
	removed := must(groups[2].Process(c.Message()))(t).(*StagedCommit)
	if !removed.SelfRemoved() || removed.Next() != nil || len(removed.Removes()) != 1 ||
		string(removed.Removes()[0].Credential.Identity) != "c" {
		t.Errorf("removal is not announced: %+v", removed.Removes())
	}
	again := must(UnmarshalStagedCommit(must(removed.MarshalBinary())(t)))(t)
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
		"MarshalBinary": second(groups[2].MarshalBinary()), "Sign": second(groups[2].Sign("x", nil)),
	} {
		if !errors.Is(err, ErrRemoved) {
			t.Errorf("%s: %v, want ErrRemoved", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

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

func TestOutOfOrderAndReplay(t *testing.T) {
	groups := trio(t)
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
func TestProposals(t *testing.T) {
	groups := trio(t)
	kp, secrets := keyPackage(t, "d")
	newKey := signatureKey(t)
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
	groups = append(groups, must(Join(c.Welcomes()[0].Message, secrets, groups[0].RatchetTree(), nil, testNow))(t))
	agree(t, groups)
	m, _ := groups[1].Member(2)
	if string(m.Credential.Identity) != "c2" || !bytes.Equal(m.SignatureKey, newKey.Public()) {
		t.Errorf("member 2 is %s", m.Credential.Identity)
	}
	for _, g := range groups {
		say(t, g, groups, "after")
	}
}

func TestRotateSignatureKey(t *testing.T) {
	groups := trio(t)
	key := signatureKey(t)
	c := must(groups[1].Commit(CommitParams{NewSignatureKey: key, NewCredential: new(basic("b2"))}))(t)
	deliver(t, c.Message(), []*Group{groups[0], groups[2]})
	if err := groups[1].Merge(must(UnmarshalStagedCommit(must(c.MarshalBinary())(t)))(t)); err != nil {
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
	if n := b.plan.tree.nodes[11]; n == nil || !slices.Equal(n.parent.unmerged, []LeafIndex{7}) {
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
	groups = append(groups, must(Join(c.Welcomes()[0].Message, secrets, a.RatchetTree(), nil, testNow))(t))
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
