package mls

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// Received is what [Group.Process] returns: *[ApplicationMessage], *[StagedCommit],
// *[QueuedProposal] or *[OwnCommit]; and [PublicGroup.Process]: *[QueuedProposal] or
// *[PublicCommit].
type Received interface{ received() }

// ApplicationMessage is what another member wrote with [Group.Encrypt]. Its signature was
// verified; its key is used up.
type ApplicationMessage struct {
	Sender LeafIndex
	Data   []byte
	AAD    []byte
	// Epoch is the one that it was sent in: the current one, or one that is kept
	// ([Application.KeepEpochs]), whose members may have left since.
	Epoch      uint64
	Generation uint32 // of the sender's ratchet: from 0 in each epoch, without a gap at the sender
}

// OwnCommit is a commit that this member made in this epoch, come back. The caller merges
// the [StagedCommit] whose message it is.
type OwnCommit struct {
	Message []byte
}

func (*ApplicationMessage) received() {}
func (*OwnCommit) received()          {}

// Process takes an MLSMessage with a PrivateMessage or PublicMessage of the current epoch.
//
// An application message or a proposal changes g (its key is used up, the proposal queued)
// and the caller stores what [Group.Save] lists with the outcome. A commit changes nothing: it comes
// back staged, for [Group.Merge]. After an error nothing has changed.
//
// For a commit of the current epoch every error matches [ErrInvalidCommit] (it counts for no
// member) or [ErrCannotFollow] (it counts, and this member is stuck), but for
// [ErrOwnMessage]: this leaf's signature on what g never signed. An own message that comes
// once more is [ErrConsumed], as is any under a generation that g has used itself: its key is
// gone, so nothing can be told about it.
//
// Of other messages: [ErrMalformed], [ErrWrongGroup], [ErrPastEpoch], [ErrFutureEpoch],
// [ErrDecrypt], [ErrConsumed], [ErrTooFarAhead], [ErrInvalid], [ErrLimit] for a proposal when 256
// wait or 16 of its sender, [ErrRemoved], [ErrReInit].
func (g *Group) Process(msg []byte) (Received, error) {
	if g.removed {
		return nil, ErrRemoved
	}
	if len(g.commits)+len(g.sent) > 0 {
		if own, err := g.recall(msg); own != nil || err != nil {
			return own, err
		}
	}
	msg = bytes.Clone(msg) // what is kept of it aliases it
	m, err := parse(msg, readMessage)
	if err != nil {
		return nil, err
	}
	switch {
	case m.private != nil:
		return g.processPrivate(m.private, msg)
	case m.public != nil:
		return g.processPublic(m.public, msg)
	}
	return nil, fmt.Errorf("%w: wire format %d is no message to a group", ErrMalformed, m.wireFormat)
}

// recall knows the own commits and proposals that come back; nil for any other message.
func (g *Group) recall(msg []byte) (Received, error) {
	digest := sha256.Sum256(msg)
	if slices.Contains(g.commits, digest) {
		return &OwnCommit{Message: bytes.Clone(msg)}, nil
	}
	for _, q := range g.sent {
		if q.digest == digest {
			return g.ownProposal(q, q.content)
		}
	}
	return nil, nil
}

// checkAddress verifies that a message belongs to this group and epoch.
func (e *PublicView) checkAddress(groupID []byte, epoch uint64) error {
	switch {
	case !bytes.Equal(groupID, e.ctx.groupID):
		return ErrWrongGroup
	case epoch < e.ctx.epoch:
		return fmt.Errorf("%w: %d, now in %d", ErrPastEpoch, epoch, e.ctx.epoch)
	case epoch > e.ctx.epoch:
		return fmt.Errorf("%w: %d, now in %d", ErrFutureEpoch, epoch, e.ctx.epoch)
	}
	return nil
}

// classify adds the public verdict to an error about a commit.
func classify(err error, contentType uint8) error {
	if err == nil || contentType != contentCommit ||
		errors.Is(err, ErrCannotFollow) || errors.Is(err, ErrOwnMessage) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrInvalidCommit, err)
}

func (g *Group) processPrivate(m *privateMessage, msg []byte) (Received, error) {
	if i := g.kept(m.groupID, m.epoch); i >= 0 && m.contentType == contentApplication {
		return g.processPast(i, m)
	}
	if err := g.at.checkAddress(m.groupID, m.epoch); err != nil {
		return nil, err
	}
	if err := g.at.checkOpen(); err != nil {
		return nil, classify(err, m.contentType)
	}
	a, st, err := g.openPrivate(m)
	if err != nil {
		return nil, classify(err, m.contentType)
	}
	switch {
	case st.leaf == g.at.own: // its key stays: it is this member's to use
		return g.processOwn(a, msg)
	case m.contentType == contentCommit:
		return g.receiveCommit(a, msg)
	case m.contentType == contentProposal:
		return g.processProposal(a, func() { g.keys.take(st) })
	}
	g.keys.take(st)
	return a.message(st), nil
}

func (a *authenticatedContent) message(st *step) *ApplicationMessage {
	return &ApplicationMessage{
		Sender: st.leaf, Data: a.content.application, AAD: a.content.authenticatedData,
		Epoch: a.content.epoch, Generation: st.key.generation,
	}
}

// openPrivate decrypts and verifies a PrivateMessage. The key is not used up yet.
func (g *Group) openPrivate(m *privateMessage) (*authenticatedContent, *step, error) {
	return m.openIn(&epochKeys{view: g.at.PublicView, senderData: g.at.secrets.senderData, keys: g.keys, leaf: g.at.tree.leaf})
}

// epochKeys is what opens the messages of an epoch; of its view, suite and context.
type epochKeys struct {
	view       *PublicView
	senderData secret
	keys       *secretTree
	leaf       func(LeafIndex) *leafNode // nil for who is no member
}

// openIn decrypts and verifies m. The key is not used up yet.
func (m *privateMessage) openIn(e *epochKeys) (*authenticatedContent, *step, error) {
	s := e.view.suite
	data, err := m.openSenderData(s, e.senderData)
	if err != nil {
		return nil, nil, err
	}
	leaf := e.leaf(data.leaf)
	if leaf == nil {
		return nil, nil, broken("framing.sender", "leaf %d is not a member", data.leaf)
	}
	// The sender data is not signed: until the signature is, leaf and generation are claims.
	st, err := e.keys.seek(data.leaf, m.contentType, data.generation)
	if err != nil {
		return nil, nil, err
	}
	a, err := m.open(s, data, st.key)
	if err != nil {
		return nil, nil, err
	}
	return a, st, e.view.authenticate(a, leaf.signatureKey)
}

// authenticate verifies a message's signature, and the frame of its authenticated data.
func (e *PublicView) authenticate(a *authenticatedContent, key SignaturePublicKey) error {
	if err := a.verifySignature(e.suite, key, e.ctx); err != nil {
		return err
	}
	return e.ctx.checkSafeAAD(a.content.authenticatedData)
}

func (g *Group) processPublic(m *publicMessage, msg []byte) (Received, error) {
	if err := g.at.checkAddress(m.content.groupID, m.content.epoch); err != nil {
		return nil, err
	}
	if err := g.at.checkOpen(); err != nil {
		return nil, classify(err, m.content.contentType)
	}
	a, err := g.openPublic(m)
	if err != nil {
		return nil, classify(err, m.content.contentType)
	}
	switch {
	case a.content.sender == fromMember(g.at.own):
		return g.processOwn(a, msg)
	case m.content.contentType == contentCommit:
		return g.receiveCommit(a, msg)
	}
	return g.processProposal(a, func() {})
}

// receiveCommit is processCommit with the public verdict in its error.
func (g *Group) receiveCommit(a *authenticatedContent, msg []byte) (Received, error) {
	c, err := g.processCommit(a, msg)
	if err != nil {
		return nil, classify(err, contentCommit)
	}
	return c, nil
}

func (g *Group) openPublic(m *publicMessage) (*authenticatedContent, error) {
	a, err := m.unprotect(g.at.suite, g.at.ctx, g.at.secrets.membershipKey)
	if err != nil {
		return nil, err
	}
	return a, g.at.authenticatePublic(a)
}

// authenticatePublic verifies a PublicMessage, but for a member's membership tag.
func (e *PublicView) authenticatePublic(a *authenticatedContent) error {
	key, err := e.senderKey(a.content)
	if err != nil {
		return err
	}
	return e.authenticate(a, key)
}

// processProposal queues a proposal that is valid by itself; used is called when it is.
func (g *Group) processProposal(a *authenticatedContent, used func()) (Received, error) {
	q, err := g.at.receiveProposal(a, &g.app)
	if err != nil {
		return nil, err
	}
	if g.queue, err = g.queue.with(q); err != nil {
		return nil, err
	}
	used()
	return g.at.describe(q, false), nil
}
