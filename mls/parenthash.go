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
// with copath child sibling, and which x's unmerged leaves leave alone under child. There is
// one such node at most, and the hash is computed for that one only.
func (h *treeHasher) countLinked(x, child, sibling nodeIndex) int {
	p := h.t.node(x).parent
	h.resolution = h.t.appendResolution(h.resolution[:0], child, nil)
	d, ok := leftAlone(p.unmerged, h.resolution, child)
	if !ok {
		return 0
	}
	have, ok := h.t.node(d).storedParentHash()
	if ok && bytes.Equal(have, h.parentHash(p, h.without(sibling, p.unmerged))) {
		return 1
	}
	return 0
}

// storedParentHash is the parent_hash field, which only leaves set by a commit have.
func (n *node) storedParentHash() ([]byte, bool) {
	if n.leaf != nil {
		return n.leaf.parentHash, n.leaf.source == sourceCommit
	}
	return n.parent.parentHash, true
}

// leftAlone is the node of child's resolution that remains without the unmerged leaves under
// child, if those are all in the resolution and leave just one. Both have nothing twice.
func leftAlone(unmerged []LeafIndex, resolution []nodeIndex, child nodeIndex) (nodeIndex, bool) {
	first := child.firstLeaf()
	from, _ := slices.BinarySearch(unmerged, first)
	to, _ := slices.BinarySearch(unmerged, first+1<<child.level())
	if to-from+1 != len(resolution) {
		return 0, false
	}
	if looked(len(resolution)); len(resolution) == 1 {
		return resolution[0], true // in a group at rest it is nearly always
	}
	var alone nodeIndex
	others := 0
	for _, x := range resolution {
		if _, is := slices.BinarySearch(unmerged[from:to], x.leaf()); !is || !x.isLeaf() {
			alone = x
			others++
		}
	}
	return alone, others == 1
}
