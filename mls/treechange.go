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
// nil for a blank one or one outside the tree. Either tree may be nil.
func changedNodes(before, now *ratchetTree) func(func(nodeIndex, *node) bool) {
	var old, fresh []*node
	if before != nil {
		old = before.nodes
	}
	if now != nil {
		fresh = now.nodes
	}
	return func(yield func(nodeIndex, *node) bool) {
		for x := range max(len(old), len(fresh)) {
			var a, b *node
			if x < len(old) {
				a = old[x]
			}
			if x < len(fresh) {
				b = fresh[x]
			}
			if a != b && !yield(nodeIndex(x), b) {
				return
			}
		}
	}
}

// changed is a copy of t with that many leaves and what has changed in it. What lies outside is
// gone with the part of the tree that held it.
func (t *ratchetTree) changed(leaves uint32, changes []changedNode) (*ratchetTree, error) {
	width := int(treeWidth(leaves))
	nodes := make([]*node, width)
	copy(nodes, t.nodes)
	out := &ratchetTree{suite: t.suite, nodes: nodes, hashes: make([][]byte, width)}
	copy(out.hashes, t.hashes)
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
