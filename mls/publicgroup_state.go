package mls

import (
	"bytes"

	"github.com/sealpost/sealpost/internal/wire"
)

// MarshalBinary encodes the whole group, tree and waiting proposals. It holds no secrets, but
// names every member.
func (g *PublicGroup) MarshalBinary() ([]byte, error) {
	return sealState(statePublicGroup, func(w *wire.Writer) {
		writeGroupContext(w, g.at.ctx)
		w.Bytes(g.at.confirmationTag)
		w.Bool(g.at.reInit != nil)
		if g.at.reInit != nil {
			writeReInit(w, *g.at.reInit)
		}
		w.Nested(func(w *wire.Writer) { writeRatchetTree(w, g.at.tree) })
		wire.WriteVector(w, g.queue, func(w *wire.Writer, q *queuedProposal) { writeAuthenticatedContent(w, q.content) })
		for _, b := range g.dropped {
			writeSignedBlock(w, b)
		}
	})
}

// UnmarshalPublicGroup is the inverse of [PublicGroup.MarshalBinary]; app takes the place of
// what the group had. What does not decode, or whose parts do not belong together, is
// [ErrCorrupt]; that they are true is the word of whoever stored them.
func UnmarshalPublicGroup(b []byte, app Application) (*PublicGroup, error) {
	g := &PublicGroup{app: app}
	err := openState(statePublicGroup, b, func(r *wire.Reader) error {
		at := &PublicView{ctx: readGroupContext(r), confirmationTag: r.Bytes()}
		if r.Bool() {
			at.reInit = new(readReInit(r))
		}
		tree := r.Bytes()
		waiting := wire.Vector(r, readAuthenticatedContent)
		for _, d := range readSignedBlock(r).digests {
			g.dropped = g.dropped.with(d)
		}
		if err := r.Finish(); err != nil {
			return err
		}
		var err error
		if at.suite, err = at.ctx.suite.lookup(); err != nil {
			return err
		}
		if at.tree, err = at.suite.parseRatchetTree(tree); err != nil {
			return err
		}
		if !bytes.Equal(at.tree.rootHash(), at.ctx.treeHash) {
			return ErrTreeMismatch
		}
		if err := at.tree.checkUnmerged(); err != nil {
			return err
		}
		at.confirm(at.confirmationTag)
		g.at = at
		for _, a := range waiting {
			if err := at.checkQueued(a.content); err != nil {
				return err
			}
			g.queue = append(g.queue, &queuedProposal{ref: a.proposalRef(at.suite), content: a, said: a.said(at.ctx)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}
