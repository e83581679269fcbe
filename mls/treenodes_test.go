package mls

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// anyLeaf draws a leaf of few possible keys, so that they clash, and of few abilities.
func anyLeaf(t *rapid.T) *leafNode {
	credentials := []CredentialType{CredentialBasic, CredentialX509}
	return &leafNode{
		encryptionKey: []byte{rapid.ByteRange(0, 60).Draw(t, "encryption key")},
		signatureKey:  []byte{rapid.ByteRange(0, 60).Draw(t, "signature key")},
		credential:    Credential{Type: rapid.SampledFrom(credentials).Draw(t, "credential")},
		capabilities: capabilities{
			credentials: rapid.SampledFrom([][]CredentialType{credentials, credentials, {CredentialBasic}}).Draw(t, "credentials"),
			extensions:  rapid.SampledFrom([][]ExtensionType{{0xf001}, {0xf001, 0xf002}}).Draw(t, "extensions"),
		},
		source: sourceUpdate,
	}
}

// change draws a change and makes it.
func change(t *rapid.T, tree *ratchetTree) {
	l := LeafIndex(rapid.Uint32Range(0, tree.leaves()-1).Draw(t, "leaf"))
	switch rapid.IntRange(0, 9).Draw(t, "change") {
	case 0, 1, 2, 3:
		if _, err := tree.add(anyLeaf(t)); err != nil {
			t.Fatal(err)
		}
	case 4, 5:
		tree.remove(l)
		tree.truncate()
	case 6:
		tree.update(l, anyLeaf(t))
	case 7:
		tree.set(l.node(), &node{leaf: anyLeaf(t)})
	default:
		if tree.leaf(l) == nil {
			return // above nobody there is no key
		}
		for _, x := range l.node().directPath(tree.leaves()) {
			tree.set(x, &node{parent: &parentNode{encryptionKey: []byte{rapid.ByteRange(0, 60).Draw(t, "parent key")}}})
		}
	}
	if rapid.Bool().Draw(t, "hash") {
		tree.rootHash()
	}
}

// inNodes are the nodes of a tree.
func inNodes(tree *ratchetTree) (all []*node) {
	for x := range tree.width() {
		all = append(all, tree.node(x))
	}
	return all
}

// TestTreeKnowsWhatChanged: a tree that was copied and changed, over and over, knows of itself
// what a tree that is made of its nodes knows, and what all its nodes say; and the copies from
// which it came stay as they are.
func TestTreeKnowsWhatChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			tree  *ratchetTree
			nodes []*node
			hash  []byte
		}
		var kept []version
		tree := newRatchetTree(suites[DefaultSuite], anyLeaf(t))
		for range rapid.IntRange(1, 12).Draw(t, "copies") {
			for range rapid.IntRange(0, 20).Draw(t, "changes") {
				change(t, tree)
				sameAsAnew(t, tree)
			}
			for _, v := range kept {
				sameDifference(t, v.tree, tree)
			}
			from := rapid.IntRange(-1, len(kept)-1).Draw(t, "from")
			if from >= 0 {
				tree = kept[from].tree
			} else {
				kept = append(kept, version{tree, inNodes(tree), tree.rootHash()})
			}
			tree = tree.clone()
		}
		for _, v := range kept {
			if !slices.Equal(inNodes(v.tree), v.nodes) || !bytes.Equal(v.tree.rootHash(), v.hash) {
				t.Fatal("a tree changed with its copy")
			}
			sameAsAnew(t, v.tree)
		}
	})
}

func sameAsAnew(t *rapid.T, tree *ratchetTree) {
	t.Helper()
	nodes := inNodes(tree)
	anew := newTree(tree.suite, tree.width(), nodes)
	same := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Fatalf("%s is %v, of a tree made anew %v", what, got, want)
		}
	}
	same("the last member", tree.end, anew.end)
	same("the first blank leaf", tree.clone().firstBlank(), anew.firstBlank())
	same("places in the index", tree.encryption.places, anew.encryption.places)
	same("encryption keys that repeat", tree.encryption.twice, repeated(nodes, func(n *node) []byte { return n.encryptionKey() }))
	same("the same, anew", anew.encryption.twice, tree.encryption.twice)
	same("signature keys that repeat", tree.signature.twice, repeated(nodes, func(n *node) []byte {
		if n.leaf == nil {
			return nil
		}
		return n.leaf.signatureKey
	}))
	same("the same, anew", anew.signature.twice, tree.signature.twice)
	same("the tree hash", string(tree.clone().rootHash()), string(anew.rootHash()))
	for c := range CredentialType(3) {
		same("the number of credentials of a type", tree.credentials[c], anew.credentials[c])
	}
	for key := range byte(61) {
		held := slices.ContainsFunc(nodes, func(n *node) bool { return n != nil && n.encryptionKey()[0] == key })
		same("that a key is held", tree.encryption.holds(tree, []byte{key}), held)
	}
	for x := range tree.width() {
		same("that a node is occupied", tree.occupied(x), len(tree.resolution(x, nil)) > 0)
	}
}

// sameDifference: what is said to have changed is what did, either way.
func sameDifference(t *rapid.T, a, b *ratchetTree) {
	t.Helper()
	for range 2 {
		got := maps.Collect(changedNodes(a, b))
		want := map[nodeIndex]*node{}
		was, is := inNodes(a), inNodes(b)
		for x := range max(len(was), len(is)) {
			var before, now *node
			if x < len(was) {
				before = was[x]
			}
			if x < len(is) {
				now = is[x]
			}
			if before != now {
				want[nodeIndex(x)] = now
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("changed are %v, want %v", got, want)
		}
		a, b = b, a
	}
}

// repeated counts the nodes whose key an earlier one has.
func repeated(nodes []*node, key func(*node) []byte) (n int) {
	seen := map[string]bool{}
	for _, at := range nodes {
		if at == nil || key(at) == nil {
			continue
		}
		if k := string(key(at)); seen[k] {
			n++
		} else {
			seen[k] = true
		}
	}
	return n
}

// TestChangesAreCheckedAsTheWhole: a commit's check of what it changes has the verdict of the
// check of the whole tree, whatever the lists of extensions before and after.
func TestChangesAreCheckedAsTheWhole(t *testing.T) {
	verdicts := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		lists := [][]Extension{nil, {{Type: 0xf001}}, {{Type: 0xf001}, {Type: 0xf002}}}
		before := rapid.SampledFrom(lists).Draw(t, "before")
		tree := newRatchetTree(suites[DefaultSuite], anyLeaf(t))
		for range 40 {
			next := tree.clone()
			extensions := rapid.SampledFrom(append(lists, before)).Draw(t, "after")
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				change(t, next)
			}
			if tree.checkMembers(before) != nil {
				return // only a good tree is changed
			}
			whole, changes := next.checkMembers(extensions), next.checkChanges(extensions, tree, before)
			if (whole == nil) != (changes == nil) {
				t.Fatalf("of the whole: %v, of what changed: %v", whole, changes)
			}
			if verdicts[whole == nil]++; whole == nil {
				tree, before = next, extensions
			} else if !errors.Is(changes, ErrInvalid) {
				t.Fatal(changes)
			}
		}
	})
	if verdicts[true] < 50 || verdicts[false] < 50 {
		t.Errorf("trees that were good and bad: %v", verdicts)
	}
}
