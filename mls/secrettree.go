package mls

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// messageKey is a single-use key and nonce (RFC 9420 section 9.1).
type messageKey struct {
	generation uint32
	key, nonce secret
}

// ratchet is one sender ratchet. Slices in it are never written to, so copies may share them.
type ratchet struct {
	secret  secret // of generation next
	next    uint32
	skipped []messageKey // passed over and not used yet, ascending, at most maxSkipped
}

// leafRatchets are the two ratchets of a leaf.
type leafRatchets struct{ handshake, application ratchet }

func (l *leafRatchets) of(contentType uint8) *ratchet {
	if contentType == contentApplication {
		return &l.application
	}
	return &l.handshake
}

// secretTree is the secret tree (section 9) in its living parts: secrets whose children were
// derived are gone from it, as is every used key (section 9.2). Its nodes are never written
// to, so that a copy costs nothing, and what changed since shows by the pointers.
type secretTree struct {
	suite   *suite
	leaves  uint32
	root    *secretNode
	exports exporterTree // the epoch's other secrets that can be had once
}

// secretNode is a node of a secret tree: one that waits has its secret, one above a leaf that
// was opened its children, and such a leaf its ratchets. A nil node has nothing left.
type secretNode struct {
	secret      secret
	left, right *secretNode
	ratchets    *leafRatchets
}

// child is the place of n's child toward target, where n stands at x.
func (n *secretNode) child(x, target nodeIndex) **secretNode {
	if target < x {
		return &n.left
	}
	return &n.right
}

func newSecretTree(s *suite, leaves uint32, encryptionSecret secret) *secretTree {
	return &secretTree{suite: s, leaves: leaves, root: &secretNode{secret: encryptionSecret}}
}

func (t *secretTree) clone() *secretTree { return new(*t) }

// nearest is a leaf's node, or the node nearest to it of those above that were not opened.
func (t *secretTree) nearest(leaf LeafIndex) (*secretNode, nodeIndex) {
	n, x := t.root, treeRoot(t.leaves)
	for n != nil && n.secret == nil && x != leaf.node() {
		n, x = *n.child(x, leaf.node()), x.childToward(leaf.node())
	}
	return n, x
}

// ratchets are those of a leaf; false if it was not opened yet.
func (t *secretTree) ratchets(leaf LeafIndex) (leafRatchets, bool) {
	if n, _ := t.nearest(leaf); n != nil && n.ratchets != nil {
		return *n.ratchets, true
	}
	return leafRatchets{}, false
}

// A step is a key that was looked up. The tree is as before until take: a message that
// turns out to be forged must not cost the key of the true one.
type step struct {
	key messageKey

	leaf     LeafIndex
	ratchets leafRatchets         // of the leaf, as they will be
	derived  map[nodeIndex]secret // nodes to add when the leaf is opened for the first time
}

// take makes the step final: the key cannot be had again.
func (t *secretTree) take(st *step) { t.root = st.apply(t.root, treeRoot(t.leaves)) }

// apply is the node at x with the step made below it.
func (st *step) apply(n *secretNode, x nodeIndex) *secretNode {
	leaf := st.leaf.node()
	if x == leaf {
		return &secretNode{ratchets: new(st.ratchets)} // not of st, which holds the used key
	}
	down := x.childToward(leaf)
	changed := new(secretNode)
	if n != nil && n.secret == nil {
		*changed = *n
	} else { // its children were derived, or it was itself
		*changed.child(x, down.sibling()) = &secretNode{secret: st.derived[down.sibling()]}
	}
	next := changed.child(x, leaf)
	*next = st.apply(*next, down)
	return changed
}

// seek finds the key of a leaf's generation. What lies beyond the window is refused before
// anything is derived.
func (t *secretTree) seek(leaf LeafIndex, contentType uint8, generation uint32) (*step, error) {
	if uint32(leaf) >= t.leaves {
		return nil, fmt.Errorf("%w: leaf %d is outside the tree", ErrDecrypt, leaf)
	}
	known, opened := t.ratchets(leaf)
	if next := known.of(contentType).next; generation == math.MaxUint32 ||
		generation >= next && generation-next >= maxForward {
		return nil, fmt.Errorf("%w: generation %d, at %d", ErrTooFarAhead, generation, next)
	}
	st := &step{leaf: leaf, ratchets: known}
	if !opened {
		if err := t.open(st); err != nil {
			return nil, err
		}
	}
	key, err := st.ratchets.of(contentType).seek(t.suite, generation)
	st.key = key
	return st, err
}

// seekNext finds the first unused key of a leaf: the sender's side.
func (t *secretTree) seekNext(leaf LeafIndex, contentType uint8) (*step, error) {
	known, _ := t.ratchets(leaf)
	next, err := known.of(contentType).first(0)
	if err != nil {
		return nil, err
	}
	return t.seek(leaf, contentType, next)
}

// ready opens a leaf, if nobody has, and uses no key up.
func (t *secretTree) ready(leaf LeafIndex) error {
	if _, opened := t.ratchets(leaf); opened {
		return nil
	}
	st := &step{leaf: leaf}
	if err := t.open(st); err != nil {
		return err
	}
	t.take(st)
	return nil
}

// open derives a leaf's ratchets from the nearest secret above it.
func (t *secretTree) open(st *step) error {
	s, leaf := t.suite, st.leaf.node()
	n, x := t.nearest(st.leaf)
	if n == nil || n.secret == nil {
		return fmt.Errorf("%w: ratchet of leaf %d", ErrConsumed, st.leaf)
	}
	current, aside := s.descend(n.secret, x, leaf)
	st.derived = aside
	st.ratchets = leafRatchets{
		handshake:   ratchet{secret: s.expandWithLabel(current, "handshake", nil, s.nh)},
		application: ratchet{secret: s.expandWithLabel(current, "application", nil, s.nh)},
	}
	return nil
}

// descend derives the secret of a leaf from that of a node above it. The secrets of the nodes
// beside the way are what is left of that node's.
func (s *suite) descend(current secret, x, leaf nodeIndex) (secret, map[nodeIndex]secret) {
	aside := map[nodeIndex]secret{}
	for x != leaf {
		down := x.childToward(leaf)
		left := s.expandWithLabel(current, "tree", []byte("left"), s.nh)
		right := s.expandWithLabel(current, "tree", []byte("right"), s.nh)
		if down == x.left() {
			current, aside[x.right()] = left, right
		} else {
			current, aside[x.left()] = right, left
		}
		x = down
	}
	return current, aside
}

// first is the first generation, from one on, whose key is there and that others may use.
func (r *ratchet) first(from uint32) (uint32, error) {
	for _, k := range r.skipped {
		if k.generation >= from {
			return k.generation, nil
		}
	}
	if from = max(from, r.next); from == math.MaxUint32 || from-r.next >= maxForward {
		return 0, fmt.Errorf("%w: generation %d, at %d", ErrLimit, from, r.next)
	}
	return from, nil
}

// seek moves r past generation, keeping the keys it skips, and returns that generation's key
// without keeping it.
func (r *ratchet) seek(s *suite, generation uint32) (messageKey, error) {
	if generation < r.next {
		i, found := slices.BinarySearchFunc(r.skipped, generation, func(k messageKey, g uint32) int {
			return cmp.Compare(k.generation, g)
		})
		if !found {
			return messageKey{}, fmt.Errorf("%w: generation %d", ErrConsumed, generation)
		}
		key := r.skipped[i]
		r.skipped = slices.Concat(r.skipped[:i], r.skipped[i+1:])
		return key, nil
	}
	if r.secret == nil {
		return messageKey{}, fmt.Errorf("%w: ratchet that was dropped", ErrConsumed)
	}
	skipped := slices.Clip(r.skipped) // copied by the first append
	for {
		key := messageKey{
			generation: r.next,
			key:        s.deriveTreeSecret(r.secret, "key", r.next, s.nk),
			nonce:      s.deriveTreeSecret(r.secret, "nonce", r.next, s.nn),
		}
		r.secret = s.deriveTreeSecret(r.secret, "secret", r.next, s.nh)
		r.next++
		if key.generation == generation {
			r.skipped = skipped[max(0, len(skipped)-maxSkipped):]
			return key, nil
		}
		skipped = append(skipped, key)
	}
}
