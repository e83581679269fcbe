package mls

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// changedNode is what stands at a place now; nil is a blank node.
type changedNode struct {
	at   nodeIndex
	node *node
}

func writeChangedNode(w *wire.Writer, c changedNode) {
	w.Uint32(uint32(c.at))
	writeOptionalNode(w, c.node)
}

func readChangedNode(r *wire.Reader) changedNode {
	return changedNode{at: nodeIndex(r.Uint32()), node: readOptionalNode(r)}
}

// changedNodes yields the places where now holds another node than before, with the node now,
// nil for a blank one or one outside the tree. Either tree may be nil. Of a copy it looks only
// at what that copy does not share.
func changedNodes(before, now *ratchetTree) func(func(nodeIndex, *node) bool) {
	if before == nil {
		before = new(ratchetTree)
	}
	if now == nil {
		now = new(ratchetTree)
	}
	at := func(t *ratchetTree, x nodeIndex) *node {
		if x < t.width() {
			return t.node(x)
		}
		return nil
	}
	return func(yield func(nodeIndex, *node) bool) {
		for i := range before.cells.unlike(&now.cells) {
			x := nodeIndex(i)
			if n := at(now, x); n != at(before, x) && !yield(x, n) {
				return
			}
		}
	}
}

// changed is a copy of t with that many leaves and what has changed in it. What lies outside is
// gone with the part of the tree that held it.
func (t *ratchetTree) changed(leaves uint32, changes []changedNode) (*ratchetTree, error) {
	width := treeWidth(leaves)
	out := t.clone()
	out.resize(width)
	for _, c := range changes {
		switch inside := uint64(c.at) < uint64(width); {
		case !inside && c.node != nil, c.node != nil && (c.node.leaf != nil) != c.at.isLeaf():
			return nil, fmt.Errorf("%w: node %d of a commit's tree", ErrCorrupt, c.at)
		case inside:
			out.set(c.at, c.node)
		}
	}
	return out, nil
}
