package mls

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// proposal is Proposal (RFC 9420 section 12.1): the field that kind names is set. It is small,
// since there are some of few bytes and a commit may hold many.
type proposal struct {
	kind         ProposalType
	remove       LeafIndex
	add          *KeyPackage
	update       *leafNode
	psk          *preSharedKeyID
	reInit       *ReInit
	externalInit []byte // kem_output
	extensions   []Extension
	appData      *AppDataUpdate
	component    *ComponentData // AppEphemeral
	custom       []byte         // of a type that is the application's
}

func writeProposal(w *wire.Writer, p *proposal) {
	w.Uint16(uint16(p.kind))
	writeProposalBody(w, p)
}

func writeProposalBody(w *wire.Writer, p *proposal) {
	switch p.kind {
	case proposalAdd:
		writeKeyPackage(w, p.add)
	case proposalUpdate:
		writeLeafNode(w, p.update)
	case proposalRemove:
		w.Uint32(uint32(p.remove))
	case proposalPSK:
		writePreSharedKeyID(w, *p.psk)
	case proposalReInit:
		writeReInit(w, *p.reInit)
	case proposalExternalInit:
		w.Bytes(p.externalInit)
	case proposalGroupExtensions:
		writeExtensions(w, p.extensions)
	case ProposalAppDataUpdate:
		writeAppDataUpdate(w, *p.appData)
	case ProposalAppEphemeral:
		writeComponentData(w, *p.component)
	case ProposalSelfRemove:
	default:
		w.Bytes(p.custom)
	}
}

func readProposal(r *wire.Reader) *proposal { return readProposalBody(r, ProposalType(r.Uint16())) }

// readProposalBody takes an unknown type for the application's, whose body is an opaque vector:
// lengths of other shapes are not on the wire. Type 0 is reserved.
func readProposalBody(r *wire.Reader, kind ProposalType) *proposal {
	p := &proposal{kind: kind}
	switch kind {
	case proposalAdd:
		p.add = readKeyPackage(r)
	case proposalUpdate:
		p.update = readLeafNode(r)
	case proposalRemove:
		p.remove = LeafIndex(r.Uint32())
	case proposalPSK:
		p.psk = new(readPreSharedKeyID(r))
	case proposalReInit:
		p.reInit = new(readReInit(r))
	case proposalExternalInit:
		p.externalInit = r.Bytes()
	case proposalGroupExtensions:
		p.extensions = readExtensions(r)
	case ProposalAppDataUpdate:
		p.appData = new(readAppDataUpdate(r))
	case ProposalAppEphemeral:
		p.component = new(readComponentData(r))
	case ProposalSelfRemove:
	case 0:
		r.Fail(fmt.Errorf("%w: proposal type 0", ErrUnsupported))
	default:
		p.custom = r.Bytes()
	}
	return p
}

// needsPath reports whether a commit with p must have a path (section 12.4). What an
// application's own proposal does is not known here: it gets one.
func (p *proposal) needsPath() bool {
	switch p.kind {
	case proposalAdd, proposalPSK, proposalReInit, ProposalAppDataUpdate, ProposalAppEphemeral:
		return false
	}
	return true
}
