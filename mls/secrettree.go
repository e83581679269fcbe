package mls

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
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
// derived are gone from it, as is every used key (section 9.2).
type secretTree struct {
	suite    *suite
	leaves   uint32
	nodes    map[nodeIndex]secret
	ratchets map[LeafIndex]leafRatchets
	exports  exporterTree // the epoch's other secrets that can be had once
}

func newSecretTree(s *suite, leaves uint32, encryptionSecret secret) *secretTree {
	return &secretTree{
		suite: s, leaves: leaves,
		nodes:    map[nodeIndex]secret{treeRoot(leaves): encryptionSecret},
		ratchets: map[LeafIndex]leafRatchets{},
	}
}

func (t *secretTree) clone() *secretTree {
	c := *t
	c.nodes, c.ratchets = maps.Clone(t.nodes), maps.Clone(t.ratchets)
	return &c
}

// A step is a key that was looked up. The tree is as before until take: a message that
// turns out to be forged must not cost the key of the true one.
type step struct {
	key messageKey

	leaf     LeafIndex
	ratchets leafRatchets         // of the leaf, as they will be
	consumed nodeIndex            // node to drop, if derived is not nil
	derived  map[nodeIndex]secret // nodes to add when the leaf is opened for the first time
}

// take makes the step final: the key cannot be had again.
func (t *secretTree) take(st *step) {
	if st.derived != nil {
		delete(t.nodes, st.consumed)
		maps.Copy(t.nodes, st.derived)
	}
	t.ratchets[st.leaf] = st.ratchets
}

// seek finds the key of a leaf's generation. What lies beyond the window is refused before
// anything is derived.
func (t *secretTree) seek(leaf LeafIndex, contentType uint8, generation uint32) (*step, error) {
	if uint32(leaf) >= t.leaves {
		return nil, fmt.Errorf("%w: leaf %d is outside the tree", ErrDecrypt, leaf)
	}
	known, opened := t.ratchets[leaf]
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
	known := t.ratchets[leaf]
	next := known.of(contentType).next
	if next == math.MaxUint32 {
		return nil, fmt.Errorf("%w: generations of the epoch are used up", ErrLimit)
	}
	return t.seek(leaf, contentType, next)
}

// open derives a leaf's ratchets from the nearest secret above it.
func (t *secretTree) open(st *step) error {
	s, leaf, root := t.suite, st.leaf.node(), treeRoot(t.leaves)
	x := leaf
	for t.nodes[x] == nil {
		if x == root {
			return fmt.Errorf("%w: ratchet of leaf %d", ErrConsumed, st.leaf)
		}
		x = x.parent()
	}
	current, aside := s.descend(t.nodes[x], x, leaf)
	st.consumed, st.derived = x, aside
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
	skipped := slices.Clone(r.skipped)
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

func writeRatchet(w *wire.Writer, r ratchet) {
	w.Bytes(r.secret)
	w.Uint32(r.next)
	wire.WriteVector(w, r.skipped, func(w *wire.Writer, k messageKey) {
		w.Uint32(k.generation)
		w.Raw(k.key)
		w.Raw(k.nonce)
	})
}

func (s *suite) readRatchet(r *wire.Reader) ratchet {
	out := ratchet{secret: r.Bytes(), next: r.Uint32()}
	out.skipped = wire.Vector(r, func(r *wire.Reader) messageKey {
		return messageKey{generation: r.Uint32(), key: r.Raw(s.nk), nonce: r.Raw(s.nn)}
	})
	return out
}

func writeSecretTree(w *wire.Writer, t *secretTree) {
	w.Uint32(t.leaves)
	wire.WriteVector(w, slices.Sorted(maps.Keys(t.nodes)), func(w *wire.Writer, x nodeIndex) {
		w.Uint32(uint32(x))
		w.Bytes(t.nodes[x])
	})
	wire.WriteVector(w, slices.Sorted(maps.Keys(t.ratchets)), func(w *wire.Writer, l LeafIndex) {
		w.Uint32(uint32(l))
		writeRatchet(w, t.ratchets[l].handshake)
		writeRatchet(w, t.ratchets[l].application)
	})
	writeExporterTree(w, t.exports)
}

// readSecretTree decodes a secret tree; its places lie within the tree.
func (s *suite) readSecretTree(r *wire.Reader) (*secretTree, error) {
	t := &secretTree{
		suite: s, leaves: r.Uint32(),
		nodes: map[nodeIndex]secret{}, ratchets: map[LeafIndex]leafRatchets{},
	}
	wire.Vector(r, func(r *wire.Reader) struct{} {
		x := nodeIndex(r.Uint32())
		t.nodes[x] = r.Bytes()
		return struct{}{}
	})
	wire.Vector(r, func(r *wire.Reader) struct{} {
		l := LeafIndex(r.Uint32())
		t.ratchets[l] = leafRatchets{handshake: s.readRatchet(r), application: s.readRatchet(r)}
		return struct{}{}
	})
	t.exports = readExporterTree(r)
	if err := r.Err(); err != nil {
		return nil, err
	}
	if t.leaves == 0 || t.leaves > maxLeaves || powerOfTwo(t.leaves) != t.leaves {
		return nil, fmt.Errorf("%w: secret tree of %d leaves", ErrCorrupt, t.leaves)
	}
	return t, nil
}
