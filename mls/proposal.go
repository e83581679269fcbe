package mls

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// proposal is Proposal (RFC 9420 section 12.1): the field that kind names is set.
type proposal struct {
	kind         uint16
	add          *KeyPackage
	update       *leafNode
	remove       LeafIndex
	psk          preSharedKeyID
	reInit       reInit
	externalInit []byte // kem_output
	extensions   []Extension
}

// reInit is ReInit (section 12.1.5).
type reInit struct {
	groupID    []byte
	version    uint16
	suite      Suite
	extensions []Extension
}

func writeReInit(w *wire.Writer, p reInit) {
	w.Bytes(p.groupID)
	w.Uint16(p.version)
	w.Uint16(uint16(p.suite))
	writeExtensions(w, p.extensions)
}

func readReInit(r *wire.Reader) reInit {
	return reInit{groupID: r.Bytes(), version: r.Uint16(), suite: Suite(r.Uint16()), extensions: readExtensions(r)}
}

func writeProposal(w *wire.Writer, p *proposal) {
	w.Uint16(p.kind)
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
		writePreSharedKeyID(w, p.psk)
	case proposalReInit:
		writeReInit(w, p.reInit)
	case proposalExternalInit:
		w.Bytes(p.externalInit)
	case proposalGroupExtensions:
		writeExtensions(w, p.extensions)
	default:
		w.Fail(fmt.Errorf("%w: proposal type %d", ErrUnsupported, p.kind))
	}
}

func readProposal(r *wire.Reader) *proposal { return readProposalBody(r, r.Uint16()) }

// readProposalBody fails for unknown types: their length is not on the wire.
func readProposalBody(r *wire.Reader, kind uint16) *proposal {
	p := &proposal{kind: kind}
	switch kind {
	case proposalAdd:
		p.add = readKeyPackage(r)
	case proposalUpdate:
		p.update = readLeafNode(r)
	case proposalRemove:
		p.remove = LeafIndex(r.Uint32())
	case proposalPSK:
		p.psk = readPreSharedKeyID(r)
	case proposalReInit:
		p.reInit = readReInit(r)
	case proposalExternalInit:
		p.externalInit = r.Bytes()
	case proposalGroupExtensions:
		p.extensions = readExtensions(r)
	default:
		r.Fail(fmt.Errorf("%w: proposal type %d", ErrUnsupported, kind))
	}
	return p
}

// needsPath reports whether a commit with p must have a path (section 12.4).
func (p *proposal) needsPath() bool {
	switch p.kind {
	case proposalAdd, proposalPSK, proposalReInit:
		return false
	}
	return true
}
