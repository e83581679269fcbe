package mls

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// proposalOrRef is ProposalOrRef (RFC 9420 section 12.4): one of the two is set.
type proposalOrRef struct {
	proposal *proposal
	ref      []byte
}

func writeProposalOrRef(w *wire.Writer, p proposalOrRef) {
	if p.proposal != nil {
		w.Uint8(proposalByValue)
		writeProposal(w, p.proposal)
		return
	}
	w.Uint8(proposalByReference)
	w.Bytes(p.ref)
}

func readProposalOrRef(r *wire.Reader) proposalOrRef {
	switch kind := r.Uint8(); kind {
	case proposalByValue:
		return proposalOrRef{proposal: readProposal(r)}
	case proposalByReference:
		return proposalOrRef{ref: r.Bytes()}
	default:
		r.Fail(fmt.Errorf("proposal or reference of kind %d", kind))
		return proposalOrRef{}
	}
}

// updatePathNode is UpdatePathNode (section 7.6).
type updatePathNode struct {
	encryptionKey []byte
	secrets       []hpkeCiphertext
}

func writeUpdatePathNode(w *wire.Writer, n updatePathNode) {
	w.Bytes(n.encryptionKey)
	wire.WriteVector(w, n.secrets, writeHPKECiphertext)
}

func readUpdatePathNode(r *wire.Reader) updatePathNode {
	return updatePathNode{encryptionKey: r.Bytes(), secrets: vectorUpTo(r, maxLeaves, readHPKECiphertext)}
}

// updatePath is UpdatePath (section 7.6).
type updatePath struct {
	leaf  *leafNode
	nodes []updatePathNode
}

func writeUpdatePath(w *wire.Writer, p *updatePath) {
	writeLeafNode(w, p.leaf)
	wire.WriteVector(w, p.nodes, writeUpdatePathNode)
}

func readUpdatePath(r *wire.Reader) *updatePath {
	p := &updatePath{leaf: readLeafNode(r)}
	secrets := 0
	p.nodes = vectorUpTo(r, maxPathNodes, func(r *wire.Reader) updatePathNode {
		n := readUpdatePathNode(r)
		if secrets += len(n.secrets); secrets > maxLeaves {
			r.Fail(fmt.Errorf("%w: a path of more than %d ciphertexts", ErrLimit, maxLeaves))
		}
		return n
	})
	return p
}

// commit is Commit (section 12.4).
type commit struct {
	proposals []proposalOrRef
	path      *updatePath
}

func writeCommit(w *wire.Writer, c *commit) {
	wire.WriteVector(w, c.proposals, writeProposalOrRef)
	w.Bool(c.path != nil)
	if c.path != nil {
		writeUpdatePath(w, c.path)
	}
}

func readCommit(r *wire.Reader) *commit {
	var counts proposalCounts
	c := &commit{proposals: wire.Vector(r, func(r *wire.Reader) proposalOrRef {
		p := readProposalOrRef(r)
		r.Fail(counts.add(p))
		return p
	})}
	if r.Bool() {
		c.path = readUpdatePath(r)
	}
	return c
}
