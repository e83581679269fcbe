package mls

import (
	"bytes"
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
//
// The signature does not cover the generation: any member can encrypt what another one said in
// this epoch once more, and it comes once more, to all members. What this member itself said
// comes back to it only so.
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
// the [StagedCommit] that it is ([OwnCommit.Is]).
type OwnCommit struct {
	// Message is what came: the bytes of [StagedCommit.Message], unless another member has
	// encrypted the commit again.
	Message []byte

	tag []byte // confirmation tag; nil if it was made by an older release
}

// Is reports whether c is that commit, as it was made or loaded.
func (o *OwnCommit) Is(c *StagedCommit) bool {
	return bytes.Equal(o.Message, c.message) ||
		o.tag != nil && c.next != nil && bytes.Equal(o.tag, c.next.confirmationTag)
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
// [ErrOwnMessage]: this leaf's signature on what g never signed.
//
// Own proposals and commits are taken as everybody else takes them, whoever encrypted them. An own
// application message is [ErrConsumed], as is any under a generation that g has used for one: its
// key is gone, so nothing can be told about it.
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
	if m.contentType != contentApplication {
		return g.receiveHandshake(a, msg, func() { g.take(st) })
	}
	if st.leaf == g.at.own && g.signedElsewhere(a) {
		return nil, ErrOwnMessage
	}
	g.take(st)
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
	return g.receiveHandshake(a, msg, func() {})
}

// receiveHandshake takes a commit or proposal; used is called when it uses a key up.
func (g *Group) receiveHandshake(a *authenticatedContent, msg []byte, used func()) (Received, error) {
	own := a.content.sender == fromMember(g.at.own)
	switch {
	case own && g.signedElsewhere(a):
		return nil, ErrOwnMessage
	case a.content.contentType == contentProposal:
		return g.processProposal(a, used)
	case own:
		return g.receiveOwnCommit(a, msg)
	}
	return g.receiveCommit(a, msg)
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
	g.reclaim(q)
	received, err := g.enqueue(q)
	if err != nil {
		return nil, err
	}
	used()
	return received, nil
}

// enqueue has a proposal wait. An own one has come back then.
func (g *Group) enqueue(q *queuedProposal) (Received, error) {
	queue, err := g.queue.with(q, g.dropped)
	if err != nil {
		return nil, err
	}
	g.queue = queue
	own := q.from() == fromMember(g.at.own)
	if own {
		g.sent = slices.DeleteFunc(slices.Clone(g.sent), func(s *queuedProposal) bool { return s.said == q.said })
	}
	return g.at.describe(q, own), nil
}
