package mls

import (
	"bytes"
	"slices"
	"time"
)

// pastEpoch is what is kept of an epoch that is over, so that messages which come late can
// still be read: keys of others' application messages, and the resumption secret. It is never
// written to, so that copies of a group can share it.
type pastEpoch struct {
	ctx        *groupContext
	senderData secret
	resumption secret
	keys       *secretTree
	leaves     map[LeafIndex]*leafNode // as they were, where the next epoch has others; nil: blank
	ended      int64                   // seconds since 1970 of the first Forget after its end, 0 before
}

// keepEpoch puts the epoch that a commit ends, and next follows, among those that are kept. The
// own ratchets of the epoch are gone with it, as are the handshake's of the committer and of all
// who were heard before: nothing that is sent in it can count any more (RFC 9420 section 9.2).
// Those of members that nobody heard follow from the secret above their leaves, which gives
// their application ratchets as well. Opening every leaf would cost each commit time and
// records for the size of the group.
func (g *Group) keepEpoch(committer LeafIndex, next *ratchetTree) {
	if g.app.KeepEpochs <= 0 {
		g.past = nil
		return
	}
	p := &pastEpoch{
		ctx: g.at.ctx, senderData: g.at.secrets.senderData, resumption: g.at.secrets.resumption,
		keys: g.keys.clone(), leaves: map[LeafIndex]*leafNode{},
	}
	p.keys.exports = nil
	p.keys.retire(g.at.own, committer)
	for l := range LeafIndex(max(g.at.tree.leaves(), next.leaves())) {
		if leaf := g.at.tree.leaf(l); leaf != next.leaf(l) {
			p.leaves[l] = leaf
		}
	}
	g.past = append(slices.Clip(g.past), p)
	g.trimPast()
}

func (g *Group) trimPast() {
	g.past = slices.Clip(g.past[max(0, len(g.past)-max(0, g.app.KeepEpochs)):])
}

// retire drops what nobody needs once the epoch is over: a member's own ratchets, and those of
// the handshake. That the committer has one shows by the commit alone, whose key is not taken.
func (t *secretTree) retire(own, committer LeafIndex) {
	if uint32(committer) < t.leaves { // outside is who joins by its own commit
		if _, opened := t.ratchets(committer); !opened {
			st := &step{leaf: committer}
			if err := t.open(st); err == nil { // it fails for what is gone already
				t.take(st)
			}
		}
	}
	st := &step{leaf: own}
	if _, opened := t.ratchets(own); !opened {
		_ = t.open(st) // the same
	}
	st.ratchets = leafRatchets{}
	t.take(st)
	t.root = t.root.messagesOnly()
}

// messagesOnly is n without the handshake ratchets at and below it.
func (n *secretNode) messagesOnly() *secretNode {
	if n == nil || n.secret != nil {
		return n
	}
	out := &secretNode{left: n.left.messagesOnly(), right: n.right.messagesOnly()}
	if n.ratchets != nil && n.ratchets.application.secret != nil {
		out.ratchets = &leafRatchets{application: n.ratchets.application}
	}
	if out.left == nil && out.right == nil && out.ratchets == nil {
		return nil
	}
	return out
}

// kept finds a past epoch; below zero if it is not kept.
func (g *Group) kept(groupID []byte, epoch uint64) int {
	if !bytes.Equal(groupID, g.at.ctx.groupID) {
		return -1
	}
	return slices.IndexFunc(g.past, func(p *pastEpoch) bool { return p.ctx.epoch == epoch })
}

// pastLeaf is a leaf of the past epoch at i, nil if it was blank.
func (g *Group) pastLeaf(i int, l LeafIndex) *leafNode {
	for _, p := range g.past[i:] {
		if leaf, ok := p.leaves[l]; ok {
			return leaf
		}
	}
	return g.at.tree.leaf(l)
}

// credentials are those of the members in the current or a kept epoch.
func (g *Group) credentials(epoch uint64) (out []Credential) {
	if i := g.kept(g.at.ctx.groupID, epoch); i >= 0 {
		for l := range LeafIndex(g.past[i].keys.leaves) {
			if leaf := g.pastLeaf(i, l); leaf != nil {
				out = append(out, leaf.credential)
			}
		}
		return out
	}
	for _, leaf := range g.at.tree.members {
		out = append(out, leaf.credential)
	}
	return out
}

// processPast reads an application message of the past epoch at i.
func (g *Group) processPast(i int, m *privateMessage) (Received, error) {
	p := g.past[i]
	a, st, err := m.openIn(&epochKeys{
		view: &PublicView{suite: g.at.suite, ctx: p.ctx}, senderData: p.senderData, keys: p.keys,
		leaf: func(l LeafIndex) *leafNode { return g.pastLeaf(i, l) },
	})
	if err != nil {
		return nil, err
	}
	st.ratchets.handshake = ratchet{}
	changed := *p
	changed.keys = p.keys.clone()
	changed.keys.take(st)
	g.past = slices.Clone(g.past)
	g.past[i] = &changed
	return a.message(st), nil
}

// Forget drops the past epochs that [Application.KeepEpochs] has kept for maxAge or longer, in
// whole seconds. An epoch's age counts from the first Forget after it ended, so an application
// that bounds it calls Forget now and then, with its own clock; with a maxAge of zero all of
// them are gone at once. The caller stores the group afterwards.
func (g *Group) Forget(now time.Time, maxAge time.Duration) {
	at, limit := now.Unix(), int64(maxAge/time.Second)
	if maxAge%time.Second > 0 {
		limit++
	}
	var left []*pastEpoch
	for _, p := range g.past {
		if p.ended == 0 || at < p.ended { // a clock that was ahead keeps nothing for longer
			changed := *p
			changed.ended = at
			p = &changed
		}
		if at-p.ended < limit {
			left = append(left, p)
		}
	}
	g.past = left
	g.trimPast()
}
