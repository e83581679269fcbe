package mls

import (
	"testing"
)

// treeOperationsVectors change the tree of a group of three, or of two where
// keys are large.
func treeOperationsVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	operation := func(before []byte, by LeafIndex, p *proposal, change func(*ratchetTree)) jsonObject {
		tree := must(s.parseRatchetTree(before))(t)
		hash := tree.rootHash()
		change(tree)
		return jsonObject{
			{"cipher_suite", s.id},
			{"tree_before", before}, {"proposal", encode(p, writeProposal)}, {"proposal_sender", by},
			{"tree_hash_before", hash}, {"tree_after", encode(tree, writeRatchetTree)}, {"tree_hash_after", tree.rootHash()},
		}
	}
	remove := func(before []byte, l LeafIndex) jsonObject {
		return operation(before, 0, &proposal{kind: proposalRemove, remove: l}, func(tree *ratchetTree) {
			tree.remove(l)
			tree.truncate()
		})
	}
	add := func(before []byte) jsonObject {
		kp, _ := vectorKeyPackage(t, s, "new")
		return operation(before, 0, &proposal{kind: proposalAdd, add: kp}, func(tree *ratchetTree) {
			must(tree.add(kp.leaf))(t)
		})
	}
	if s.postQuantum() {
		return []jsonObject{remove(vectorMembers(t, s, 2)[0].RatchetTree(), 1)}
	}
	groups := vectorMembers(t, s, 3)
	whole := groups[0].RatchetTree()
	// With leaf 3 the tree is full; without leaf 2 it has half its width.
	out := []jsonObject{add(whole), remove(whole, 2)}
	update := updateWith(t, groups[1], func(*leafNode) {})
	out = append(out, operation(whole, 1, update, func(tree *ratchetTree) { tree.update(1, update.update) }))
	if s.id != DefaultSuite {
		return out
	}
	// Leaf 1 becomes blank, and is the next one to be taken.
	out = append(out, remove(whole, 1))
	gap := must(s.parseRatchetTree(whole))(t)
	gap.remove(1)
	return append(out, add(encode(gap, writeRatchetTree)))
}

// treeValidationVectors are trees of the working group's document with up to eight members; for
// suites but the default one fewer, and where keys are large one of two members.
func treeValidationVectors(t *testing.T, s *suite) []jsonObject {
	t.Helper()
	commit := func(groups []*Group, p CommitParams) []*Group {
		vectorCommit(t, groups, groups[0], p)
		return groups
	}
	newcomer := func() []*KeyPackage {
		kp, _ := vectorKeyPackage(t, s, "new")
		return []*KeyPackage{kp}
	}
	of := func(groups []*Group) jsonObject { return validTree(t, s, groups[0]) }
	if s.large() {
		return []jsonObject{of(vectorMembers(t, s, 2))}
	}
	// Leaf 2 is blank, so is what stands between leaf 0 and the root that it made, and leaf 1
	// came after that.
	everything := commit(vectorMembers(t, s, 4), CommitParams{Remove: []LeafIndex{1, 2}})
	everything = commit(everything, CommitParams{Add: newcomer()})
	out := []jsonObject{of(everything), of(vectorMembers(t, s, 2))}
	if s.postQuantum() {
		return out[:1]
	}
	if s.id != DefaultSuite {
		return out
	}
	for _, n := range []int{3, 4, 5, 8} {
		out = append(out, of(vectorMembers(t, s, n)))
	}
	return append(out,
		of(commit(vectorMembers(t, s, 8), CommitParams{Remove: []LeafIndex{2, 3}, Add: newcomer()})),
		of(commit(vectorMembers(t, s, 8), CommitParams{Remove: []LeafIndex{1, 2, 3}})),
		of(commit(vectorMembers(t, s, 7), CommitParams{Add: newcomer()})),
	)
}

func validTree(t *testing.T, s *suite, g *Group) jsonObject {
	t.Helper()
	tree := must(s.parseRatchetTree(g.RatchetTree()))(t)
	resolutions, hashes := make([][]nodeIndex, tree.width()), make([][]byte, tree.width())
	for x := range tree.width() {
		resolutions[x], hashes[x] = tree.resolution(x, nil), tree.hash(x)
		if resolutions[x] == nil {
			resolutions[x] = []nodeIndex{}
		}
	}
	return jsonObject{
		{"cipher_suite", s.id}, {"tree", g.RatchetTree()}, {"group_id", g.ID()},
		{"resolutions", resolutions}, {"tree_hashes", hashes},
	}
}
