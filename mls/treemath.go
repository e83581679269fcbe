package mls

import "math/bits"

// LeafIndex is a member's place in the ratchet tree. It names that member within one epoch
// only: a later epoch may give the place to another.
type LeafIndex uint32

// nodeIndex is a node's place in the array of RFC 9420 appendix C: leaves at even places.
type nodeIndex uint32

func (l LeafIndex) node() nodeIndex { return nodeIndex(l) * 2 }

func (x nodeIndex) isLeaf() bool    { return x&1 == 0 }
func (x nodeIndex) leaf() LeafIndex { return LeafIndex(x / 2) }

// level is 0 for leaves, and one more than the children's for all others.
func (x nodeIndex) level() uint { return uint(bits.TrailingZeros32(^uint32(x))) }

// treeWidth is the number of nodes of a tree with n leaves, n a power of two.
func treeWidth(leaves uint32) uint32 { return 2*leaves - 1 }

// treeRoot is the root of a tree with n leaves, n a power of two.
func treeRoot(leaves uint32) nodeIndex { return nodeIndex(leaves - 1) }

// left and right are the children of a node that is no leaf.
func (x nodeIndex) left() nodeIndex  { return x ^ (1 << (x.level() - 1)) }
func (x nodeIndex) right() nodeIndex { return x ^ (3 << (x.level() - 1)) }

// parent is the node above one that is not the root.
func (x nodeIndex) parent() nodeIndex {
	k := x.level()
	return (x | 1<<k) &^ (1 << (k + 1))
}

// sibling is the parent's other child.
func (x nodeIndex) sibling() nodeIndex {
	if p := x.parent(); x < p {
		return p.right()
	} else {
		return p.left()
	}
}

// contains reports whether y is x or below it.
func (x nodeIndex) contains(y nodeIndex) bool {
	k := x.level() + 1
	return uint64(x)>>k == uint64(y)>>k && y.level() <= x.level()
}

// firstLeaf is the leftmost leaf of x or below it.
func (x nodeIndex) firstLeaf() LeafIndex { return (x - (1<<x.level() - 1)).leaf() }

// directPath lists the nodes above x, up to the root of a tree with that many leaves.
func (x nodeIndex) directPath(leaves uint32) []nodeIndex {
	root := treeRoot(leaves)
	var path []nodeIndex
	for x != root {
		x = x.parent()
		path = append(path, x)
	}
	return path
}

// childToward is the child of x that contains y, which is below x.
func (x nodeIndex) childToward(y nodeIndex) nodeIndex {
	if y < x {
		return x.left()
	}
	return x.right()
}

// commonAncestor is the lowest node above or equal to both.
func commonAncestor(x, y nodeIndex) nodeIndex {
	for !x.contains(y) {
		x = x.parent()
	}
	return x
}

// powerOfTwo is the smallest power of two that is at least n; 1 for 0.
func powerOfTwo(n uint32) uint32 {
	if n <= 1 {
		return 1
	}
	return 1 << bits.Len32(n-1)
}
