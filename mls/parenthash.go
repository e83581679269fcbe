package mls

import (
	"bytes"
	"slices"
)

// parentHash is the parent hash of a parent node with the given copath child (RFC 9420
// section 7.9).
func (h *treeHasher) parentHash(p *parentNode, siblingHash []byte) []byte {
	h.w.Bytes(p.encryptionKey)
	h.w.Bytes(p.parentHash)
	h.w.Bytes(siblingHash)
	return h.sum()
}

// setPath blanks the direct path of a leaf, puts fresh keys on its filtered path and links
// them by parent hashes, from the root down. It returns the parent hash that the leaf must
// carry. The nodes have no unmerged leaves, so the sibling's hash is its current one.
func (t *ratchetTree) setPath(l LeafIndex, path []pathStep, keys [][]byte) []byte {
	t.blankPath(l)
	h := t.hasher()
	var above []byte // parent hash of the next node up; empty for the root
	for i, step := range slices.Backward(path) {
		p := &parentNode{encryptionKey: keys[i], parentHash: above}
		t.set(step.node, &node{parent: p})
		above = h.parentHash(p, h.hash(step.copath))
	}
	return above
}

// verifyParentHashes checks that every parent node is parent-hash valid (section 7.9.2):
// exactly one node below it, in the resolution of one child, was set in the same update path.
func (t *ratchetTree) verifyParentHashes() error {
	h := t.hasher()
	for x := range t.parents {
		linked := h.countLinked(x, x.left(), x.right()) + h.countLinked(x, x.right(), x.left())
		if linked != 1 {
			return broken("tree.parent-hash", "node %d is linked to %d nodes below it", x, linked)
		}
	}
	return nil
}

// countLinked counts the nodes in the resolution of child whose parent hash is that of x
// with copath child sibling, and which x's unmerged leaves leave alone under child.
func (h *treeHasher) countLinked(x, child, sibling nodeIndex) int {
	p := h.t.node(x).parent
	var want []byte
	linked := 0
	h.resolution = h.t.appendResolution(h.resolution[:0], child, nil)
	resolution := h.resolution
	for _, d := range resolution {
		have, ok := h.t.node(d).storedParentHash()
		if !ok {
			continue
		}
		if want == nil {
			want = h.parentHash(p, h.without(sibling, p.unmerged))
		}
		if bytes.Equal(have, want) && sameWithout(p.unmerged, resolution, child, d) {
			linked++
		}
	}
	return linked
}

// storedParentHash is the parent_hash field, which only leaves set by a commit have.
func (n *node) storedParentHash() ([]byte, bool) {
	if n.leaf != nil {
		return n.leaf.parentHash, n.leaf.source == sourceCommit
	}
	return n.parent.parentHash, true
}

// sameWithout reports whether the unmerged leaves under child are exactly the resolution of
// child without d.
func sameWithout(unmerged []LeafIndex, resolution []nodeIndex, child, d nodeIndex) bool {
	if len(unmerged) == 0 && len(resolution) == 1 {
		return true // the resolution is d: in a group at rest it is nearly always
	}
	var a, b []nodeIndex
	for _, l := range unmerged {
		if child.contains(l.node()) {
			a = append(a, l.node())
		}
	}
	for _, x := range resolution {
		if x != d {
			b = append(b, x)
		}
	}
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
