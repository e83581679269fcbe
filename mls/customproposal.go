package mls

import (
	"bytes"
	"slices"
)

// ProposalType names a kind of proposal (RFC 9420 section 17.4). Types from 0xF000 are for
// private use.
type ProposalType uint16

// Proposal types of draft-ietf-mls-extensions. A commit may hold one only if every member
// announces the type: see [KeyPackageConfig.SupportedProposals].
const (
	ProposalAppDataUpdate ProposalType = 8
	ProposalAppEphemeral  ProposalType = 9
	ProposalSelfRemove    ProposalType = 10
)

// CustomProposal is a proposal of the application's own type, which this package carries and
// orders but does not understand. On the wire its data is an opaque vector.
type CustomProposal struct {
	Type ProposalType
	Data []byte
}

func (c CustomProposal) proposal() (*proposal, error) {
	if !c.Type.isCustom() || c.Type == 0 || isGrease(uint16(c.Type)) {
		return nil, broken("proposals.type", "proposal type %#04x is no application's own", uint16(c.Type))
	}
	return &proposal{kind: c.Type, custom: bytes.Clone(c.Data)}, nil
}

// isDefault reports whether every client knows the type (section 7.2).
func (t ProposalType) isDefault() bool { return t >= proposalAdd && t <= proposalGroupExtensions }

// isCustom reports whether the type is none that this package understands.
func (t ProposalType) isCustom() bool { return t < proposalAdd || t > ProposalSelfRemove }

// checkSupport verifies that everybody who is to process the commit understands the types of
// proposals in it (section 12.2). Members that it removes need not.
func (p *plan) checkSupport() error {
	var kinds []ProposalType
	for _, l := range p.list {
		if k := l.proposal.kind; !k.isDefault() {
			kinds = append(kinds, k)
		}
	}
	return p.base.tree.checkSupport(kinds, p.removes)
}

// checkSupport verifies that all members but those that go understand types of proposals, which
// nobody does of GREASE (section 13.5).
func (t *ratchetTree) checkSupport(kinds []ProposalType, gone []Member) error {
	kinds = distinct(slices.DeleteFunc(kinds, ProposalType.isDefault))
	if len(kinds) == 0 {
		return nil
	}
	goes := make(map[LeafIndex]bool, len(gone))
	for _, m := range gone {
		goes[m.Leaf] = true
	}
	for l, leaf := range t.members {
		if goes[l] {
			continue
		}
		if k, ok := unannounced(kinds, leaf.capabilities.proposals); ok {
			return broken("proposals.support", "leaf %d lacks proposal type %#04x", l, uint16(k))
		}
	}
	return nil
}

// collectData lists what the application's proposals say, in their order.
func (p *plan) collectData() {
	for _, l := range p.list {
		switch k := l.proposal.kind; {
		case k == ProposalAppEphemeral:
			p.ephemerals = append(p.ephemerals, l.proposal.component.clone())
		case k.isCustom():
			p.custom = append(p.custom, CustomProposal{Type: k, Data: bytes.Clone(l.proposal.custom)})
		}
	}
}

func (d ComponentData) clone() ComponentData {
	return ComponentData{Component: d.Component, Data: bytes.Clone(d.Data)}
}
