package mls

import (
	"bytes"
	"fmt"
	"math"
	"slices"
)

// plan is the public outcome of a commit: what every member, and everybody who holds no
// secret at all, computes alike.
type plan struct {
	base      *PublicView
	app       *Application
	committer LeafIndex
	external  bool // the committer joins by this commit

	list         []listed
	tree         *ratchetTree
	extensions   []Extension
	newExtension bool // a GroupContextExtensions proposal is among the list
	needPath     bool

	added   map[LeafIndex]bool
	joiners []joiner
	removes []Member
	updates []LeafIndex
	psks    []preSharedKeyID
	reInit  *ReInit

	kemOutput  []byte // of an external commit
	ephemerals []ComponentData
	custom     []CustomProposal

	steps []pathStep    // of the path, if there is one
	ctx   *groupContext // provisional: with the old confirmed transcript hash
}

// joiner is a member that the commit adds.
type joiner struct {
	leaf LeafIndex
	kp   *KeyPackage
}

// apply checks a list of proposals and applies it to a copy of the tree (RFC 9420 sections
// 12.2 and 12.3). What depends on the finished tree is checked by finish.
func (e *PublicView) apply(list []listed, committer LeafIndex, app *Application) (*plan, error) {
	p := newPlan(e, list, committer, app)
	return p, p.apply()
}

func newPlan(e *PublicView, list []listed, committer LeafIndex, app *Application) *plan {
	return &plan{
		base: e, app: app, committer: committer, list: list,
		tree: e.tree.clone(), extensions: e.ctx.extensions, added: map[LeafIndex]bool{},
	}
}

func (p *plan) apply() error {
	e, list := p.base, p.list
	if err := p.checkList(); err != nil {
		return err
	}
	for _, l := range list {
		p.needPath = p.needPath || l.proposal.needsPath()
		if l.proposal.kind == proposalGroupExtensions {
			p.extensions, p.newExtension = l.proposal.extensions, true
		}
	}
	for _, l := range list {
		if l.proposal.kind == proposalUpdate {
			p.tree.update(l.from.leaf(), l.proposal.update)
			p.updates = append(p.updates, l.from.leaf())
		}
	}
	for _, l := range list {
		if at, ok := l.removed(); ok {
			p.removes = append(p.removes, newMember(at, e.tree.leaf(at)))
			p.tree.remove(at)
		}
	}
	if err := p.checkSupport(); err != nil {
		return err
	}
	if len(p.removes) > 0 {
		p.tree.truncate()
	}
	for _, l := range list {
		if l.proposal.kind != proposalAdd {
			continue
		}
		at, err := p.tree.add(l.proposal.add.leaf)
		if err != nil {
			return err
		}
		p.added[at] = true
		p.joiners = append(p.joiners, joiner{leaf: at, kp: l.proposal.add})
	}
	if p.external {
		var err error
		if p.committer, err = p.tree.place(); err != nil {
			return err
		}
	}
	p.collectData()
	return p.applyAppData()
}

// removed is the leaf that a Remove or SelfRemove names.
func (l listed) removed() (LeafIndex, bool) {
	switch l.proposal.kind {
	case proposalRemove:
		return l.proposal.remove, true
	case ProposalSelfRemove:
		return l.from.leaf(), true
	}
	return 0, false
}

// checkList verifies the rules among proposals (section 12.2), and those by value by
// themselves. Repeated Adds of one client show as repeated keys in the finished tree.
func (p *plan) checkList() error {
	touched := map[LeafIndex]bool{}
	initKeys := map[string]bool{}
	extensions := 0
	if p.external {
		if err := p.checkExternalList(); err != nil {
			return err
		}
	}
	unsound := p.checkPackages()
	for i, l := range p.list {
		if l.queued == nil && !l.checked {
			if err := p.base.checkOne(l.proposal, l.from, p.app, unsound[i]); err != nil {
				return err
			}
		}
		switch l.proposal.kind {
		case proposalAdd:
			key := string(l.proposal.add.initKey)
			if initKeys[key] {
				return broken("proposals.init-key", "two KeyPackages have one init key")
			}
			initKeys[key] = true
		case proposalUpdate:
			at := l.from.leaf()
			if at == p.committer {
				return broken("proposals.own-update", "committer %d updates itself by proposal", at)
			}
			if touched[at] {
				return broken("proposals.same-leaf", "leaf %d is changed twice", at)
			}
			touched[at] = true
		case proposalRemove, ProposalSelfRemove:
			at, _ := l.removed()
			if l.proposal.kind == ProposalSelfRemove && l.queued == nil {
				return broken("self-remove.by-value", "SelfRemove is in the commit itself")
			}
			if at == p.committer {
				return broken("proposals.own-remove", "committer %d removes itself", p.committer)
			}
			if touched[at] {
				return broken("proposals.same-leaf", "leaf %d is changed twice", at)
			}
			touched[at] = true
		case proposalGroupExtensions:
			if extensions++; extensions > 1 {
				return broken("proposals.extensions", "several GroupContextExtensions")
			}
		case proposalPSK:
			p.psks = append(p.psks, *l.proposal.psk)
		case proposalReInit:
			if len(p.list) > 1 {
				return broken("proposals.reinit", "ReInit beside another proposal")
			}
			p.reInit = l.proposal.reInit
		}
	}
	return checkPSKList(p.psks)
}

// checkPackages returns what is wrong with the KeyPackages that are added by value, by their
// proposals' places in the list. Each takes two signatures, and there may be many.
func (p *plan) checkPackages() []error {
	unsound := make([]error, len(p.list))
	_ = inParallel(len(p.list), func(i int) error {
		if l := p.list[i]; l.queued == nil && !l.checked && !l.sound {
			unsound[i] = l.proposal.checkPackage()
		}
		return unsound[i] // those behind it do not matter any more, but an earlier one may break another rule
	})
	return unsound
}

// checkPackage checks what a proposal adds, if it does.
func (p *proposal) checkPackage() error {
	if p.kind != proposalAdd {
		return nil
	}
	return p.add.check()
}

// checkProposal verifies one proposal by itself (section 12.1) against the current epoch.
// The clock has no part in it: lifetimes are for whoever adds.
func (e *PublicView) checkProposal(p *proposal, from sender, app *Application) error {
	return e.checkOne(p, from, app, p.checkPackage())
}

// checkOne is checkProposal of one of which checkPackage has said its word.
func (e *PublicView) checkOne(p *proposal, from sender, app *Application, unsound error) error {
	if err := p.checkSender(from); err != nil {
		return err
	}
	switch p.kind {
	case proposalAdd:
		if p.add.suite != e.suite.id {
			return broken("keypackage.suite", "suite %d in a group of suite %d", p.add.suite, e.suite.id)
		}
		if unsound != nil {
			return unsound
		}
		return p.add.leaf.judge(app.Credentials, CredentialAdd, e.suite, nil)
	case proposalUpdate:
		if p.update.source != sourceUpdate {
			return broken("update.source", "leaf node source %d", p.update.source)
		}
		return e.checkReplacement(p.update, from.leaf(), app.Credentials, CredentialUpdate)
	case proposalRemove:
		if e.tree.leaf(p.remove) == nil {
			return broken("remove.blank", "leaf %d is not a member", p.remove)
		}
		return nil
	case proposalGroupExtensions:
		return e.checkExtensions(p.extensions, app.Credentials)
	case proposalPSK:
		return e.suite.checkPSK(*p.psk)
	case proposalReInit:
		return checkReInit(*p.reInit)
	case proposalExternalInit:
		return e.suite.checkKEMOutput(p.externalInit)
	case ProposalSelfRemove, ProposalAppDataUpdate, ProposalAppEphemeral:
		return nil // by the finished list: support, and what the application says
	}
	if p.kind.isCustom() {
		return nil
	}
	return brokenBy("proposals.type", ErrUnsupported, "proposal type %d", p.kind)
}

// checkReplacement verifies a leaf that is to replace the one at l: of an Update or a
// commit's path (section 7.3).
func (e *PublicView) checkReplacement(leaf *leafNode, l LeafIndex, v CredentialValidator, event CredentialEvent) error {
	old := e.tree.leaf(l)
	if old == nil {
		return broken("leaf.blank", "leaf %d is not a member", l)
	}
	if err := leaf.verifySignature(e.suite, e.ctx.groupID, l); err != nil {
		return err
	}
	if err := leaf.checkItself(e.suite); err != nil {
		return err
	}
	if bytes.Equal(leaf.encryptionKey, old.encryptionKey) {
		return broken("leaf.same-encryption-key", "leaf %d keeps its key", l)
	}
	if leaf.credential.equal(old.credential) && bytes.Equal(leaf.signatureKey, old.signatureKey) &&
		slices.EqualFunc(leaf.extensions, old.extensions, Extension.equal) {
		return nil
	}
	return leaf.judge(v, event, e.suite, &old.credential)
}

// checkExtensions verifies a new list of group context extensions by itself; whether the
// members support it shows in the finished tree.
func (e *PublicView) checkExtensions(extensions []Extension, v CredentialValidator) error {
	if err := checkExtensionList(extensions, inGroupContext); err != nil {
		return err
	}
	if data, ok := findExtension(extensions, ExtensionRequiredCapabilities); ok {
		if _, err := parseRequiredCapabilities(data); err != nil {
			return err
		}
	}
	senders, err := listExternalSenders(extensions)
	if err != nil {
		return err
	}
	before, err := listExternalSenders(e.ctx.extensions)
	if err != nil {
		return err
	}
	known := knowSenders(before)
	for _, s := range senders {
		if err := s.judge(v, e.suite, known); err != nil {
			return err
		}
	}
	return nil
}

// checkMembers verifies what must hold among the members, by what the plan has changed so far.
func (p *plan) checkMembers() error {
	return p.tree.checkChanges(p.extensions, p.base.tree, p.base.ctx.extensions)
}

// finish verifies the finished tree and computes the provisional group context.
func (p *plan) finish() error {
	if err := p.checkMembers(); err != nil {
		return err
	}
	if p.base.ctx.epoch == math.MaxUint64 {
		return fmt.Errorf("%w: epochs are used up", ErrLimit)
	}
	p.ctx = &groupContext{
		suite: p.base.ctx.suite, groupID: p.base.ctx.groupID, epoch: p.base.ctx.epoch + 1,
		treeHash: p.tree.rootHash(), confirmedTranscriptHash: p.base.ctx.confirmedTranscriptHash,
		extensions: p.extensions,
	}
	return nil
}

// nextView is the public half of the epoch that the commit begins, but for its tag.
func (p *plan) nextView(a *authenticatedContent) *PublicView {
	return &PublicView{suite: p.base.suite, tree: p.tree, ctx: p.nextContext(a), reInit: p.reInit}
}

// nextContext is the group context of the epoch that the commit begins.
func (p *plan) nextContext(a *authenticatedContent) *groupContext {
	ctx := *p.ctx
	ctx.confirmedTranscriptHash = p.base.suite.confirmedTranscriptHash(p.base.interim, a)
	return &ctx
}
