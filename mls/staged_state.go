package mls

import (
	"bytes"
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

func writeMember(w *wire.Writer, m Member) {
	w.Uint32(uint32(m.Leaf))
	writeCredential(w, m.Credential)
	w.Bytes(m.SignatureKey)
	w.Bytes(m.EncryptionKey)
	writeExtensions(w, m.Extensions)
	w.Bool(m.Lifetime != nil)
	if m.Lifetime != nil {
		w.Uint64(uint64(m.Lifetime.NotBefore.Unix()))
		w.Uint64(uint64(m.Lifetime.NotAfter.Unix()))
	}
}

func readMember(r *wire.Reader) Member {
	m := Member{
		Leaf: LeafIndex(r.Uint32()), Credential: readCredential(r), SignatureKey: r.Bytes(),
		EncryptionKey: r.Bytes(), Extensions: readExtensions(r),
	}
	if r.Bool() {
		l := lifetime{notBefore: r.Uint64(), notAfter: r.Uint64()}
		m.Lifetime = new(l.public())
		if uint64(m.Lifetime.NotBefore.Unix()) != l.notBefore || uint64(m.Lifetime.NotAfter.Unix()) != l.notAfter {
			r.Fail(ErrCorrupt) // writeMember writes no time that a Lifetime cannot hold
		}
	}
	return m
}

func writeWelcomeEntry(w *wire.Writer, m Welcome) {
	w.Uint32(uint32(m.Leaf))
	w.Bytes(m.KeyPackageRef)
	w.Bytes(m.Message)
}

func readWelcomeEntry(r *wire.Reader) Welcome {
	return Welcome{Leaf: LeafIndex(r.Uint32()), KeyPackageRef: r.Bytes(), Message: r.Bytes()}
}

// MarshalBinary encodes the commit for encrypted storage, so that a committer survives a crash
// between sending and learning the outcome. It holds what the commit changes, and neither the
// tree nor the group; [Group.LoadCommit] is the inverse. The caller deletes it when it stores the
// group after [Group.Merge], as the next epoch's secret is in it.
func (c *StagedCommit) MarshalBinary() ([]byte, error) {
	return sealState(stateStaged, func(w *wire.Writer) {
		w.Bytes(c.base.ctx.groupID)
		w.Uint64(c.base.ctx.epoch)
		w.Bytes(c.base.confirmationTag)
		w.Uint32(uint32(c.sender))
		w.Bytes(c.message)
		w.Bytes(c.aad)
		wire.WriteVector(w, c.welcomes, writeWelcomeEntry)
		for _, ms := range [][]Member{c.adds, c.removes, c.updates} {
			wire.WriteVector(w, ms, writeMember)
		}
		w.Bool(c.newExtensions)
		writeExtensions(w, c.extensions)
		wire.WriteVector(w, c.ephemeral, writeComponentData)
		wire.WriteVector(w, c.custom, writeCustomProposal)
		w.Bool(c.next != nil)
		if c.next != nil {
			writeEpochRecord(w, c.next)
			w.Nested(func(w *wire.Writer) { writePrivateTree(w, c.next.held) })
			w.Bytes(c.keys.root.secret) // nothing was taken from either tree yet
			w.Bytes(c.keys.exports[treeRoot(exporterLeaves)])
			w.Uint32(c.next.tree.leaves())
			w.Nested(func(w *wire.Writer) {
				for x, n := range changedNodes(c.base.tree, c.next.tree) {
					writeChangedNode(w, changedNode{x, n})
				}
			})
		}
	})
}

// LoadCommit is the inverse of [StagedCommit.MarshalBinary] for the group that made or received
// the commit, loaded or not since. A commit for another epoch than g's is [ErrStale]; what does
// not decode is [ErrCorrupt].
func (g *Group) LoadCommit(b []byte) (*StagedCommit, error) {
	if g.removed {
		return nil, ErrRemoved
	}
	c, base := new(StagedCommit), g.at.PublicView
	stale := false
	err := openState(stateStaged, b, func(r *wire.Reader) error {
		groupID, epoch, tag := r.Bytes(), r.Uint64(), r.Bytes()
		if r.Err() == nil && (!bytes.Equal(groupID, base.ctx.groupID) || epoch != base.ctx.epoch ||
			!bytes.Equal(tag, base.confirmationTag)) {
			stale = true
			return nil
		}
		c.base, c.sender, c.message, c.aad = base, LeafIndex(r.Uint32()), r.Bytes(), r.Bytes()
		c.welcomes = wire.Vector(r, readWelcomeEntry)
		for _, ms := range []*[]Member{&c.adds, &c.removes, &c.updates} {
			*ms = wire.Vector(r, readMember)
		}
		c.newExtensions, c.extensions = r.Bool(), readExtensions(r)
		c.ephemeral, c.custom = wire.Vector(r, readComponentData), wire.Vector(r, readCustomProposal)
		if r.Bool() {
			if err := c.readNext(r); err != nil {
				return err
			}
		}
		return r.Finish()
	})
	switch {
	case err != nil:
		return nil, err
	case stale:
		return nil, ErrStale
	}
	return c, nil
}

// readNext reads the epoch that the commit begins.
func (c *StagedCommit) readNext(r *wire.Reader) (err error) {
	if c.next, err = readEpochRecord(r); err != nil {
		return err
	}
	s := c.base.suite
	if c.next.suite != s {
		return fmt.Errorf("%w: a commit to another suite", ErrCorrupt)
	}
	held, err := s.parsePrivateTree(r.Bytes())
	if err != nil {
		return err
	}
	encryption, applicationExport, leaves := secret(r.Bytes()), secret(r.Bytes()), r.Uint32()
	changes := wire.Vector(r, readChangedNode)
	if err := r.Err(); err != nil {
		return err
	}
	if leaves == 0 || leaves > maxLeaves || powerOfTwo(leaves) != leaves || len(encryption) != s.nh || len(applicationExport) != s.nh {
		return fmt.Errorf("%w: a commit to a tree of %d leaves", ErrCorrupt, leaves)
	}
	tree, err := c.base.tree.changed(leaves, changes)
	if err != nil {
		return err
	}
	c.keys = newSecretTree(s, leaves, encryption)
	c.keys.exports = newExporterTree(applicationExport)
	return c.next.complete(tree, held)
}

func writeCustomProposal(w *wire.Writer, c CustomProposal) {
	w.Uint16(uint16(c.Type))
	w.Bytes(c.Data)
}

func readCustomProposal(r *wire.Reader) CustomProposal {
	return CustomProposal{Type: ProposalType(r.Uint16()), Data: r.Bytes()}
}
