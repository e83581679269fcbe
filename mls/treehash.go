package mls

import "github.com/sealpost/sealpost/internal/wire"

// hash is the tree hash of a node (RFC 9420 section 7.8), cached.
func (t *ratchetTree) hash(x nodeIndex) []byte {
	if h := t.cells.at(int(x)).hash; h != nil {
		return h
	}
	var h []byte
	if x.isLeaf() {
		h = t.hashLeaf(x, t.node(x))
	} else {
		h = t.hashParent(t.node(x), t.hash(x.left()), t.hash(x.right()))
	}
	t.cells.place(int(x)).hash = h
	return h
}

// rootHash is the tree hash of the whole tree. From then on t can be read, and copied, by
// several goroutines: it has no hash left to compute.
func (t *ratchetTree) rootHash() []byte {
	h := t.hash(t.root())
	t.seal()
	return h
}

func (t *ratchetTree) hashLeaf(x nodeIndex, n *node) []byte {
	var w wire.Writer
	w.Uint8(nodeTypeLeaf)
	w.Uint32(uint32(x.leaf()))
	w.Bool(n != nil)
	if n != nil {
		writeLeafNode(&w, n.leaf)
	}
	return t.suite.sum(mustFinish(&w))
}

func (t *ratchetTree) hashParent(n *node, left, right []byte) []byte {
	var w wire.Writer
	w.Uint8(nodeTypeParent)
	w.Bool(n != nil)
	if n != nil {
		writeParentNode(&w, n.parent)
	}
	w.Bytes(left)
	w.Bytes(right)
	return t.suite.sum(mustFinish(&w))
}

// hashWithout is the tree hash of a node as if the given leaves had never been added: blank,
// and unmerged nowhere (section 7.9). Subtrees that hold none of them use the cache.
func (t *ratchetTree) hashWithout(x nodeIndex, without []LeafIndex) []byte {
	var below []LeafIndex
	for _, l := range without {
		if x.contains(l.node()) {
			below = append(below, l)
		}
	}
	if len(below) == 0 {
		return t.hash(x)
	}
	if x.isLeaf() {
		return t.hashLeaf(x, nil)
	}
	n := t.node(x)
	if n != nil {
		p := *n.parent
		p.unmerged = subtractLeaves(p.unmerged, below)
		n = &node{parent: &p}
	}
	return t.hashParent(n, t.hashWithout(x.left(), below), t.hashWithout(x.right(), below))
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
