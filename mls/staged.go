package mls

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
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
	base *PublicView // the epoch that it ends

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

// Sender is the committer's leaf; in an external commit the one that it gets.
func (c *StagedCommit) Sender() LeafIndex { return c.sender }

// External reports whether the committer joins by this commit; it is among the Adds then.
func (c *StagedCommit) External() bool {
	return slices.ContainsFunc(c.adds, func(m Member) bool { return m.Leaf == c.sender })
}

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
		base: p.base, sender: p.committer, message: msg, aad: a.content.authenticatedData,
		removes: p.removes, extensions: p.extensions, newExtensions: p.newExtension,
		ephemeral: p.ephemerals, custom: p.custom,
	}
	c.adds, c.updates = p.newMembers(a.content.commit.path != nil)
	return c
}

// Merge moves the group into the epoch that the commit begins. The message keys, proposals
// and secrets of the old epoch are gone, but for what [Application.KeepEpochs] keeps; the caller stores what [Group.Save] lists at once, since
// going back would use keys twice. A commit made for another state is [ErrStale], and changes
// nothing.
func (g *Group) Merge(c *StagedCommit) error {
	if g.removed {
		return ErrRemoved
	}
	if !c.base.same(g.at.PublicView) {
		return ErrStale
	}
	g.queue, g.sent, g.commits, g.signed = nil, nil, nil, nil
	if c.next == nil {
		last := *g.at
		last.held, last.signatureKey, last.secrets = nil, SignaturePrivateKey{}, new(epochSecrets)
		g.at, g.keys, g.past, g.removed = &last, newSecretTree(last.suite, 1, nil), nil, true
		return nil
	}
	g.keepEpoch(c.next.tree)
	g.at, g.keys = c.next, c.keys.clone()
	return nil
}
