package mls

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ProposalParams says what is proposed: exactly one of the first group.
type ProposalParams struct {
	Add        *KeyPackage  // verified at Now
	Update     bool         // renews the own leaf, which another member has to commit
	Remove     *LeafIndex   // the own leaf too: that is leaving
	Extensions *[]Extension // the whole list, as in [CommitParams]
	PSK        *PSKID       // which the proposer need not have
	ReInit     *ReInit
	// These are beyond RFC 9420; every member must announce their types.
	AppData   *AppDataUpdate
	Ephemeral *ComponentData
	Custom    *CustomProposal
	// SelfRemove is leaving with a proposal that those who join from outside commit too. It is
	// always public, and made once in an epoch.
	SelfRemove bool

	// The next three change the own leaf, with Update; zero values keep what is.
	NewSignatureKey   SignaturePrivateKey
	NewCredential     *Credential
	NewLeafExtensions *[]Extension

	AAD []byte    // travels in the clear, signed
	Now time.Time // for the lifetime of what is added

	Public bool // as in [CommitParams]
}

// Propose makes a proposal message (RFC 9420 section 12.1: an MLSMessage with a PrivateMessage
// or PublicMessage). It counts once it has come back through [Group.Process], as everybody's
// does, so that all members agree on what waits. It uses up a generation of the own handshake
// ratchet if it is not public and, for an Update, keeps the new keys: the caller stores what
// [Group.Save] lists before it sends. Errors: [ErrInvalid], [ErrExpired], [ErrUnsupported] for
// the suite of a ReInit, [ErrLimit] while 16 own proposals have not come back, [ErrConsumed] for
// what waits or was dropped in this epoch already (another AAD makes it another proposal),
// [ErrRemoved], [ErrReInit].
func (g *Group) Propose(p ProposalParams) ([]byte, error) {
	if err := g.speaks(); err != nil {
		return nil, err
	}
	if len(g.sent) >= maxPendingPerSender {
		return nil, fmt.Errorf("%w: too many own proposals wait", ErrLimit)
	}
	if len(p.AAD) > maxContent {
		return nil, fmt.Errorf("%w: aad of more than %d bytes", ErrLimit, maxContent)
	}
	var err error
	if p.AAD, err = g.at.ctx.frameAAD(p.AAD); err != nil {
		return nil, err
	}
	q := new(queuedProposal)
	prop, err := g.propose(&p, q)
	if err != nil {
		return nil, err
	}
	if err := g.at.tree.checkSupport([]ProposalType{prop.kind}, nil); err != nil {
		return nil, err
	}
	if err := g.at.checkProposal(prop, fromMember(g.at.own), &g.app); err != nil {
		return nil, err
	}
	c := g.content(contentProposal, slices.Clone(p.AAD))
	c.proposal = prop
	a, err := g.signHandshake(c, p.Public || p.SelfRemove)
	if err != nil {
		return nil, err
	}
	q.content, q.ref, q.said = a, a.proposalRef(g.at.suite), a.said(g.at.ctx)
	if err := g.at.judgeProposal(q, &g.app); err != nil {
		return nil, err
	}
	if _, err := g.queue.with(q, g.dropped); errors.Is(err, ErrConsumed) {
		return nil, err
	}
	msg, err := g.sendHandshake(a)
	if err != nil {
		return nil, err
	}
	g.sent = append(slices.Clip(g.sent), q)
	return msg, nil
}

// propose builds the proposal, and puts an Update's keys into q.
func (g *Group) propose(p *ProposalParams, q *queuedProposal) (*proposal, error) {
	if err := p.checkOne(); err != nil {
		return nil, err
	}
	switch {
	case p.SelfRemove:
		return g.leave()
	case !p.Update:
		return g.at.propose(p, &g.app)
	}
	leafKey, err := g.at.suite.generateHPKE()
	if err != nil {
		return nil, err
	}
	q.leafKey, q.signatureKey = leafKey, g.at.signatureKey
	if !p.NewSignatureKey.isZero() {
		q.signatureKey = p.NewSignatureKey
	}
	leaf := g.renewedLeaf(leafKey, q.signatureKey, p.NewCredential, p.NewLeafExtensions, nil)
	leaf.source = sourceUpdate
	return &proposal{kind: proposalUpdate, update: leaf}, leaf.sign(g.at.suite, q.signatureKey, g.at.ctx.groupID, g.at.own)
}

func (p *ProposalParams) checkOne() error {
	chosen := 0
	for _, set := range []bool{
		p.Add != nil, p.Update, p.Remove != nil, p.Extensions != nil, p.PSK != nil, p.ReInit != nil,
		p.AppData != nil, p.Ephemeral != nil, p.Custom != nil, p.SelfRemove,
	} {
		if set {
			chosen++
		}
	}
	if chosen != 1 {
		return broken("proposal.one", "%d kinds of proposal are asked for", chosen)
	}
	return nil
}

// propose builds a proposal that is not about the proposer's own leaf.
func (e *PublicView) propose(p *ProposalParams, app *Application) (*proposal, error) {
	switch {
	case p.Add != nil:
		return &proposal{kind: proposalAdd, add: p.Add}, app.verify([]*KeyPackage{p.Add}, p.Now)
	case p.Remove != nil:
		return &proposal{kind: proposalRemove, remove: *p.Remove}, nil
	case p.Extensions != nil:
		return &proposal{kind: proposalGroupExtensions, extensions: cloneExtensions(*p.Extensions)}, nil
	case p.PSK != nil:
		psk, err := e.suite.newPSK(*p.PSK)
		return &proposal{kind: proposalPSK, psk: &psk}, err
	case p.ReInit != nil:
		return e.reInitProposal(p.ReInit, app)
	case p.AppData != nil:
		return p.AppData.proposal(), nil
	case p.Ephemeral != nil:
		return &proposal{kind: ProposalAppEphemeral, component: new(p.Ephemeral.clone())}, nil
	}
	return p.Custom.proposal()
}

// leave is a SelfRemove, unless this member has made one in this epoch already.
func (g *Group) leave() (*proposal, error) {
	for _, q := range slices.Concat(g.queue, g.sent) {
		if q.proposal().kind == ProposalSelfRemove && q.from() == fromMember(g.at.own) {
			return nil, broken("self-remove.once", "it waits already")
		}
	}
	return &proposal{kind: ProposalSelfRemove}, nil
}
