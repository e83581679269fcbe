package mls

import (
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
