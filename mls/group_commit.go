package mls

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// CommitParams says what a commit does. The zero value is an empty commit with a path, which
// renews the committer's own keys.
type CommitParams struct {
	Add    []*KeyPackage // each is verified at Now
	Remove []LeafIndex
	// Extensions replaces the whole list of group context extensions, if it is not nil.
	Extensions *[]Extension
	// PSKs are pre-shared keys that go into the next epoch's secrets, in this order.
	PSKs []PSKID
	// ReInit closes the group in favour of another one. It stands alone: with other changes it
	// is refused, and of what waits a ReInit is committed only if nothing else can be.
	ReInit *ReInit
	// IncludePending adds the proposals that wait, by reference: all that are valid, and
	// allowed, together with what is asked for above, which goes first. A Remove goes before
	// Updates of the same leaf, a newer Update before an older one; a pre-shared key that this
	// member lacks waits.
	IncludePending bool
	// Path renews the committer's keys even where nothing asks for it. Only commits that add
	// members, name pre-shared keys, reinitialize or hold AppData or Ephemeral, and do nothing
	// else, may go without.
	Path bool

	// The next four change the committer's leaf and imply Path; zero values keep what is. A
	// new signature key is of the group's suite.
	NewSignatureKey     SignaturePrivateKey
	NewCredential       *Credential
	NewLeafExtensions   *[]Extension
	SupportedExtensions []ExtensionType

	// AppData, Ephemeral and Custom are proposals beyond RFC 9420, by value: every member must
	// announce their types ([KeyPackageConfig.SupportedProposals]).
	AppData   []AppDataUpdate
	Ephemeral []ComponentData
	Custom    []CustomProposal

	AAD []byte    // travels in the clear, signed
	Now time.Time // for the lifetimes of what is added

	// Public sends the commit as PublicMessage (RFC 9420 section 6.2): everybody on its way
	// can read what it does, and a [PublicGroup] can follow it.
	Public bool
	// TreeInWelcome puts the whole ratchet tree into the Welcomes, whose size then grows with
	// the group.
	TreeInWelcome bool

	verified bool // Add was, so that it need not be again

	link *link // in the first commit of a group that grows out of another one
}

func (p *CommitParams) changesLeaf() bool {
	return p.Path || !p.NewSignatureKey.isZero() || p.NewCredential != nil ||
		p.NewLeafExtensions != nil || p.SupportedExtensions != nil
}

// withPath reports whether the commit of a plan gets a path.
func (p *CommitParams) withPath(pl *plan) bool {
	return pl.needPath || len(pl.list) == 0 || p.changesLeaf()
}

// Commit makes a commit and the invitations that go with it (RFC 9420 section 12.4.1). It
// changes nothing in g but one thing: a generation of the own handshake ratchet is used up (not
// by a public one), so that a commit that is dropped never shares its key with another. The
// caller stores what [Group.Save] lists and the staged commit before it sends, and merges once
// the delivery service has accepted.
//
// What is asked for and not valid is refused as a received commit would be: [ErrInvalid] (with
// the error of a [CommitValidator]), [ErrExpired], [ErrUnknownPSK]. Besides there are [ErrLimit],
// after 1,024 commits in one epoch, for an AAD of more than 2^28 bytes or more than 65,536
// proposals of a kind, [ErrRemoved] and [ErrReInit].
func (g *Group) Commit(p CommitParams) (*StagedCommit, error) {
	if err := g.speaks(); err != nil {
		return nil, err
	}
	if len(g.commits) >= maxOwnMessages {
		return nil, fmt.Errorf("%w: %d commits in one epoch", ErrLimit, maxOwnMessages)
	}
	if len(p.AAD) > maxContent {
		return nil, fmt.Errorf("%w: aad of more than %d bytes", ErrLimit, maxContent)
	}
	var err error
	if p.AAD, err = g.at.ctx.frameAAD(p.AAD); err != nil {
		return nil, err
	}
	if err := g.app.verify(p.Add, p.Now); err != nil {
		return nil, err
	}
	p.verified = true
	pl, err := g.choose(&p)
	if err != nil {
		return nil, err
	}
	b := &commitBuilder{group: g, plan: pl, params: &p, commit: new(commit)}
	return b.build()
}

// requested is the list of proposals by value.
func (g *Group) requested(p *CommitParams) ([]listed, error) {
	var list []listed
	add := func(q *proposal) { list = append(list, listed{proposal: q, from: fromMember(g.at.own)}) }
	if p.Extensions != nil {
		add(&proposal{kind: proposalGroupExtensions, extensions: cloneExtensions(*p.Extensions)})
	}
	for _, l := range p.Remove {
		add(&proposal{kind: proposalRemove, remove: l})
	}
	for _, kp := range p.Add {
		add(&proposal{kind: proposalAdd, add: kp})
		list[len(list)-1].sound = p.verified
	}
	for _, id := range p.PSKs {
		psk, err := g.at.suite.newPSK(id)
		if err != nil {
			return nil, err
		}
		add(&proposal{kind: proposalPSK, psk: &psk})
	}
	if p.link != nil {
		list = append(list, listed{proposal: &proposal{kind: proposalPSK, psk: &p.link.id}, checked: true})
	}
	if p.ReInit != nil {
		q, err := g.at.reInitProposal(p.ReInit, &g.app)
		if err != nil {
			return nil, err
		}
		add(q)
	}
	for _, d := range p.Ephemeral {
		add(&proposal{kind: ProposalAppEphemeral, component: new(d.clone())})
	}
	for _, c := range p.Custom {
		q, err := c.proposal()
		if err != nil {
			return nil, err
		}
		add(q)
	}
	for _, u := range p.AppData {
		add(u.proposal())
	}
	return list, nil
}

// choose resolves the list of proposals and applies it.
func (g *Group) choose(p *CommitParams) (*plan, error) {
	list, err := g.requested(p)
	if err != nil {
		return nil, err
	}
	try := func(list []listed) (*plan, error) {
		pl, err := g.at.apply(list, g.at.own, &g.app)
		if err != nil {
			return nil, err
		}
		return pl, pl.checkMembers()
	}
	pl, err := try(list)
	if err != nil || !p.IncludePending || p.ReInit != nil {
		return pl, err
	}
	// What waits may make for hundreds of tries, and each KeyPackage takes several signatures.
	for i := range list {
		list[i].checked = true
	}
	// Here the policy is asked too: otherwise a proposal against it would spoil every commit.
	fits := func(list []listed) (*plan, error) {
		pl, err := try(list)
		if err != nil {
			return nil, err
		}
		return pl, pl.judge(p.withPath(pl))
	}
	pending := g.pending(list, p.Now)
	if all, err := fits(slices.Concat(list, pending)); err == nil && len(all.list) > 0 {
		return all, nil
	}
	// Something among them clashes: take them one by one, those that fit.
	for _, l := range pending {
		if more, err := fits(slices.Concat(list, []listed{l})); err == nil {
			list, pl = append(list, l), more
		}
	}
	if len(list) == 0 {
		return cmp.Or(g.onlyReInit(fits), pl), nil
	}
	return pl, nil
}

// pending lists the waiting proposals that this member may commit beside list (RFC 9420
// section 12.2): no Update or Remove of its own leaf, one change for each leaf, one list of
// extensions, no KeyPackage that is out of its lifetime and no pre-shared key that it lacks.
func (g *Group) pending(list []listed, now time.Time) []listed {
	taken := map[LeafIndex]bool{g.at.own: true}
	extensions := false
	for _, l := range list {
		if at, ok := l.removed(); ok {
			taken[at] = true
		}
		switch l.proposal.kind {
		case proposalGroupExtensions:
			extensions = true
		}
	}
	removed := map[LeafIndex]bool{}
	for _, q := range g.queue {
		if at, ok := q.listed().removed(); ok {
			removed[at] = true
		}
	}
	var out []listed
	for _, q := range slices.Backward(g.queue) {
		switch p := q.proposal(); p.kind {
		case proposalUpdate:
			at := q.from().leaf()
			if taken[at] || removed[at] {
				continue
			}
			taken[at] = true
		case proposalRemove, ProposalSelfRemove:
			at, _ := q.listed().removed()
			if taken[at] {
				continue
			}
			taken[at] = true
		case proposalGroupExtensions:
			if extensions {
				continue
			}
			extensions = true
		case proposalAdd:
			if p.add.leaf.lifetime.check(now) != nil {
				continue
			}
		case proposalReInit:
			continue // only where nothing else is committed
		case proposalPSK:
			if _, err := g.findPSK(*p.psk); err != nil {
				continue
			}
		}
		out = append(out, q.listed())
	}
	slices.Reverse(out)
	return out
}
