package mls

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

func writeQueuedProposal(w *wire.Writer, q *queuedProposal) {
	writeAuthenticatedContent(w, q.content)
	w.Raw(q.digest[:])
	w.Bool(q.leafKey != nil)
	if q.leafKey == nil {
		return
	}
	w.Bytes(mustPrivate(q.leafKey))
	w.Bytes(q.signatureKey.key())
}

func (e *EpochView) readQueuedProposal(r *wire.Reader) *queuedProposal {
	q := &queuedProposal{content: readAuthenticatedContent(r)}
	r.Copy(q.digest[:])
	if r.Bool() {
		leafKey, signatureKey := r.Bytes(), r.Bytes()
		var err error
		if q.leafKey, err = e.suite.storedHPKE(leafKey); err != nil {
			r.Fail(err)
		}
		if q.signatureKey, err = e.suite.id.ParseSignatureKey(signatureKey); err != nil {
			r.Fail(err)
		}
	}
	if r.Err() == nil {
		if err := e.checkQueued(q.content.content); err != nil {
			r.Fail(err)
		}
	}
	if r.Err() == nil {
		q.ref, q.said = q.content.proposalRef(e.suite), q.content.said(e.ctx)
	}
	return q
}

// checkQueued verifies of a proposal that was stored what a commit of it relies on: it is from
// somebody who can make it, and is about members that there are.
func (e *PublicView) checkQueued(c *framedContent) error {
	p, from := c.proposal, c.sender
	if p == nil {
		return fmt.Errorf("%w: a queued message is no proposal", ErrCorrupt)
	}
	if err := p.checkSender(from); err != nil {
		return err
	}
	switch {
	case from.kind == senderNewMemberCommit,
		from.kind == senderMember && e.tree.leaf(from.leaf()) == nil,
		p.kind == proposalRemove && e.tree.leaf(p.remove) == nil:
		return fmt.Errorf("%w: a queued proposal that does not fit the tree", ErrCorrupt)
	}
	return nil
}
