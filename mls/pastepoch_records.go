package mls

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// diffPast adds to d what leads from one list of kept epochs to another.
func diffPast(before, now []*pastEpoch, d *delta) {
	old := map[uint64]*pastEpoch{}
	for _, p := range before {
		old[p.ctx.epoch] = p
	}
	for _, p := range now {
		old[p.ctx.epoch].diff(p, d)
		delete(old, p.ctx.epoch)
	}
	for _, epoch := range slices.Sorted(maps.Keys(old)) {
		old[epoch].diff(nil, d)
	}
}

// diff adds to d what leads from p to now, which are of one epoch; either may be nil.
func (p *pastEpoch) diff(now *pastEpoch, d *delta) {
	if p == now {
		return
	}
	one := now
	if now == nil {
		one = p
	}
	var none pastEpoch
	var before, after []byte
	if p != nil {
		before = encode(p, writePastEpoch)
	} else {
		p = &none
	}
	if now != nil {
		after = encode(now, writePastEpoch)
	} else {
		now = &none
	}
	d.past = []uint32{uint32(one.ctx.epoch >> 32), uint32(one.ctx.epoch)}
	d.set(d.key(recordEpoch), before, after)
	for _, l := range slices.Sorted(maps.Keys(one.leaves)) {
		was, wasThere := p.leaves[l]
		is, isThere := now.leaves[l]
		d.set(d.key(recordNode, uint32(l.node())), encodePastLeaf(was, wasThere), encodePastLeaf(is, isThere))
	}
	p.keys.diff(now.keys, d)
	d.past = nil
}

func writePastEpoch(w *wire.Writer, p *pastEpoch) {
	writeGroupContext(w, p.ctx)
	w.Bytes(p.senderData)
	w.Bytes(p.resumption)
	w.Uint32(p.keys.leaves)
	w.Uint64(uint64(p.ended))
}

func readPastEpoch(r *wire.Reader) *pastEpoch {
	return &pastEpoch{
		ctx: readGroupContext(r), senderData: r.Bytes(), resumption: r.Bytes(),
		keys: &secretTree{leaves: r.Uint32()}, ended: int64(r.Uint64()), leaves: map[LeafIndex]*leafNode{},
	}
}

// encodePastLeaf is nothing where no leaf is noted.
func encodePastLeaf(leaf *leafNode, there bool) []byte {
	if !there {
		return nil
	}
	return encode(leaf, func(w *wire.Writer, leaf *leafNode) {
		w.Bool(leaf != nil)
		if leaf != nil {
			writeLeafNode(w, leaf)
		}
	})
}

// past loads the epochs that are kept, after the current one.
func (l *loader) past(g *Group) error {
	byEpoch := map[uint64]*pastEpoch{}
	for _, rec := range l.kinds[recordPast] { // in the order of the epochs
		r := wire.NewReader(rec.Value)
		p := readPastEpoch(r)
		if err := r.Finish(); err != nil {
			return err
		}
		p.keys.suite = g.at.suite
		if err := p.check(rec.epoch(), g.at); err != nil {
			return err
		}
		g.past = append(g.past, p)
		byEpoch[rec.epoch()] = p
	}
	for i, p := range g.past {
		if p.ctx.epoch != g.at.ctx.epoch-uint64(len(g.past)-i) {
			return fmt.Errorf("%w: past epochs with holes", ErrCorrupt)
		}
	}
	for _, kind := range []string{recordPastLeaf, recordPastSecret, recordPastMessages, recordPastSkipped} {
		for _, rec := range l.kinds[kind] {
			p := byEpoch[rec.epoch()]
			if p == nil {
				return fmt.Errorf("%w: part of an epoch that is not kept", ErrCorrupt)
			}
			if err := p.load(kind, rec.numbers()[2:], rec.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// epoch is the epoch in the key of a past epoch's record.
func (r *Record) epoch() uint64 { return uint64(r.numbers()[0])<<32 | uint64(r.numbers()[1]) }

// check verifies that a loaded epoch is one of the group's past.
func (p *pastEpoch) check(epoch uint64, at *EpochView) error {
	leaves := p.keys.leaves
	if p.ctx.epoch != epoch || p.ctx.suite != at.suite.id || !bytes.Equal(p.ctx.groupID, at.ctx.groupID) ||
		leaves == 0 || leaves > maxLeaves || powerOfTwo(leaves) != leaves ||
		len(p.senderData) != at.suite.nh || len(p.resumption) != at.suite.nh {
		return fmt.Errorf("%w: a past epoch of another group", ErrCorrupt)
	}
	return nil
}

// load puts a record of the epoch into p, which is being loaded.
func (p *pastEpoch) load(kind string, at []uint32, value []byte) error {
	x := nodeIndex(at[0])
	switch kind {
	case recordPastSecret:
		return p.keys.loadSecret(x, value)
	case recordPastMessages:
		return p.keys.loadHead(LeafIndex(at[0]), contentApplication, value)
	case recordPastSkipped:
		return p.keys.loadSkipped(LeafIndex(at[0]), contentApplication, at[1], value)
	}
	if uint64(x) >= uint64(treeWidth(maxLeaves)) || !x.isLeaf() {
		return fmt.Errorf("%w: leaf of a past epoch at node %d", ErrCorrupt, x)
	}
	r := wire.NewReader(value)
	p.leaves[x.leaf()] = nil
	if r.Bool() {
		p.leaves[x.leaf()] = readLeafNode(r)
	}
	return r.Finish()
}
