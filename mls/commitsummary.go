package mls

import (
	"bytes"
	"slices"
)

// commitSummary is what a checked commit does, as everybody sees it.
type commitSummary struct {
	base *PublicView // the epoch that it ends

	sender        LeafIndex
	message       []byte
	aad           []byte
	adds          []Member
	removes       []Member
	updates       []Member
	extensions    []Extension
	newExtensions bool
	ephemeral     []ComponentData
	custom        []CustomProposal
}

func (p *plan) summary(a *authenticatedContent, msg []byte) commitSummary {
	c := commitSummary{
		base: p.base, sender: p.committer, message: msg, aad: a.content.authenticatedData,
		removes: p.removes, extensions: p.extensions, newExtensions: p.newExtension,
		ephemeral: p.ephemerals, custom: p.custom,
	}
	c.adds, c.updates = p.newMembers(a.content.commit.path != nil)
	return c
}

// Message is the commit itself, an MLSMessage.
func (c *commitSummary) Message() []byte { return bytes.Clone(c.message) }

// AAD is the commit's authenticated data.
func (c *commitSummary) AAD() []byte { return bytes.Clone(c.aad) }

// Sender is the committer's leaf; in an external commit the one that it gets.
func (c *commitSummary) Sender() LeafIndex { return c.sender }

// External reports whether the committer joins by this commit; it is among the Adds then.
func (c *commitSummary) External() bool {
	return slices.ContainsFunc(c.adds, func(m Member) bool { return m.Leaf == c.sender })
}

// Adds are the members that the commit adds, as they will be.
func (c *commitSummary) Adds() []Member { return cloneEach(c.adds, Member.clone) }

// Removes are the members that the commit removes, as they are.
func (c *commitSummary) Removes() []Member { return cloneEach(c.removes, Member.clone) }

// Updates are the members whose leaf the commit replaces, as they will be: by an Update
// proposal, or as the committer of a path.
func (c *commitSummary) Updates() []Member { return cloneEach(c.updates, Member.clone) }

// Extensions is the new list of group context extensions; false if the commit leaves it.
func (c *commitSummary) Extensions() ([]Extension, bool) {
	return cloneExtensions(c.extensions), c.newExtensions
}

// Ephemeral is what the commit's AppEphemeral proposals say to components, in their order.
func (c *commitSummary) Ephemeral() []ComponentData {
	return cloneEach(c.ephemeral, ComponentData.clone)
}

// Custom lists the commit's proposals of the application's own types, in their order.
func (c *commitSummary) Custom() []CustomProposal {
	return cloneEach(c.custom, func(p CustomProposal) CustomProposal {
		return CustomProposal{Type: p.Type, Data: bytes.Clone(p.Data)}
	})
}

// cloneEach is a copy of a list that shares nothing with it. The list is nil if it was.
func cloneEach[T any](list []T, clone func(T) T) []T {
	out := slices.Clone(list)
	for i := range out {
		out[i] = clone(out[i])
	}
	return out
}
