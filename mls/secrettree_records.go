package mls

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// diff adds to d what leads from one secret tree to another; either may be nil.
func (t *secretTree) diff(now *secretTree, d *delta) {
	leaves := uint32(1)
	for _, tree := range []*secretTree{t, now} {
		if tree != nil {
			leaves = max(leaves, tree.leaves)
		}
	}
	d.setSecrets(t.below(leaves), now.below(leaves), treeRoot(leaves))
	d.setExports(t.exported(), now.exported())
}

func (t *secretTree) exported() exporterTree {
	if t == nil {
		return nil
	}
	return t.exports
}

// below is the root of a tree of that many leaves whose leftmost part is t: every node keeps
// its place.
func (t *secretTree) below(leaves uint32) *secretNode {
	if t == nil {
		return nil
	}
	root := t.root
	for n := t.leaves; n < leaves; n *= 2 {
		root = &secretNode{left: root}
	}
	return root
}

// setSecrets is set for everything at and below x.
func (d *delta) setSecrets(before, now *secretNode, x nodeIndex) {
	if before == now {
		return
	}
	var none secretNode
	if before == nil {
		before = &none
	}
	if now == nil {
		now = &none
	}
	d.set(d.key(recordSecret, uint32(x)), before.secret, now.secret)
	if !x.isLeaf() {
		d.setSecrets(before.left, now.left, x.left())
		d.setSecrets(before.right, now.right, x.right())
	} else if before.ratchets != now.ratchets {
		var none leafRatchets
		old, fresh := before.ratchets, now.ratchets
		if old == nil {
			old = &none
		}
		if fresh == nil {
			fresh = &none
		}
		d.setRatchet(recordHandshake, recordHandshakes, x.leaf(), &old.handshake, &fresh.handshake)
		d.setRatchet(recordMessages, recordSkipped, x.leaf(), &old.application, &fresh.application)
	}
}

// setRatchet is set for the head of a ratchet, of kind head, and its skipped keys. A ratchet
// without a secret is none.
func (d *delta) setRatchet(head, skipped string, l LeafIndex, before, now *ratchet) {
	encoded := func(r *ratchet) []byte {
		if r.secret == nil {
			return nil
		}
		return encode(r, writeRatchetHead)
	}
	d.set(d.key(head, uint32(l)), encoded(before), encoded(now))
	old, fresh := before.skipped, now.skipped // both ascend
	for len(old) > 0 || len(fresh) > 0 {
		switch {
		case len(fresh) == 0 || len(old) > 0 && old[0].generation < fresh[0].generation:
			d.set(d.key(skipped, uint32(l), old[0].generation), encode(old[0], writeMessageKey), nil)
			old = old[1:]
		case len(old) == 0 || fresh[0].generation < old[0].generation:
			d.set(d.key(skipped, uint32(l), fresh[0].generation), nil, encode(fresh[0], writeMessageKey))
			fresh = fresh[1:]
		default:
			if !old[0].is(fresh[0]) { // of another epoch
				d.set(d.key(skipped, uint32(l), old[0].generation),
					encode(old[0], writeMessageKey), encode(fresh[0], writeMessageKey))
			}
			old, fresh = old[1:], fresh[1:]
		}
	}
}

func writeRatchetHead(w *wire.Writer, r *ratchet) {
	w.Raw(r.secret)
	w.Uint32(r.next)
}

// is reports whether k is o itself or a copy, which shares the bytes.
func (k messageKey) is(o messageKey) bool { return &k.key[0] == &o.key[0] }

// writeMessageKey leaves out the generation, which the record's key holds.
func writeMessageKey(w *wire.Writer, k messageKey) {
	w.Raw(k.key)
	w.Raw(k.nonce)
}

// place makes the node at a place, with those above it, and returns it. Nothing stands above a
// secret or below one.
func (t *secretTree) place(at nodeIndex) (*secretNode, error) {
	if uint64(at) >= uint64(treeWidth(t.leaves)) {
		return nil, fmt.Errorf("%w: node %d is outside the secret tree", ErrCorrupt, at)
	}
	if t.root == nil {
		t.root = new(secretNode)
	}
	n := t.root
	for x := treeRoot(t.leaves); x != at; x = x.childToward(at) {
		if n.secret != nil {
			return nil, fmt.Errorf("%w: a secret that was used up is kept", ErrCorrupt)
		}
		next := n.child(x, at)
		if *next == nil {
			*next = new(secretNode)
		}
		n = *next
	}
	return n, nil
}

// loadSecret puts a record of kind recordSecret into t, which is being loaded.
func (t *secretTree) loadSecret(at nodeIndex, value []byte) error {
	n, err := t.place(at)
	if err != nil {
		return err
	}
	if len(value) != t.suite.nh || n.left != nil || n.right != nil || n.ratchets != nil {
		return fmt.Errorf("%w: secret of node %d", ErrCorrupt, at)
	}
	n.secret = value
	return nil
}

// loadRatchet finds the place in t, which is being loaded, for a ratchet of a leaf.
func (t *secretTree) loadRatchet(l LeafIndex, contentType uint8) (*ratchet, error) {
	if uint32(l) >= t.leaves {
		return nil, fmt.Errorf("%w: leaf %d is outside the secret tree", ErrCorrupt, l)
	}
	n, err := t.place(l.node())
	if err != nil {
		return nil, err
	}
	if n.secret != nil {
		return nil, fmt.Errorf("%w: the secret of leaf %d is kept", ErrCorrupt, l)
	}
	if n.ratchets == nil {
		n.ratchets = new(leafRatchets)
	}
	return n.ratchets.of(contentType), nil
}

func (t *secretTree) loadHead(l LeafIndex, contentType uint8, value []byte) error {
	to, err := t.loadRatchet(l, contentType)
	if err != nil {
		return err
	}
	r := wire.NewReader(value)
	to.secret, to.next = r.Raw(t.suite.nh), r.Uint32()
	return r.Finish()
}

// loadSkipped is called behind loadHead, in the order of the generations.
func (t *secretTree) loadSkipped(l LeafIndex, contentType uint8, generation uint32, value []byte) error {
	to, err := t.loadRatchet(l, contentType)
	if err != nil {
		return err
	}
	if to.secret == nil || generation >= to.next {
		return fmt.Errorf("%w: a skipped key without its ratchet", ErrCorrupt)
	}
	r := wire.NewReader(value)
	to.skipped = append(to.skipped, messageKey{generation: generation, key: r.Raw(t.suite.nk), nonce: r.Raw(t.suite.nn)})
	return r.Finish()
}
