package mls

import (
	"bytes"
	"fmt"
	"time"
)

// ExternalParams is what one joins with, without an invitation.
type ExternalParams struct {
	// Tree, Application and Now are as in [JoinParams], for the GroupInfo.
	Tree        []byte
	Application Application
	Now         time.Time

	Credential   Credential
	SignatureKey SignaturePrivateKey
	// The next four are as in [KeyPackageConfig].
	LeafExtensions      []Extension
	SupportedExtensions []ExtensionType
	SupportedProposals  []ProposalType
	Components          []ComponentID

	// Remove is the member in whose place one joins: the joiner itself, as it was. The others
	// ask their [CredentialValidator] whether the one may follow the other. [NewPublicGroup]
	// reads the members from the GroupInfo.
	Remove *LeafIndex
	PSKs   []PSKID
	// SelfRemoves are proposal messages of members who leave, as they wait in the group. Of
	// several of one member the first counts.
	SelfRemoves [][]byte
	AppData     []AppDataUpdate
	Ephemeral   []ComponentData
	AAD         []byte // travels in the clear, signed
}

// JoinExternal makes the commit by which somebody outside joins (RFC 9420 section 12.4.3.2), a
// PublicMessage, and the group as it will be when the commit counts: drop it if another commit
// of that epoch wins, and begin anew with a newer GroupInfo. Whether an external commit counts
// is for the group's members to say ([CommitCheck]).
//
// The GroupInfo holds the external key ([GroupInfoParams]) and is verified as [Join] verifies
// one; but that it is the newest, and that its signer did not invent the secrets of the epoch,
// shows only in what the group does next. Errors: those of [Join], without [ErrNotForUs].
func JoinExternal(groupInfo []byte, p ExternalParams) (*Group, []byte, error) {
	at, info, err := openGroupInfo(groupInfo, p.Tree, &p.Application, p.Now)
	if err != nil {
		return nil, nil, err
	}
	data, ok := findExtension(info.extensions, extensionExternalPub)
	if !ok {
		return nil, nil, broken("groupinfo.external-pub", "group info has no external key")
	}
	externalPub, err := at.suite.parseExternalPub(data)
	if err != nil {
		return nil, nil, err
	}
	if len(p.AAD) > maxContent {
		return nil, nil, fmt.Errorf("%w: aad of more than %d bytes", ErrLimit, maxContent)
	}
	b := &externalBuilder{at: at, params: &p, commit: new(commit)}
	if err := b.propose(externalPub); err != nil {
		return nil, nil, err
	}
	if err := b.enter(); err != nil {
		return nil, nil, err
	}
	return b.seal()
}

// openGroupInfo verifies a GroupInfo and its tree as a joiner does, all but the confirmation
// tag, which takes the epoch's secrets.
func openGroupInfo(groupInfo, tree []byte, app *Application, now time.Time) (*PublicView, *groupInfo, error) {
	m, err := parse(bytes.Clone(groupInfo), readMessage)
	if err != nil {
		return nil, nil, err
	}
	info := m.groupInfo
	if info == nil {
		return nil, nil, fmt.Errorf("%w: wire format %d is no GroupInfo", ErrMalformed, m.wireFormat)
	}
	s, err := info.context.suite.lookup()
	if err != nil {
		return nil, nil, err
	}
	t, err := receivedTree(s, info, bytes.Clone(tree))
	if err != nil {
		return nil, nil, err
	}
	if err := checkJoin(t, info, app.Credentials, now); err != nil {
		return nil, nil, err
	}
	if len(info.confirmationTag) != s.nh {
		return nil, nil, broken("groupinfo.confirmation-tag", "tag of %d bytes", len(info.confirmationTag))
	}
	at := &PublicView{suite: s, ctx: info.context, tree: t}
	at.confirm(info.confirmationTag)
	return at, info, nil
}

// externalBuilder makes one external commit.
type externalBuilder struct {
	at     *PublicView
	params *ExternalParams
	commit *commit

	plan       *plan
	initSecret secret
	leafKey    *hpkePrivate
	path       *freshPath
}

// propose lists what the commit does and applies it.
func (b *externalBuilder) propose(externalPub []byte) error {
	p, s := b.params, b.at.suite
	kemOutput, initSecret, err := s.sendInit(externalPub)
	if err != nil {
		return err
	}
	b.initSecret = initSecret
	var list []listed
	add := func(q *proposal) {
		list = append(list, listed{proposal: q, from: sender{kind: senderNewMemberCommit}})
		b.commit.proposals = append(b.commit.proposals, proposalOrRef{proposal: q})
	}
	add(&proposal{kind: proposalExternalInit, externalInit: kemOutput})
	if p.Remove != nil {
		add(&proposal{kind: proposalRemove, remove: *p.Remove})
	}
	leaving := map[LeafIndex]bool{}
	for _, msg := range p.SelfRemoves {
		q, err := b.at.selfRemove(msg)
		if err != nil {
			return err
		}
		leaf := q.listed().from.leaf()
		if leaving[leaf] {
			continue // who said it twice leaves once
		}
		leaving[leaf] = true
		list = append(list, q.listed())
		b.commit.proposals = append(b.commit.proposals, proposalOrRef{ref: q.ref})
	}
	for _, id := range p.PSKs {
		psk, err := s.newPSK(id)
		if err != nil {
			return err
		}
		add(&proposal{kind: proposalPSK, psk: &psk})
	}
	for _, d := range p.Ephemeral {
		add(&proposal{kind: ProposalAppEphemeral, component: new(d.clone())})
	}
	for _, u := range p.AppData {
		add(u.proposal())
	}
	if err := b.commit.checkCounts(); err != nil {
		return err
	}
	b.plan, err = b.at.applyExternal(list, &p.Application)
	return err
}

// selfRemove verifies a SelfRemove of the view's epoch, without its membership tag.
func (e *PublicView) selfRemove(msg []byte) (*queuedProposal, error) {
	m, err := parse(bytes.Clone(msg), readMessage)
	if err != nil {
		return nil, err
	}
	if m.public == nil || m.public.content.proposal == nil || m.public.content.proposal.kind != ProposalSelfRemove {
		return nil, fmt.Errorf("%w: no SelfRemove", ErrMalformed)
	}
	if err := e.checkAddress(m.public.content.groupID, m.public.content.epoch); err != nil {
		return nil, err
	}
	a, err := m.public.openOpenly(e)
	if err != nil {
		return nil, err
	}
	return e.receiveProposal(a, new(Application))
}

// enter puts the joiner's leaf and fresh keys above it into the tree.
func (b *externalBuilder) enter() error {
	p, pl, s := b.params, b.plan, b.at.suite
	var err error
	if b.leafKey, err = s.generateHPKE(); err != nil {
		return err
	}
	if b.path, err = pl.tree.newPath(pl.committer); err != nil {
		return err
	}
	leaf := &leafNode{
		encryptionKey: b.leafKey.pub, signatureKey: p.SignatureKey.Public(), credential: p.Credential.clone(),
		capabilities: newCapabilities(s.id, p.SupportedExtensions, p.SupportedProposals, p.LeafExtensions),
		source:       sourceCommit, extensions: cloneExtensions(p.LeafExtensions),
	}
	if leaf.extensions, err = announceComponents(leaf.extensions, leaf.capabilities.extensions, p.Components); err != nil {
		return err
	}
	leaf.parentHash = pl.tree.setPath(pl.committer, b.path.steps, b.path.publicKeys())
	if err := leaf.sign(s, p.SignatureKey, b.at.ctx.groupID, pl.committer); err != nil {
		return err
	}
	if err := pl.checkJoiner(leaf); err != nil {
		return err
	}
	pl.tree.set(pl.committer.node(), &node{leaf: leaf})
	if err := pl.complete(true); err != nil {
		return err
	}
	b.commit.path = &updatePath{leaf: leaf}
	b.commit.path.nodes, err = pl.tree.encryptPath(b.path, pl.ctx.bytes(), pl.added)
	return err
}

// seal signs the commit and begins the epoch that it leads to.
func (b *externalBuilder) seal() (*Group, []byte, error) {
	p, pl, s := b.params, b.plan, b.at.suite
	aad, err := b.at.ctx.frameAAD(bytes.Clone(p.AAD))
	if err != nil {
		return nil, nil, err
	}
	a := &authenticatedContent{wireFormat: wireFormatPublic, content: &framedContent{
		groupID: b.at.ctx.groupID, epoch: b.at.ctx.epoch, sender: sender{kind: senderNewMemberCommit},
		authenticatedData: aad, contentType: contentCommit, commit: b.commit,
	}}
	if err := a.sign(s, p.SignatureKey, b.at.ctx); err != nil {
		return nil, nil, err
	}
	psk, err := findPSKs(s, p.Application.find, pl.psks)
	if err != nil {
		return nil, nil, err
	}
	next := &EpochView{
		PublicView: pl.nextView(a), own: pl.committer, signatureKey: p.SignatureKey,
		held: privateTree{pl.committer.node(): b.leafKey},
	}
	for i, step := range b.path.steps {
		next.held[step.node] = b.path.keys[i]
	}
	joinerSecret := s.joinerSecret(b.initSecret, b.path.commitSecret, next.ctx)
	keys := next.begin(s.epochSecret(joinerSecret, psk, next.ctx))
	a.auth.confirmationTag = s.mac(next.secrets.confirmationKey, next.ctx.confirmedTranscriptHash)
	next.confirm(a.auth.confirmationTag)
	m := &publicMessage{content: a.content, auth: a.auth}
	return &Group{at: next, app: p.Application, keys: keys},
		encode(&message{wireFormat: wireFormatPublic, public: m}, writeMessage), nil
}
