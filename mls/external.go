package mls

import (
	"bytes"
	"math"
)

// noLeaf is the committer of an external commit until its place is known.
const noLeaf LeafIndex = math.MaxUint32

// checkSender verifies that a proposal may come from where it comes from (RFC 9420 sections
// 12.1.6, 12.1.8 and 12.2). Of the types beyond RFC 9420, each says so itself; an application's
// own are for members.
func (p *proposal) checkSender(from sender) error {
	switch from.kind {
	case senderMember:
		if p.kind == proposalExternalInit {
			return broken("proposals.external-init", "ExternalInit by a member")
		}
		return nil
	case senderExternal:
		switch p.kind {
		case proposalAdd, proposalRemove, proposalPSK, proposalReInit, proposalGroupExtensions,
			ProposalAppDataUpdate, ProposalAppEphemeral:
			return nil
		}
	case senderNewMemberProposal:
		if p.kind == proposalAdd {
			return nil
		}
	case senderNewMemberCommit:
		switch p.kind {
		case proposalExternalInit, proposalRemove, proposalPSK, ProposalAppDataUpdate, ProposalAppEphemeral:
			return nil
		}
	}
	return broken("proposal.sender", "proposal type %d by sender type %d", p.kind, from.kind)
}

// senderKey is the key that the signature of a PublicMessage must verify with (section 6.1).
func (e *PublicView) senderKey(c *framedContent) (SignaturePublicKey, error) {
	switch {
	case c.sender.kind == senderMember:
		leaf := e.tree.leaf(c.sender.leaf())
		if leaf == nil {
			return nil, broken("framing.sender", "leaf %d is not a member", c.sender.index)
		}
		return leaf.signatureKey, nil
	case c.sender.kind == senderExternal && c.contentType == contentProposal:
		senders, err := listExternalSenders(e.ctx.extensions)
		if err != nil {
			return nil, err
		}
		if uint64(c.sender.index) >= uint64(len(senders)) {
			return nil, broken("framing.sender", "external sender %d of %d", c.sender.index, len(senders))
		}
		return senders[c.sender.index].SignatureKey, nil
	case c.sender.kind == senderNewMemberProposal && c.contentType == contentProposal:
		if c.proposal.kind != proposalAdd {
			return nil, c.proposal.checkSender(c.sender)
		}
		return c.proposal.add.leaf.signatureKey, nil
	case c.sender.kind == senderNewMemberCommit && c.contentType == contentCommit:
		if c.commit.path == nil {
			return nil, broken("commit.path", "path is missing")
		}
		return c.commit.path.leaf.signatureKey, nil
	}
	return nil, broken("framing.sender", "content type %d by sender type %d", c.contentType, c.sender.kind)
}

// applyExternal is apply for a commit that somebody outside makes to come in. The joiner gets
// the leftmost blank leaf (section 12.4.3.2).
func (e *PublicView) applyExternal(list []listed, app *Application) (*plan, error) {
	p := newPlan(e, list, noLeaf, app)
	p.external = true
	return p, p.apply()
}

// checkExternalList verifies what an external commit may do (section 12.2): come in, in place
// of at most one member, with pre-shared keys, and with proposals that the extensions draft
// lets in. Only SelfRemoves are by reference: of others an outsider cannot know.
func (p *plan) checkExternalList() error {
	inits, removes := 0, 0
	for _, l := range p.list {
		if l.queued != nil && l.proposal.kind != ProposalSelfRemove {
			return broken("external.reference", "proposal type %d by reference", l.proposal.kind)
		}
		switch l.proposal.kind {
		case proposalExternalInit:
			inits++
			p.kemOutput = l.proposal.externalInit
		case proposalRemove:
			removes++
		}
	}
	if inits != 1 {
		return broken("external.init-count", "%d ExternalInits", inits)
	}
	if removes > 1 {
		return broken("external.remove-count", "%d Removes", removes)
	}
	return nil
}

// checkJoiner verifies the leaf of an external commit. In place of a member it must be what
// that member could have updated itself to (section 12.2).
func (p *plan) checkJoiner(leaf *leafNode) error {
	e := p.base
	if err := leaf.verifySignature(e.suite, e.ctx.groupID, p.committer); err != nil {
		return err
	}
	if err := leaf.checkItself(e.suite); err != nil {
		return err
	}
	var predecessor *Credential
	for _, l := range p.list {
		if l.proposal.kind != proposalRemove {
			continue
		}
		old := e.tree.leaf(l.proposal.remove)
		if bytes.Equal(leaf.encryptionKey, old.encryptionKey) {
			return broken("leaf.same-encryption-key", "the joiner keeps the key of leaf %d", l.proposal.remove)
		}
		predecessor = &old.credential
	}
	return leaf.judge(p.app.Credentials, CredentialCommit, e.suite, predecessor)
}

// initSecret is what the commit's epoch begins with: the init secret of the epoch before, or
// what an external commit brings (section 8.3).
func (e *EpochView) initSecret(pl *plan) (secret, error) {
	if !pl.external {
		return e.secrets.init, nil
	}
	key, err := e.externalKey()
	if err != nil {
		return nil, err
	}
	return e.suite.receiveInit(pl.kemOutput, key)
}
