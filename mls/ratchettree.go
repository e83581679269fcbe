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

// blankPath blanks everything above a leaf.
func (t *ratchetTree) blankPath(l LeafIndex) {
	for _, x := range l.node().directPath(t.leaves()) {
		t.set(x, nil)
	}
}

// place is the leaf for a new member: the leftmost blank one. A full tree grows for it.
func (t *ratchetTree) place() (LeafIndex, error) {
	l := t.firstBlank()
	if uint32(l) == t.leaves() {
		if t.leaves() >= maxLeaves {
			return 0, fmt.Errorf("%w: a tree of %d leaves", ErrLimit, maxLeaves)
		}
		t.resize(treeWidth(2 * t.leaves()))
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
		if n := t.node(x); n != nil {
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
	t.resize(treeWidth(powerOfTwo(uint32(max(1, t.end)))))
}

// resolution is the resolution of a node (section 4.1.1), without the leaves in except.
func (t *ratchetTree) resolution(x nodeIndex, except map[LeafIndex]bool) []nodeIndex {
	return t.appendResolution(nil, x, except)
}

func (t *ratchetTree) appendResolution(out []nodeIndex, x nodeIndex, except map[LeafIndex]bool) []nodeIndex {
	n := t.node(x)
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

// occupied reports whether the resolution of x is not empty. Nothing stands above leaves that
// are all blank: verifyParentHashes refuses it, and blankPath leaves none.
func (t *ratchetTree) occupied(x nodeIndex) bool {
	switch {
	case t.node(x) != nil:
		return true
	case x.isLeaf() || x.firstLeaf() >= t.end:
		return false
	}
	return t.occupied(x.left()) || t.occupied(x.right())
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
	w.Nested(func(w *wire.Writer) {
		for x := range t.listed() {
			writeOptionalNode(w, t.node(x))
		}
	})
}

// listed is how many nodes there are up to the last one that is not blank.
func (t *ratchetTree) listed() nodeIndex {
	end := t.width()
	for end > 0 && t.node(end-1) == nil {
		end--
	}
	return end
}

// readRatchetTree checks no more than treeOf.
func (s *suite) readRatchetTree(r *wire.Reader) *ratchetTree {
	return s.readTreeOf(r, readOptionalNode)
}

// readGivenTree reads the tree of a group that one is not in yet, whose members a stranger may
// have made up.
func (s *suite) readGivenTree(r *wire.Reader) *ratchetTree {
	held := 0
	return s.readTreeOf(r, func(r *wire.Reader) *node {
		n := readOptionalNode(r)
		if n != nil && n.leaf != nil {
			held += n.leaf.held()
			r.Fail(checkHeld(held))
		}
		return n
	})
}

func (s *suite) readTreeOf(r *wire.Reader, node func(*wire.Reader) *node) *ratchetTree {
	listed := vectorUpTo(r, int(treeWidth(maxLeaves)), node)
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
	return newTree(s, nodeIndex(treeWidth(powerOfTwo(uint32(len(listed)+2)/2))), listed), nil
}
