package mls

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
)

// lookedAt counts the entries of peers' lists that f looks at.
func lookedAt(f func()) int {
	var n atomic.Int64
	looked = func(more int) { n.Add(int64(more)) }
	defer func() { looked = func(int) {} }()
	f()
	return int(n.Load())
}

// wantLinear fails if f does not look through its many entries, or does so for more of them than
// there are times a few.
func wantLinear(t *testing.T, what string, entries int, f func()) {
	t.Helper()
	if n := lookedAt(f); n < entries || n > 8*entries {
		t.Errorf("%s: %d entries were looked at, want %d to %d", what, n, entries, 8*entries)
	}
}

// points are n code points that no reserved one is among.
func points[T ~uint16](n int) []T {
	var out []T
	for v := T(0x1000); len(out) < n; v++ {
		if !isGrease(uint16(v)) {
			out = append(out, v)
		}
	}
	return out
}

// manyOf is n times one code point, and then some others.
func manyOf[T ~uint16](n int, v T, then ...T) []T {
	out := make([]T, n, n+len(then))
	for i := range out {
		out[i] = v
	}
	return append(out, then...)
}

const manyPoints = 20_000

// TestStrangersLongKeyPackage: whoever makes a KeyPackage of long lists, which takes no group and
// no member, has the others work for its length, and not for one list times the other.
func TestStrangersLongKeyPackage(t *testing.T) {
	types := points[ExtensionType](manyPoints)
	kp := forge(t, DefaultSuite, func(_ *KeyPackage, leaf *leafNode) {
		for _, et := range types {
			leaf.extensions = append(leaf.extensions, Extension{Type: et})
		}
		leaf.capabilities.extensions = manyOf(4*manyPoints, 0x0a0a, append(types, testExtension)...)
	})
	wantLinear(t, "Verify", 6*manyPoints, func() {
		if err := kp.Verify(testNow, nil); err != nil {
			t.Error(err)
		}
	})
	last := *kp.leaf
	last.capabilities.extensions = last.capabilities.extensions[:5*manyPoints-1]
	wantLinear(t, "a leaf that lacks one", 6*manyPoints-1, func() {
		wantRule(t, "a leaf that lacks one", last.checkItself(suites[DefaultSuite]), "leaf.extension-support")
	})
}

// TestLongRequirements: an insider who has the group require a long list, of repetitions or of
// what its own leaf announces, multiplies it with nobody's capabilities.
func TestLongRequirements(t *testing.T) {
	tree := trio(t)[0].at.tree.clone()
	required := EncodeComponentIDs(points[ComponentID](manyPoints))
	words := must(EncodeComponents([]ComponentData{{Component: ComponentAppComponents, Data: required}}))(t)
	formats := EncodeWireFormats(points[uint16](manyPoints))
	for l, leaf := range tree.members {
		able := *leaf
		able.capabilities.extensions = append(points[ExtensionType](manyPoints), ExtensionAppDataDictionary, ExtensionRequiredWireFormats)
		able.capabilities.proposals = manyOf(manyPoints, 0x0a0a, points[ProposalType](manyPoints)...)
		able.extensions = []Extension{{Type: ExtensionAppDataDictionary, Data: words}, {Type: ExtensionSupportedWireFormats, Data: formats}}
		tree.set(l.node(), &node{leaf: &able})
	}
	for _, c := range []struct {
		name     string
		entries  int // of the group and of three leaves
		required Extension
	}{
		{"extensions", 4 * manyPoints, Extension{ExtensionRequiredCapabilities, encodeRequired(requiredCapabilities{
			extensions: points[ExtensionType](manyPoints),
		})}},
		{"repetitions", 7 * manyPoints, Extension{ExtensionRequiredCapabilities, encodeRequired(requiredCapabilities{
			proposals: manyOf[ProposalType](manyPoints, 0x1000),
		})}},
		{"components", 4 * manyPoints, Extension{ExtensionAppDataDictionary, words}},
		{"wire formats", 4 * manyPoints, Extension{ExtensionRequiredWireFormats, formats}},
	} {
		wantLinear(t, c.name, c.entries, func() {
			if err := tree.checkMembers([]Extension{c.required}); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
}

// TestManyTypesInFrontOfManyMembers: a commit of many proposal types that removes all who do not
// announce them is looked through once, not once for each member and each that goes.
func TestManyTypesInFrontOfManyMembers(t *testing.T) {
	const members = 200
	first, last := ofMany(t, DefaultSuite, members)
	kinds := points[ProposalType](manyPoints)
	for _, g := range []*Group{first, last} {
		view, pub := *g.at, *g.at.PublicView
		pub.tree, view.PublicView = g.at.tree.clone(), &pub
		able := *pub.tree.leaf(0)
		able.capabilities.proposals = kinds
		pub.tree.set(0, &node{leaf: &able})
		g.at = &view
	}
	var list []*proposal
	for l := LeafIndex(1); l < members; l++ {
		list = append(list, &proposal{kind: proposalRemove, remove: l})
	}
	for _, k := range kinds {
		list = append(list, &proposal{kind: k})
	}
	msg := must(hack(t, first, list, nil, wireFormatPublic, nil))(t)
	wantLinear(t, "commit", 3*manyPoints, func() {
		if c, ok := must(last.Process(msg))(t).(*StagedCommit); !ok || !c.SelfRemoved() {
			t.Error("the commit does not remove whom it should")
		}
	})
}

// TestDictionaryEmptiedInOneCommit: a commit of many AppDataUpdates changes the dictionary once,
// and does not copy it for each of them.
func TestDictionaryEmptiedInOneCommit(t *testing.T) {
	var entries []ComponentData
	var p CommitParams
	for _, id := range points[ComponentID](manyPoints) {
		entries = append(entries, ComponentData{Component: id, Data: []byte{1}})
		p.AppData = append(p.AppData, AppDataUpdate{Component: id, Remove: true})
	}
	words := must(EncodeComponents(append(entries, ComponentData{Component: testComponent})))(t)
	groups := extendedPair(t, Extension{ExtensionAppDataDictionary, words})
	msg := must(groups[0].Commit(p))(t).Message()
	var got Received
	cost := allocated(func() { got = must(groups[1].Process(msg))(t) })
	if sent := len(msg) + len(words); cost > mostMemory(sent) {
		t.Errorf("a commit of %d bytes and a dictionary of %d made a member allocate %d", len(msg), len(words), cost)
	}
	if err := groups[1].Merge(got.(*StagedCommit)); err != nil {
		t.Fatal(err)
	}
	if list, _, err := dictionary(groups[1].Extensions()); err != nil || len(list) != 1 || list[0].Component != testComponent {
		t.Errorf("the dictionary is left with %d entries (%v)", len(list), err)
	}
}

// TestProposalsWithoutEnd: somebody who is no member and signs nothing sends a commit of a million
// proposals in three bytes each. What no commit could hold is not kept, nor what it stands for.
func TestProposalsWithoutEnd(t *testing.T) {
	g := trio(t)[0]
	for name, p := range map[string]proposalOrRef{
		"SelfRemove": {proposal: &proposal{kind: ProposalSelfRemove}},
		"Update":     {proposal: &proposal{kind: proposalUpdate, update: g.at.tree.leaf(0)}},
		"extensions": {proposal: &proposal{kind: proposalGroupExtensions}},
		"reference":  {ref: []byte{}},
		"custom":     {proposal: &proposal{kind: testProposal}},
	} {
		c := &framedContent{
			groupID: g.ID(), epoch: g.Epoch(), sender: sender{kind: senderNewMemberCommit}, contentType: contentCommit,
			commit: &commit{proposals: slices.Repeat([]proposalOrRef{p}, 300_000)},
		}
		msg := encode(&message{wireFormat: wireFormatPublic, public: &publicMessage{content: c}}, writeMessage)
		cost := allocated(func() {
			if _, err := g.Process(msg); !errors.Is(err, ErrMalformed) || !errors.Is(err, ErrLimit) {
				t.Errorf("%s: %v, want ErrMalformed and ErrLimit", name, err)
			}
		})
		if most := uint64(2*len(msg) + 16<<20); cost > most {
			t.Errorf("%s: %d bytes made a member allocate %d, want at most %d", name, len(msg), cost, most)
		}
	}
}

// TestManyProposalsThatCount: the bounds are for what nobody needs. A commit that adds 10,000
// members parses, and one's own commit is held to them before it exists.
func TestManyProposalsThatCount(t *testing.T) {
	kp, _ := keyPackage(t, "many")
	c := &commit{proposals: slices.Repeat([]proposalOrRef{{proposal: &proposal{kind: proposalAdd, add: kp}}}, 10_000)}
	for _, p := range []proposal{{kind: proposalRemove}, {kind: proposalPSK, psk: new(preSharedKeyID{kind: pskExternal})}, {kind: testProposal}} {
		c.proposals = append(c.proposals, slices.Repeat([]proposalOrRef{{proposal: &p}}, maxListed)...)
	}
	c.proposals = append(c.proposals, slices.Repeat([]proposalOrRef{{ref: make([]byte, 32)}}, maxPending)...)
	must(parse(encode(c, writeCommit), readCommit))(t)

	groups := extendedPair(t)
	before := fingerprint(t, groups[0])
	p := CommitParams{Ephemeral: slices.Repeat([]ComponentData{{Component: testComponent}}, maxListed+1)}
	if _, err := groups[0].Commit(p); !errors.Is(err, ErrLimit) {
		t.Errorf("a commit of %d proposals: %v, want ErrLimit", len(p.Ephemeral), err)
	}
	if !bytes.Equal(fingerprint(t, groups[0]), before) {
		t.Error("the refused commit left a trace")
	}
	p.Ephemeral = p.Ephemeral[:maxListed]
	commitTo(t, groups, p)
}

// TestListsWithoutEnd: other lists that are parsed before they are checked end where nothing that
// is valid goes on, and no chain has a certificate that is empty.
func TestListsWithoutEnd(t *testing.T) {
	nodes := make([]updatePathNode, maxPathNodes+1)
	secrets := make([]hpkeCiphertext, maxLeaves+1)
	leaf := trio(t)[0].at.tree.leaf(0)
	for name, err := range map[string]error{
		"path":           second(parse(encode(&updatePath{leaf: leaf, nodes: nodes}, writeUpdatePath), readUpdatePath)),
		"ciphertexts":    second(parse(encode(&updatePath{leaf: leaf, nodes: []updatePathNode{{secrets: secrets}}}, writeUpdatePath), readUpdatePath)),
		"two nodes'":     second(parse(encode(&updatePath{leaf: leaf, nodes: []updatePathNode{{secrets: secrets[1:]}, {secrets: secrets[:1]}}}, writeUpdatePath), readUpdatePath)),
		"welcome":        second(parse(encode(&welcome{secrets: make([]encryptedGroupSecrets, maxLeaves+1)}, writeWelcome), readWelcome)),
		"extensions":     second(parse(encode(make([]Extension, maxPoints+1), writeExtensions), readExtensions)),
		"components":     second(ParseComponents(vectorOf(maxPoints+1, 0, 1, 0))),
		"senders":        second(ParseExternalSenders(vectorOf(maxExternalSenders+1, 0, 0, byte(CredentialBasic), 0))),
		"ratchet tree":   second(suites[DefaultSuite].parseRatchetTree(vectorOf(int(treeWidth(maxLeaves))+1, 0))),
		"welcome's keys": second(parse(append([]byte{0, 0}, vectorOf(maxListed+1, pskExternal, 0, 0)...), readGroupSecrets)),
	} {
		if !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v, want ErrLimit", name, err)
		}
	}
	certificates := Credential{Type: CredentialX509, Certificates: slices.Repeat([][]byte{{1}}, maxListed+1)}
	if _, err := parse(encode(certificates, writeCredential), readCredential); !errors.Is(err, ErrLimit) {
		t.Errorf("%d certificates: %v, want ErrLimit", maxListed+1, err)
	}
	chain := Credential{Type: CredentialX509, Certificates: make([][]byte, maxSingle+1)}
	if _, err := parse(encode(chain, writeCredential), readCredential); !errors.Is(err, ErrMalformed) {
		t.Errorf("%d empty certificates: %v, want ErrMalformed", maxSingle+1, err)
	}
}

// TestManyLongLists: lists that are each within bounds are not without end together, neither in
// the tree that a stranger invites to nor in a commit, of one's own or another's.
func TestManyLongLists(t *testing.T) {
	long := make([]Extension, maxPoints)
	leaf := *trio(t)[0].at.tree.leaf(0)
	leaf.extensions = long
	kp := forge(t, DefaultSuite, func(*KeyPackage, *leafNode) {})
	kp.leaf, kp.extensions = &leaf, long
	fits := maxHeld / maxPoints
	tree := func(leaves int) []byte {
		one := encode(&node{leaf: &leaf}, writeOptionalNode)
		return vectorOf(1, append(bytes.Repeat(append(one, 0), leaves-1), one...)...)
	}
	s := suites[DefaultSuite]
	must(parse(tree(fits), s.readGivenTree))(t)
	for _, leaves := range []int{fits + 1, 3 * fits} {
		b := tree(leaves)
		cost := allocated(func() {
			if _, err := parse(b, s.readGivenTree); !errors.Is(err, ErrLimit) {
				t.Errorf("a tree of %d long lists: %v, want ErrLimit", leaves, err)
			}
		})
		if most := uint64(3 * maxHeld * 32); cost > most {
			t.Errorf("a tree of %d bytes made a joiner allocate %d, want at most %d", len(b), cost, most)
		}
	}
	c := &commit{proposals: slices.Repeat([]proposalOrRef{{proposal: &proposal{kind: proposalAdd, add: kp}}}, fits/2)}
	must(parse(encode(c, writeCommit), readCommit))(t)
	c.proposals = append(c.proposals, proposalOrRef{proposal: &proposal{kind: proposalGroupExtensions, extensions: long[:1]}})
	if err := c.checkCounts(); !errors.Is(err, ErrLimit) {
		t.Errorf("an own commit of many long lists: %v, want ErrLimit", err)
	}
	if _, err := parse(encode(c, writeCommit), readCommit); !errors.Is(err, ErrLimit) {
		t.Errorf("a commit of many long lists: %v, want ErrLimit", err)
	}
}

// TestTreeOfLikeParentHashes: in a hostile tree every leaf of a resolution carries the parent hash
// of one node. Which of them it links is found in one pass, not by comparing lists for each.
func TestTreeOfLikeParentHashes(t *testing.T) {
	const leaves = 4096
	s, first := suites[DefaultSuite], trio(t)[0].at.tree.leaf(0)
	root := treeRoot(2 * leaves)
	parent := &parentNode{encryptionKey: []byte("root")}
	listed := make([]*node, root+2)
	listed[root] = &node{parent: parent}
	for l := range LeafIndex(leaves + 1) {
		leaf := *first
		leaf.encryptionKey, leaf.signatureKey = binary.BigEndian.AppendUint32(nil, uint32(l)), binary.BigEndian.AppendUint32(nil, uint32(l))
		leaf.source = sourceCommit
		listed[l.node()] = &node{leaf: &leaf}
		if l > 0 && l < leaves {
			parent.unmerged = append(parent.unmerged, l)
		}
	}
	build := func() *ratchetTree { return newTree(s, nodeIndex(treeWidth(2*leaves)), listed) }
	tree := build()
	like := tree.hasher().parentHash(parent, tree.hash(root.right()))
	for l := range LeafIndex(leaves) {
		listed[l.node()].leaf.parentHash = like
	}
	wantLinear(t, "tree", leaves, func() {
		if err := build().verifyParentHashes(); err != nil { // leaf 0 alone is linked
			t.Error(err)
		}
	})
	parent.unmerged = parent.unmerged[:leaves-2]
	wantRule(t, "two that are left", build().verifyParentHashes(), "tree.parent-hash")
	parent.unmerged = append(parent.unmerged[1:], leaves-1, leaves)
	wantRule(t, "another one beside", build().verifyParentHashes(), "tree.parent-hash")
}

// TestManyExternalSenders: a list of external senders that takes the place of another one is not
// compared with it sender by sender.
func TestManyExternalSenders(t *testing.T) {
	list := func(name string) []Extension {
		all := slices.Repeat([]ExternalSender{{SignatureKey: []byte("key"), Credential: basic(name)}}, manyPoints)
		return []Extension{{Type: ExtensionExternalSenders, Data: EncodeExternalSenders(all)}}
	}
	view := *trio(t)[0].at.PublicView
	ctx := *view.ctx
	view.ctx, ctx.extensions = &ctx, list("before")
	r := new(recorder)
	wantLinear(t, "senders", 2*manyPoints, func() {
		if err := view.checkExtensions(list("after"), r); err != nil {
			t.Error(err)
		}
	})
	if events := r.take(); len(events) != manyPoints || events[0] != CredentialExternalSenderUpdated {
		t.Errorf("%d senders were judged", len(events))
	}
	if err := view.checkExtensions(list("before"), r); err != nil || len(r.take()) > 0 {
		t.Errorf("senders that stay: %v, or judged again", err)
	}
}
