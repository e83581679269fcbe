package mls

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

// Welcome is an invitation for one added member: its secrets alone and, unless the commit
// asked for it, no tree, so that its size does not depend on the group's.
type Welcome struct {
	Leaf          LeafIndex // where the new member will be
	KeyPackageRef []byte    // of the package it was added with
	Message       []byte    // MLSMessage, for [Join]
}

// StagedCommit is a commit that was checked and followed, and not merged yet. It never
// changes; it cannot be printed.
type StagedCommit struct {
	// The state that it follows.
	groupID []byte
	epoch   uint64
	baseTag []byte // confirmation tag

	sender        LeafIndex
	message       []byte
	aad           []byte
	welcomes      []Welcome
	adds          []Member
	removes       []Member
	updates       []Member
	extensions    []Extension
	newExtensions bool
	ephemeral     []ComponentData
	custom        []CustomProposal

	next *EpochView  // nil if the commit removes this member
	keys *secretTree // never written to: Merge takes a copy
}

// Format prints "redacted" for every verb.
func (*StagedCommit) Format(f fmt.State, _ rune) { printRedacted(f) }

// LogValue returns "redacted".
func (*StagedCommit) LogValue() slog.Value { return slog.StringValue(redacted) }

func (*StagedCommit) received() {}

// Message is the commit itself, an MLSMessage.
func (c *StagedCommit) Message() []byte { return bytes.Clone(c.message) }

// AAD is the commit's authenticated data.
func (c *StagedCommit) AAD() []byte { return bytes.Clone(c.aad) }

// Sender is the committer's leaf.
func (c *StagedCommit) Sender() LeafIndex { return c.sender }

// Welcomes holds one invitation for each member added, in the order of the Adds, and only in
// a commit that this member made. An invitation is good once the commit counts.
func (c *StagedCommit) Welcomes() []Welcome { return slices.Clone(c.welcomes) }

// Adds are the members that the commit adds, as they will be.
func (c *StagedCommit) Adds() []Member { return slices.Clone(c.adds) }

// Removes are the members that the commit removes, as they are.
func (c *StagedCommit) Removes() []Member { return slices.Clone(c.removes) }

// Updates are the members whose leaf the commit replaces, as they will be: by an Update
// proposal, or as the committer of a path.
func (c *StagedCommit) Updates() []Member { return slices.Clone(c.updates) }

// Extensions is the new list of group context extensions; false if the commit leaves it.
func (c *StagedCommit) Extensions() ([]Extension, bool) {
	return cloneExtensions(c.extensions), c.newExtensions
}

// Ephemeral is what the commit's AppEphemeral proposals say to components, in their order.
func (c *StagedCommit) Ephemeral() []ComponentData { return slices.Clone(c.ephemeral) }

// Custom lists the commit's proposals of the application's own types, in their order.
func (c *StagedCommit) Custom() []CustomProposal { return slices.Clone(c.custom) }

// SelfRemoved reports whether the commit removes this member.
func (c *StagedCommit) SelfRemoved() bool { return c.next == nil }

// Next is the epoch that the commit begins; nil if it removes this member.
func (c *StagedCommit) Next() *EpochView { return c.next }

// newStaged describes a plan's outcome; the secrets of the next epoch are set by the caller.
func (p *plan) newStaged(a *authenticatedContent, msg []byte) *StagedCommit {
	c := &StagedCommit{
		groupID: p.base.ctx.groupID, epoch: p.base.ctx.epoch, baseTag: p.base.confirmationTag,
		sender: p.committer, message: msg, aad: a.content.authenticatedData,
		removes: p.removes, extensions: p.extensions, newExtensions: p.newExtension,
		ephemeral: p.ephemerals, custom: p.custom,
	}
	c.adds, c.updates = p.newMembers(a.content.commit.path != nil)
	return c
}

// Merge moves the group into the epoch that the commit begins. The message keys, proposals
// and secrets of the old epoch are gone; the caller stores the new state at once, since going
// back would use keys twice. A commit made for another state is [ErrStale], and changes
// nothing.
func (g *Group) Merge(c *StagedCommit) error {
	if g.removed {
		return ErrRemoved
	}
	if !bytes.Equal(c.groupID, g.at.ctx.groupID) || c.epoch != g.at.ctx.epoch ||
		!bytes.Equal(c.baseTag, g.at.confirmationTag) {
		return ErrStale
	}
	g.queue, g.sent, g.commits, g.signed = nil, nil, nil, nil
	if c.next == nil {
		last := *g.at
		last.held, last.signatureKey, last.secrets = nil, SignaturePrivateKey{}, new(epochSecrets)
		g.at, g.keys, g.removed = &last, newSecretTree(last.suite, 1, nil), true
		return nil
	}
	g.at, g.keys = c.next, c.keys.clone()
	return nil
}

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

// MarshalBinary encodes the commit with the whole state it leads to, for encrypted storage,
// so that a committer survives a crash between sending and learning the outcome.
func (c *StagedCommit) MarshalBinary() ([]byte, error) {
	return sealState(stateStaged, func(w *wire.Writer) {
		w.Bytes(c.groupID)
		w.Uint64(c.epoch)
		w.Bytes(c.baseTag)
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
			writeEpochView(w, c.next)
			writeSecretTree(w, c.keys)
		}
	})
}

// UnmarshalStagedCommit is the inverse of [StagedCommit.MarshalBinary]. What does not decode
// is [ErrCorrupt].
func UnmarshalStagedCommit(b []byte) (*StagedCommit, error) {
	c := new(StagedCommit)
	err := openState(stateStaged, b, func(r *wire.Reader) error {
		c.groupID, c.epoch, c.baseTag = r.Bytes(), r.Uint64(), r.Bytes()
		c.sender, c.message, c.aad = LeafIndex(r.Uint32()), r.Bytes(), r.Bytes()
		c.welcomes = wire.Vector(r, readWelcomeEntry)
		for _, ms := range []*[]Member{&c.adds, &c.removes, &c.updates} {
			*ms = wire.Vector(r, readMember)
		}
		c.newExtensions, c.extensions = r.Bool(), readExtensions(r)
		c.ephemeral, c.custom = wire.Vector(r, readComponentData), wire.Vector(r, readCustomProposal)
		if r.Bool() {
			var err error
			if c.next, err = readEpochView(r); err != nil {
				return err
			}
			if c.keys, err = c.next.suite.readSecretTree(r); err != nil {
				return err
			}
		}
		return r.Finish()
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func writeCustomProposal(w *wire.Writer, c CustomProposal) {
	w.Uint16(uint16(c.Type))
	w.Bytes(c.Data)
}

func readCustomProposal(r *wire.Reader) CustomProposal {
	return CustomProposal{Type: ProposalType(r.Uint16()), Data: r.Bytes()}
}
