package mls

import (
	"bytes"
	"fmt"
	"time"
)

// PublicGroup follows a group from outside, by its handshake alone: for a delivery service
// that checks commits before it passes them on, hands out the tree, or proposes as an external
// sender. It holds no secret, can read no application message, and follows only as long as
// the members' handshake is public. What makes a commit count for members makes it count here,
// with three exceptions: nobody without the group's secrets can verify a membership tag or a
// confirmation tag, and whoever begins with a GroupInfo of a group that a ReInit has ended cannot
// see that (members make none). Whoever needs to know that members accept a message asks a member.
//
// It is not safe for concurrent use.
type PublicGroup struct {
	at    *PublicView // immutable, shared with clones
	app   Application
	queue proposalQueue

	dropped signedLog // proposals of this epoch that DropProposals has dropped
}

// NewPublicGroup begins to follow a group in the epoch of a GroupInfo, which it verifies with
// its tree as [Join] does, but for lifetimes. The tree may be nil if the GroupInfo holds it.
// That the epoch's confirmation tag is the true one is the GroupInfo's signer's word, and that
// the epoch is the newest nobody's. Errors: [ErrTreeMismatch], [ErrInvalid], [ErrMalformed],
// [ErrUnsupported].
//
// A group whose handshake is private is followed by making a new PublicGroup of each epoch's
// GroupInfo.
func NewPublicGroup(groupInfo, tree []byte, app Application) (*PublicGroup, error) {
	at, _, err := openGroupInfo(groupInfo, tree, &app, time.Time{})
	if err != nil {
		return nil, err
	}
	return &PublicGroup{at: at, app: app}, nil
}

// View is the current epoch. It stays as it is when the group moves on.
func (g *PublicGroup) View() *PublicView { return g.at }

// Clone is a copy that shares nothing that changes.
func (g *PublicGroup) Clone() *PublicGroup {
	c := *g // queues are never written to
	return &c
}

// PublicCommit is a commit that a [PublicGroup] checked and that is not merged yet. It never
// changes.
type PublicCommit struct {
	commitSummary
	next *PublicView
}

func (*PublicCommit) received() {}

// Next is the epoch that the commit begins.
func (c *PublicCommit) Next() *PublicView { return c.next }

// Process takes an MLSMessage with a PublicMessage of the current epoch. A proposal is queued
// and comes back as *[QueuedProposal]; a commit changes nothing and comes back as
// *[PublicCommit], for [PublicGroup.Merge]. After an error nothing has changed. For a commit
// of the current epoch every error matches [ErrInvalidCommit]. A PrivateMessage is
// [ErrDecrypt]: if it is a commit that counts, g stays behind.
func (g *PublicGroup) Process(msg []byte) (Received, error) {
	msg = bytes.Clone(msg) // what is kept of it aliases it
	m, err := parse(msg, readMessage)
	if err != nil {
		return nil, err
	}
	if m.private != nil {
		if err := g.at.checkAddress(m.private.groupID, m.private.epoch); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: PrivateMessage", ErrDecrypt)
	}
	if m.public == nil {
		return nil, fmt.Errorf("%w: wire format %d is no message to a group", ErrMalformed, m.wireFormat)
	}
	if err := g.at.checkAddress(m.public.content.groupID, m.public.content.epoch); err != nil {
		return nil, err
	}
	received, err := g.processPublic(m.public, msg)
	if err != nil {
		return nil, classify(err, m.public.content.contentType)
	}
	return received, nil
}

func (g *PublicGroup) processPublic(m *publicMessage, msg []byte) (Received, error) {
	if err := g.at.checkOpen(); err != nil {
		return nil, err
	}
	a, err := m.openOpenly(g.at)
	if err != nil {
		return nil, err
	}
	if a.content.contentType == contentCommit {
		pl, err := g.at.planCommit(a, g.queue, &g.app)
		if err != nil {
			return nil, err
		}
		next := pl.nextView(a)
		next.confirm(a.auth.confirmationTag)
		return &PublicCommit{commitSummary: pl.summary(a, msg), next: next}, nil
	}
	q, err := g.at.receiveProposal(a, &g.app)
	if err != nil {
		return nil, err
	}
	if g.queue, err = g.queue.with(q, g.dropped); err != nil {
		return nil, err
	}
	return g.at.describe(q, false), nil
}

// Merge moves the group into the epoch that the commit begins; proposals that waited are gone.
// A commit for another epoch is [ErrStale], and changes nothing.
func (g *PublicGroup) Merge(c *PublicCommit) error {
	if !c.base.same(g.at) {
		return ErrStale
	}
	g.at, g.queue, g.dropped = c.next, nil, nil
	return nil
}

// Propose makes a proposal from outside the group (RFC 9420 section 12.1.8), a PublicMessage.
// The key says who proposes: one of the group's external senders, or, in an Add, whoever is to
// be added ([KeyPackageConfig.SignatureKey]). Neither can propose an Update or SelfRemove. The
// proposal counts once the members have it, and waits here only after [PublicGroup.Process].
func (g *PublicGroup) Propose(key SignaturePrivateKey, p ProposalParams) ([]byte, error) {
	if err := g.at.checkOpen(); err != nil {
		return nil, err
	}
	if err := p.checkOne(); err != nil {
		return nil, err
	}
	if len(p.AAD) > maxContent {
		return nil, fmt.Errorf("%w: aad of more than %d bytes", ErrLimit, maxContent)
	}
	from, err := g.at.outsider(key.Public(), &p)
	if err != nil {
		return nil, err
	}
	c := &framedContent{
		groupID: g.at.ctx.groupID, epoch: g.at.ctx.epoch, sender: from, contentType: contentProposal,
	}
	if c.authenticatedData, err = g.at.ctx.frameAAD(bytes.Clone(p.AAD)); err != nil {
		return nil, err
	}
	if c.proposal, err = g.at.propose(&p, &g.app); err != nil {
		return nil, err
	}
	a := &authenticatedContent{wireFormat: wireFormatPublic, content: c}
	if err := a.sign(g.at.suite, key, g.at.ctx); err != nil {
		return nil, err
	}
	if _, err := g.at.receiveProposal(a, &g.app); err != nil {
		return nil, err
	}
	m := &publicMessage{content: c, auth: a.auth}
	return encode(&message{wireFormat: wireFormatPublic, public: m}, writeMessage), nil
}

// outsider is who proposes with a key.
func (e *PublicView) outsider(key SignaturePublicKey, p *ProposalParams) (sender, error) {
	if p.Update || p.SelfRemove {
		return sender{}, broken("proposal.sender", "somebody outside has no leaf to change")
	}
	senders, err := listExternalSenders(e.ctx.extensions)
	if err != nil {
		return sender{}, err
	}
	for i, s := range senders {
		if bytes.Equal(s.SignatureKey, key) {
			return sender{kind: senderExternal, index: uint32(i)}, nil
		}
	}
	if p.Add != nil && bytes.Equal(p.Add.leaf.signatureKey, key) {
		return sender{kind: senderNewMemberProposal}, nil
	}
	return sender{}, broken("framing.sender", "neither an external sender nor who is added")
}
