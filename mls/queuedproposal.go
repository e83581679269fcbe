package mls

import "bytes"

// QueuedProposal is a proposal that was accepted and now waits for a commit. One of Add,
// Update, Remove (a SelfRemove's too), Extensions, PSK, ReInit, AppData, Ephemeral and Custom
// is set.
type QueuedProposal struct {
	Sender LeafIndex
	// External is nil for a member's proposal. Otherwise no member made it, and Sender means
	// nothing: it is who did, one of the group's external senders or, for an Add, perhaps the
	// new member itself.
	External   *ExternalSender
	Own        bool // our own, come back
	Add        *KeyPackage
	Update     *Member // as it will be
	Remove     *LeafIndex
	Extensions *[]Extension
	PSK        *PSKID // perhaps unknown to this member, which then cannot follow its commit
	ReInit     *ReInit
	AppData    *AppDataUpdate
	Ephemeral  *ComponentData
	Custom     *CustomProposal
	AAD        []byte
}

func (*QueuedProposal) received() {}

// A ProposalValidator is a [CredentialValidator] that also judges each proposal that comes by
// itself, from members and from outside, before it waits for a commit: whether whoever made it
// may propose that. Being refused is [ErrInvalid]. Own proposals are judged too. What a commit
// holds by value is for a [CommitValidator].
//
// ValidateProposal is a pure function of its arguments, as ValidateCommit is, and changes
// neither: a proposal that waits at some members only makes commits that count for them only.
type ProposalValidator interface {
	CredentialValidator
	ValidateProposal(at *PublicView, p *QueuedProposal) error
}

// receiveProposal checks a proposal by itself that was authenticated.
func (e *PublicView) receiveProposal(a *authenticatedContent, app *Application) (*queuedProposal, error) {
	q := &queuedProposal{ref: a.proposalRef(e.suite), content: a, said: a.said(e.ctx)}
	if q.proposal().kind == ProposalSelfRemove && a.wireFormat != wireFormatPublic {
		return nil, broken("self-remove.wire-format", "SelfRemove that somebody outside could not read")
	}
	if err := e.checkProposal(q.proposal(), q.from(), app); err != nil {
		return nil, err
	}
	return q, e.judgeProposal(q, app)
}

func (e *PublicView) judgeProposal(q *queuedProposal, app *Application) error {
	v, ok := app.Credentials.(ProposalValidator)
	if !ok {
		return nil
	}
	if err := v.ValidateProposal(e, e.describe(q, false)); err != nil {
		return brokenBy("proposal.policy", err, "refused by the application")
	}
	return nil
}

// describe says what a proposal does that was authenticated in the view's epoch.
func (e *PublicView) describe(q *queuedProposal, own bool) *QueuedProposal {
	out := &QueuedProposal{Own: own, AAD: bytes.Clone(q.content.content.authenticatedData)}
	switch from := q.from(); from.kind {
	case senderMember:
		out.Sender = from.leaf()
	case senderExternal:
		if senders, err := listExternalSenders(e.ctx.extensions); err == nil && uint64(from.index) < uint64(len(senders)) {
			out.External = &senders[from.index]
		}
	default:
		out.External = &ExternalSender{SignatureKey: q.proposal().add.SignatureKey(), Credential: q.proposal().add.Credential()}
	}
	switch p := q.proposal(); p.kind {
	case proposalAdd:
		out.Add = p.add
	case proposalUpdate:
		out.Update = new(newMember(q.from().leaf(), p.update))
	case proposalRemove, ProposalSelfRemove:
		at, _ := q.listed().removed()
		out.Remove = new(at)
	case proposalGroupExtensions:
		out.Extensions = new(cloneExtensions(p.extensions))
	case proposalPSK:
		out.PSK = new(p.psk.public())
	case proposalReInit:
		out.ReInit = p.reInit.clone()
	case ProposalAppDataUpdate:
		out.AppData = new(p.appData.clone())
	case ProposalAppEphemeral:
		out.Ephemeral = new(p.component.clone())
	default:
		if p.kind.isCustom() {
			out.Custom = &CustomProposal{Type: p.kind, Data: bytes.Clone(p.custom)}
		}
	}
	return out
}
