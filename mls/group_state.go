package mls

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// MarshalBinary encodes what changes only when a commit is merged: tree, group context,
// private keys and epoch secrets, for encrypted storage. Together with
// [Group.MarshalRatchets] of the same state it is the whole group. A former member has
// nothing worth keeping: [ErrRemoved].
func (g *Group) MarshalBinary() ([]byte, error) {
	if g.removed {
		return nil, ErrRemoved
	}
	return sealState(stateCore, func(w *wire.Writer) { writeEpochView(w, g.at) })
}

// MarshalRatchets encodes what changes with every message: the living part of the secret
// tree, the proposals that wait, and digests of what this member has signed. Its size grows
// with the leaves that have spoken in the epoch, the messages skipped, and by 8 bytes for
// each own message of the epoch (to 32 KiB), not with the group.
func (g *Group) MarshalRatchets() ([]byte, error) {
	if g.removed {
		return nil, ErrRemoved
	}
	return sealState(stateRatchets, func(w *wire.Writer) {
		w.Bytes(g.at.confirmationTag) // names the core that these belong to
		writeSecretTree(w, g.keys)
		wire.WriteVector(w, g.queue, writeQueuedProposal)
		wire.WriteVector(w, g.sent, writeQueuedProposal)
		wire.WriteVector(w, g.commits, func(w *wire.Writer, d [sha256.Size]byte) { w.Raw(d[:]) })
		wire.WriteVector(w, g.signed, func(w *wire.Writer, d signedDigest) { w.Raw(d[:]) })
	})
}

// UnmarshalGroup is the inverse of [Group.MarshalBinary] and [Group.MarshalRatchets]; app
// takes the place of what the group had. What does not decode, or halves of different epochs, is [ErrCorrupt]. That the halves are the newest the caller ever stored,
// this function cannot know: older ratchets would use keys twice.
func UnmarshalGroup(core, ratchets []byte, app Application) (*Group, error) {
	g := &Group{app: app}
	err := openState(stateCore, core, func(r *wire.Reader) error {
		var err error
		if g.at, err = readEpochView(r); err != nil {
			return err
		}
		return r.Finish()
	})
	if err != nil {
		return nil, err
	}
	err = openState(stateRatchets, ratchets, g.readRatchets)
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (g *Group) readRatchets(r *wire.Reader) error {
	tag := r.Bytes()
	keys, err := g.at.suite.readSecretTree(r)
	if err != nil {
		return err
	}
	if !bytes.Equal(tag, g.at.confirmationTag) || keys.leaves != g.at.tree.leaves() {
		return fmt.Errorf("%w: ratchets of another epoch", ErrCorrupt)
	}
	g.keys = keys
	g.queue = wire.Vector(r, g.at.readQueuedProposal)
	g.sent = wire.Vector(r, g.at.readQueuedProposal)
	g.commits = wire.Vector(r, func(r *wire.Reader) (d [sha256.Size]byte) {
		r.Copy(d[:])
		return d
	})
	g.signed = wire.Vector(r, func(r *wire.Reader) (d signedDigest) {
		r.Copy(d[:])
		return d
	})
	return r.Finish()
}

func writeQueuedProposal(w *wire.Writer, q *queuedProposal) {
	writeAuthenticatedContent(w, q.content)
	w.Raw(q.digest[:])
	w.Bool(q.leafKey != nil)
	if q.leafKey == nil {
		return
	}
	key, err := q.leafKey.key.Bytes()
	if err != nil {
		w.Fail(err)
	}
	w.Bytes(key)
	w.Bytes(q.signatureKey.key())
}

func (e *EpochView) readQueuedProposal(r *wire.Reader) *queuedProposal {
	q := &queuedProposal{content: readAuthenticatedContent(r)}
	r.Copy(q.digest[:])
	if r.Bool() {
		leafKey, signatureKey := r.Bytes(), r.Bytes()
		var err error
		if q.leafKey, err = e.suite.parseHPKE(leafKey); err != nil {
			r.Fail(err)
		}
		if q.signatureKey, err = e.suite.id.ParseSignatureKey(signatureKey); err != nil {
			r.Fail(err)
		}
	}
	if r.Err() == nil && q.content.content.proposal == nil {
		r.Fail(fmt.Errorf("%w: a queued message is no proposal", ErrCorrupt))
	}
	if r.Err() == nil {
		q.ref, q.said = q.content.proposalRef(e.suite), q.content.said(e.ctx)
	}
	return q
}
