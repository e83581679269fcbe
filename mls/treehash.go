package mls

import (
	"hash"

	"github.com/sealpost/sealpost/internal/wire"
)

// treeHasher hashes nodes of one tree, one after the other in the same buffer.
type treeHasher struct {
	t *ratchetTree
	h hash.Hash
	w wire.Writer

	resolution []nodeIndex // lent to countLinked
}

func (t *ratchetTree) hasher() *treeHasher { return &treeHasher{t: t, h: t.suite.hash()} }

// sum hashes what was written, and begins anew.
func (h *treeHasher) sum() []byte {
	b := mustFinish(&h.w)
	h.h.Reset()
	h.h.Write(b)
	h.w.Reset()
	return h.h.Sum(nil)
}

// hash is the tree hash of a node (RFC 9420 section 7.8), cached.
func (t *ratchetTree) hash(x nodeIndex) []byte {
	if h := t.cells.at(int(x)).hash; h != nil {
		return h
	}
	return t.hasher().hash(x)
}

// rootHash is the tree hash of the whole tree. From then on t can be read, and copied, by
// several goroutines: it has no hash left to compute.
func (t *ratchetTree) rootHash() []byte {
	h := t.hash(t.root())
	t.seal()
	return h
}

func (h *treeHasher) hash(x nodeIndex) []byte {
	if known := h.t.cells.at(int(x)).hash; known != nil {
		return known
	}
	var sum []byte
	if n := h.t.node(x); x.isLeaf() {
		sum = h.leaf(x, n)
	} else {
		sum = h.parent(n, h.hash(x.left()), h.hash(x.right()))
	}
	h.t.cells.place(int(x)).hash = sum
	return sum
}

func (h *treeHasher) leaf(x nodeIndex, n *node) []byte {
	h.w.Uint8(nodeTypeLeaf)
	h.w.Uint32(uint32(x.leaf()))
	h.w.Bool(n != nil)
	if n != nil {
		writeLeafNode(&h.w, n.leaf)
	}
	return h.sum()
}

func (h *treeHasher) parent(n *node, left, right []byte) []byte {
	h.w.Uint8(nodeTypeParent)
	h.w.Bool(n != nil)
	if n != nil {
		writeParentNode(&h.w, n.parent)
	}
	h.w.Bytes(left)
	h.w.Bytes(right)
	return h.sum()
}

// without is the tree hash of a node as if the given leaves had never been added: blank, and
// unmerged nowhere (section 7.9). Subtrees that hold none of them use the cache.
func (h *treeHasher) without(x nodeIndex, without []LeafIndex) []byte {
	if len(without) == 0 {
		return h.hash(x)
	}
	var below []LeafIndex
	for _, l := range without {
		if x.contains(l.node()) {
			below = append(below, l)
		}
	}
	if len(below) == 0 {
		return h.hash(x)
	}
	if x.isLeaf() {
		return h.leaf(x, nil)
	}
	n := h.t.node(x)
	if n != nil {
		p := *n.parent
		p.unmerged = subtractLeaves(p.unmerged, below)
		n = &node{parent: &p}
	}
	return h.parent(n, h.without(x.left(), below), h.without(x.right(), below))
}

// subtractLeaves is a without b; both ascend.
func subtractLeaves(a, b []LeafIndex) []LeafIndex {
	var out []LeafIndex
	for _, l := range a {
		for len(b) > 0 && b[0] < l {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != l {
			out = append(out, l)
		}
	}
	return out
}
