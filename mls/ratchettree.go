package mls

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// parentNode is ParentNode (RFC 9420 section 7.1). It is immutable once it stands in a tree.
type parentNode struct {
	encryptionKey []byte
	parentHash    []byte
	unmerged      []LeafIndex // ascending
}

// node is Node (section 12.4.3.3): one of the two is set. A nil node is blank.
type node struct {
	leaf   *leafNode
	parent *parentNode
}

func (n *node) encryptionKey() []byte {
	if n.leaf != nil {
		return n.leaf.encryptionKey
	}
	return n.parent.encryptionKey
}

func writeLeafIndex(w *wire.Writer, l LeafIndex) { w.Uint32(uint32(l)) }

func readLeafIndex(r *wire.Reader) LeafIndex { return LeafIndex(r.Uint32()) }

func writeParentNode(w *wire.Writer, p *parentNode) {
	w.Bytes(p.encryptionKey)
	w.Bytes(p.parentHash)
	wire.WriteVector(w, p.unmerged, writeLeafIndex)
}

func readParentNode(r *wire.Reader) *parentNode {
	return &parentNode{encryptionKey: r.Bytes(), parentHash: r.Bytes(), unmerged: wire.Vector(r, readLeafIndex)}
}

func writeOptionalNode(w *wire.Writer, n *node) {
	w.Bool(n != nil)
	switch {
	case n == nil:
	case n.leaf != nil:
		w.Uint8(nodeTypeLeaf)
		writeLeafNode(w, n.leaf)
	default:
		w.Uint8(nodeTypeParent)
		writeParentNode(w, n.parent)
	}
}

func readOptionalNode(r *wire.Reader) *node {
	if !r.Bool() {
		return nil
	}
	switch kind := r.Uint8(); kind {
	case nodeTypeLeaf:
		return &node{leaf: readLeafNode(r)}
	case nodeTypeParent:
		return &node{parent: readParentNode(r)}
	default:
		r.Fail(fmt.Errorf("node type %d", kind))
		return nil
	}
}

// ratchetTree is the public ratchet tree (section 4 and 7) in array form, always full: its
// leaves are a power of two. Nodes are immutable and shared between copies; a change puts a
// new node in place and forgets the cached hashes above it.
type ratchetTree struct {
	suite  *suite
	nodes  []*node
	hashes [][]byte // cached tree hashes, nil where unknown; filled by hash
}

func newRatchetTree(s *suite, first *leafNode) *ratchetTree {
	return &ratchetTree{suite: s, nodes: []*node{{leaf: first}}, hashes: make([][]byte, 1)}
}

func (t *ratchetTree) clone() *ratchetTree {
	return &ratchetTree{suite: t.suite, nodes: slices.Clone(t.nodes), hashes: slices.Clone(t.hashes)}
}

func (t *ratchetTree) leaves() uint32 { return uint32(len(t.nodes)+1) / 2 }

func (t *ratchetTree) root() nodeIndex { return treeRoot(t.leaves()) }

// leaf is the member at l, nil when the leaf is blank or outside the tree.
func (t *ratchetTree) leaf(l LeafIndex) *leafNode {
	if uint32(l) >= t.leaves() || t.nodes[l.node()] == nil {
		return nil
	}
	return t.nodes[l.node()].leaf
}

// members yields the non-blank leaves in ascending order.
func (t *ratchetTree) members(yield func(LeafIndex, *leafNode) bool) {
	for l := range LeafIndex(t.leaves()) {
		if n := t.nodes[l.node()]; n != nil && !yield(l, n.leaf) {
			return
		}
	}
}

// set replaces a node and forgets the hashes that depend on it.
func (t *ratchetTree) set(x nodeIndex, n *node) {
	t.nodes[x] = n
	t.hashes[x] = nil
	for root := t.root(); x != root; {
		x = x.parent()
		t.hashes[x] = nil
	}
}

// blankPath blanks everything above a leaf.
func (t *ratchetTree) blankPath(l LeafIndex) {
	for _, x := range l.node().directPath(t.leaves()) {
		t.set(x, nil)
	}
}

// firstBlank is the leftmost blank leaf, or the number of leaves if there is none.
func (t *ratchetTree) firstBlank() LeafIndex {
	for l := range LeafIndex(t.leaves()) {
		if t.nodes[l.node()] == nil {
			return l
		}
	}
	return LeafIndex(t.leaves())
}

// place is the leaf for a new member: the leftmost blank one. A full tree grows for it.
func (t *ratchetTree) place() (LeafIndex, error) {
	l := t.firstBlank()
	if uint32(l) == t.leaves() {
		if t.leaves() >= maxLeaves {
			return 0, fmt.Errorf("%w: a tree of %d leaves", ErrLimit, maxLeaves)
		}
		grown := int(treeWidth(2 * t.leaves()))
		t.nodes = append(t.nodes, make([]*node, grown-len(t.nodes))...)
		t.hashes = append(t.hashes, make([][]byte, grown-len(t.hashes))...)
	}
	return l, nil
}

// add applies an Add (section 12.1.1) and returns the new member's leaf.
func (t *ratchetTree) add(leaf *leafNode) (LeafIndex, error) {
	l, err := t.place()
	if err != nil {
		return 0, err
	}
	for _, x := range l.node().directPath(t.leaves()) {
		if n := t.nodes[x]; n != nil {
			p := *n.parent
			at, _ := slices.BinarySearch(p.unmerged, l)
			p.unmerged = slices.Concat(p.unmerged[:at], []LeafIndex{l}, p.unmerged[at:])
			t.set(x, &node{parent: &p})
		}
	}
	t.set(l.node(), &node{leaf: leaf})
	return l, nil
}

// update applies an Update (section 12.1.2).
func (t *ratchetTree) update(l LeafIndex, leaf *leafNode) {
	t.set(l.node(), &node{leaf: leaf})
	t.blankPath(l)
}

// remove applies a Remove (section 12.1.3), without truncating.
func (t *ratchetTree) remove(l LeafIndex) {
	t.set(l.node(), nil)
	t.blankPath(l)
}

// truncate drops right halves that hold no member (section 7.7).
func (t *ratchetTree) truncate() {
	last := LeafIndex(0)
	for l := range t.members {
		last = l
	}
	width := treeWidth(powerOfTwo(uint32(last) + 1))
	t.nodes, t.hashes = t.nodes[:width:width], t.hashes[:width:width]
}

// resolution is the resolution of a node (section 4.1.1), without the leaves in except.
func (t *ratchetTree) resolution(x nodeIndex, except map[LeafIndex]bool) []nodeIndex {
	return t.appendResolution(nil, x, except)
}

func (t *ratchetTree) appendResolution(out []nodeIndex, x nodeIndex, except map[LeafIndex]bool) []nodeIndex {
	n := t.nodes[x]
	switch {
	case n == nil && x.isLeaf():
	case n == nil:
		out = t.appendResolution(out, x.left(), except)
		out = t.appendResolution(out, x.right(), except)
	case x.isLeaf():
		if !except[x.leaf()] {
			out = append(out, x)
		}
	default:
		out = append(out, x)
		for _, l := range n.parent.unmerged {
			if !except[l] {
				out = append(out, l.node())
			}
		}
	}
	return out
}

// occupied reports whether the resolution of x is not empty.
func (t *ratchetTree) occupied(x nodeIndex) bool {
	if t.nodes[x] != nil {
		return true
	}
	return !x.isLeaf() && (t.occupied(x.left()) || t.occupied(x.right()))
}

// pathStep is a node of a filtered direct path with its child off the path.
type pathStep struct{ node, copath nodeIndex }

// filteredPath is the filtered direct path of a leaf (section 4.1.2).
func (t *ratchetTree) filteredPath(l LeafIndex) []pathStep {
	var path []pathStep
	below := l.node()
	for _, x := range l.node().directPath(t.leaves()) {
		if copath := below.sibling(); t.occupied(copath) {
			path = append(path, pathStep{node: x, copath: copath})
		}
		below = x
	}
	return path
}

// writeRatchetTree writes the ratchet_tree extension's form (section 12.4.3.3), which ends
// with the last node that is not blank.
func writeRatchetTree(w *wire.Writer, t *ratchetTree) {
	end := len(t.nodes)
	for end > 0 && t.nodes[end-1] == nil {
		end--
	}
	wire.WriteVector(w, t.nodes[:end], writeOptionalNode)
}

// readRatchetTree checks no more than treeOf.
func (s *suite) readRatchetTree(r *wire.Reader) *ratchetTree {
	listed := wire.Vector(r, readOptionalNode)
	if r.Err() != nil {
		return nil
	}
	t, err := s.treeOf(listed)
	if err != nil {
		r.Fail(err)
	}
	return t
}

// treeOf is the tree of listed nodes. It checks the shape only: kinds of nodes at their places,
// the last one not blank, a size within bounds.
func (s *suite) treeOf(listed []*node) (*ratchetTree, error) {
	if len(listed) == 0 || listed[len(listed)-1] == nil {
		return nil, errors.New("ratchet tree ends with a blank node")
	}
	if len(listed) > int(treeWidth(maxLeaves)) {
		return nil, fmt.Errorf("%w: ratchet tree of %d nodes", ErrLimit, len(listed))
	}
	for i, n := range listed {
		if n != nil && (n.leaf != nil) != nodeIndex(i).isLeaf() {
			return nil, fmt.Errorf("ratchet tree has a node of the wrong kind at %d", i)
		}
	}
	width := int(treeWidth(powerOfTwo(uint32(len(listed)+2) / 2)))
	nodes := make([]*node, width)
	copy(nodes, listed)
	return &ratchetTree{suite: s, nodes: nodes, hashes: make([][]byte, width)}, nil
}
