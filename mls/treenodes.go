package mls

import "maps"

// ratchetTree is the public ratchet tree (RFC 9420 section 4 and 7) in array form, always
// full: its leaves are a power of two. Nodes are immutable and shared between copies; a
// change puts a new node in place and forgets the cached hashes above it.
//
// Copies share their arrays as well, so that an epoch costs memory and time for what changed
// since the one before, not for the size of the group.
type ratchetTree struct {
	suite *suite
	cells chunked[cell]

	// What follows from the cells, kept in step by set.
	encryption  keyIndex               // of all nodes
	signature   keyIndex               // of the leaves
	credentials map[CredentialType]int // leaves with such a credential
	ownsCount   bool                   // credentials is not shared with a copy
	end         LeafIndex              // one more than the last member, 0 without one
	full        LeafIndex              // leaves up to here are not blank; more may be

	// fresh are the leaves that were set since the tree was copied, each of which may be blank
	// again by now.
	fresh []LeafIndex
}

// cell is a place of the tree. Where the hash is known, those below are as well.
type cell struct {
	node *node  // nil where blank
	hash []byte // cached tree hash, filled by ratchetTree.hash
}

func newRatchetTree(s *suite, first *leafNode) *ratchetTree {
	return newTree(s, 1, []*node{{leaf: first}})
}

// newTree is a tree of so many nodes, the first of which are listed.
func newTree(s *suite, width nodeIndex, listed []*node) *ratchetTree {
	t := &ratchetTree{suite: s, credentials: map[CredentialType]int{}, ownsCount: true}
	t.cells.resize(int(width))
	for i, n := range listed {
		t.cells.place(i).node = n
		if n != nil && n.leaf != nil {
			t.end = nodeIndex(i).leaf() + 1
			t.credentials[n.leaf.credential.Type]++
		}
	}
	t.encryption = indexKeys(t, 1, encryptionKeyAt)
	t.signature = indexKeys(t, 2, signatureKeyAt)
	return t
}

func encryptionKeyAt(t *ratchetTree, x nodeIndex) []byte { return t.node(x).encryptionKey() }

func signatureKeyAt(t *ratchetTree, x nodeIndex) []byte { return t.node(x).leaf.signatureKey }

// clone is a copy that may be changed while t stays as it is.
func (t *ratchetTree) clone() *ratchetTree {
	t.seal()
	c := *t
	c.cells, c.fresh = t.cells.clone(), nil
	c.encryption, c.signature = t.encryption.clone(), t.signature.clone()
	return &c
}

// seal makes t ready to be read, and copied, by several goroutines.
func (t *ratchetTree) seal() {
	t.cells.seal()
	t.encryption.shards.seal()
	t.signature.shards.seal()
	if t.ownsCount {
		t.ownsCount = false
	}
}

// node is what stands at x, a place of the tree; nil if that is blank.
func (t *ratchetTree) node(x nodeIndex) *node { return t.cells.at(int(x)).node }

// width is the number of places.
func (t *ratchetTree) width() nodeIndex { return nodeIndex(t.cells.n) }

func (t *ratchetTree) leaves() uint32 { return uint32(t.width()+1) / 2 }

func (t *ratchetTree) root() nodeIndex { return treeRoot(t.leaves()) }

// leaf is the member at l, nil when the leaf is blank or outside the tree.
func (t *ratchetTree) leaf(l LeafIndex) *leafNode {
	if l >= t.end {
		return nil
	}
	if n := t.node(l.node()); n != nil {
		return n.leaf
	}
	return nil
}

// members yields the non-blank leaves in ascending order.
func (t *ratchetTree) members(yield func(LeafIndex, *leafNode) bool) {
	for l := range t.end {
		if n := t.node(l.node()); n != nil && !yield(l, n.leaf) {
			return
		}
	}
}

// freshMembers yields the members whose leaf was set since the tree was copied; one whose leaf
// was set twice comes twice.
func (t *ratchetTree) freshMembers(yield func(LeafIndex, *leafNode) bool) {
	for _, l := range t.fresh {
		if leaf := t.leaf(l); leaf != nil && !yield(l, leaf) {
			return
		}
	}
}

// parents yields the inner nodes that are not blank, in the order of their places.
func (t *ratchetTree) parents(yield func(nodeIndex, *parentNode) bool) {
	for x := nodeIndex(1); x < t.width(); x += 2 {
		if n := t.node(x); n != nil && !yield(x, n.parent) {
			return
		}
	}
}

// set replaces a node and forgets the hashes that depend on it.
func (t *ratchetTree) set(x nodeIndex, n *node) {
	old := t.node(x)
	if old == nil && n == nil {
		return
	}
	if old != nil {
		t.encryption.remove(t, x, old.encryptionKey())
		if old.leaf != nil {
			t.signature.remove(t, x, old.leaf.signatureKey)
		}
	}
	if n != nil {
		t.encryption.insert(t, x, n.encryptionKey())
		if n.leaf != nil {
			t.signature.insert(t, x, n.leaf.signatureKey)
		}
	}
	t.cells.place(int(x)).node = n
	if x.isLeaf() {
		t.setLeaf(x.leaf(), old, n)
	}
	t.forget(x)
}

// setLeaf keeps in step what is known of leaves; either may be nil.
func (t *ratchetTree) setLeaf(l LeafIndex, old, now *node) {
	if old != nil {
		t.count(old.leaf.credential.Type, -1)
	}
	if now != nil {
		t.count(now.leaf.credential.Type, 1)
		t.fresh = append(t.fresh, l)
		t.end = max(t.end, l+1)
		return
	}
	t.full = min(t.full, l)
	for t.end > 0 && t.node((t.end-1).node()) == nil {
		t.end--
	}
}

func (t *ratchetTree) count(c CredentialType, by int) {
	if !t.ownsCount {
		t.credentials, t.ownsCount = maps.Clone(t.credentials), true
	}
	if t.credentials[c] += by; t.credentials[c] == 0 {
		delete(t.credentials, c)
	}
}

// forget drops the cached hashes of x and of all above it.
func (t *ratchetTree) forget(x nodeIndex) {
	for root := t.root(); t.cells.at(int(x)).hash != nil; x = x.parent() {
		t.cells.place(int(x)).hash = nil
		if x == root {
			return
		}
	}
}

// resize grows the tree by blank nodes, or cuts it. What it cuts off holds no member.
func (t *ratchetTree) resize(width uint32) {
	for x := nodeIndex(width); x < t.width(); x++ {
		if t.node(x) != nil {
			t.set(x, nil)
		}
	}
	t.cells.resize(int(width))
}

// firstBlank is the leftmost blank leaf, or the number of leaves if there is none.
func (t *ratchetTree) firstBlank() LeafIndex {
	for t.full < t.end && t.node(t.full.node()) != nil {
		t.full++
	}
	return t.full
}
