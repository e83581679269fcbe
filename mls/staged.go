package mls

import (
	"bytes"
	"fmt"
	"log/slog"
)

// Welcome is an invitation for one added member: its secrets alone and, unless the commit
// asked for it, no tree, so that its size does not depend on the group's.
type Welcome struct {
	Leaf          LeafIndex // where the new member will be
	KeyPackageRef []byte    // of the package it was added with
	Message       []byte    // MLSMessage, for [Join]
}

// StagedCommit is a commit that was checked and followed, and not merged yet. It never
// changes; it cannot be printed. It holds the secret from which every message key of the epoch
// that it begins can be derived: the caller drops it with [Group.Merge], or once another commit
// was merged, and deletes its stored form in the transaction that stores the group.
type StagedCommit struct {
	commitSummary
	welcomes []Welcome

	next *EpochView  // nil if the commit removes this member
	keys *secretTree // never written to: Merge takes a copy
}

// Format prints "redacted" for every verb.
func (*StagedCommit) Format(f fmt.State, _ rune) { printRedacted(f) }

// LogValue returns "redacted".
func (*StagedCommit) LogValue() slog.Value { return slog.StringValue(redacted) }

func (*StagedCommit) received() {}

// Welcomes holds one invitation for each member added, in the order of the Adds, and only in
// a commit that this member made. An invitation is good once the commit counts.
func (c *StagedCommit) Welcomes() []Welcome {
	return cloneEach(c.welcomes, func(w Welcome) Welcome {
		return Welcome{Leaf: w.Leaf, KeyPackageRef: bytes.Clone(w.KeyPackageRef), Message: bytes.Clone(w.Message)}
	})
}

// SelfRemoved reports whether the commit removes this member.
func (c *StagedCommit) SelfRemoved() bool { return c.next == nil }

// Next is the epoch that the commit begins; nil if it removes this member.
func (c *StagedCommit) Next() *EpochView { return c.next }

// newStaged describes a plan's outcome; the secrets of the next epoch are set by the caller.
func (p *plan) newStaged(a *authenticatedContent, msg []byte) *StagedCommit {
	return &StagedCommit{commitSummary: p.summary(a, msg)}
}

// Merge moves the group into the epoch that the commit begins. The message keys, proposals
// and secrets of the old epoch are gone, but for what [Application.KeepEpochs] keeps; the caller
// stores what [Group.Save] lists at once, since going back would use keys twice, and drops c and
// its stored form: message keys that are used up could be derived from them again. A commit made
// for another state is [ErrStale], and changes nothing; a former member is [ErrRemoved].
func (g *Group) Merge(c *StagedCommit) error {
	if g.removed {
		return ErrRemoved
	}
	if !c.base.same(g.at.PublicView) {
		return ErrStale
	}
	g.queue, g.dropped, g.sent, g.commits, g.signed = nil, nil, nil, nil, nil
	g.spoken, g.ahead = 0, ratchet{}
	if c.next == nil {
		last := *g.at
		last.held, last.signatureKey, last.secrets = nil, SignaturePrivateKey{}, new(epochSecrets)
		g.at, g.keys, g.past, g.removed = &last, newSecretTree(last.suite, 1, nil), nil, true
		return nil
	}
	g.keepEpoch(c.sender, c.next.tree)
	g.at, g.keys = c.next, c.keys.clone()
	return nil
}
