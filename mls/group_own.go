package mls

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
)

// signedDigest stands for content that this member has signed. It is short because nobody
// gains by a collision: what collides passes for known, and known content is no evidence.
type signedDigest [8]byte

// digest covers what the signature covers, which holds neither generation nor padding.
func (a *authenticatedContent) digest(ctx *groupContext) signedDigest {
	sum := sha256.Sum256(a.tbs(ctx))
	return signedDigest(sum[:])
}

// remember notes that this member has signed a, within the bound.
func (g *Group) remember(a *authenticatedContent) {
	if len(g.signed) < maxSigned {
		g.signed = append(g.signed, a.digest(g.at.ctx))
	}
}

// processOwn judges a message whose signature is this member's and which came under a key
// that g has not used. It is evidence of a copied state only if g never signed its content:
// the signature does not cover the generation, so every member can take what this leaf said
// in this epoch and encrypt it again under the leaf's next keys.
func (g *Group) processOwn(a *authenticatedContent, msg []byte) (Received, error) {
	if len(g.signed) < maxSigned && !slices.Contains(g.signed, a.digest(g.at.ctx)) {
		return nil, ErrOwnMessage
	}
	switch a.content.contentType {
	case contentCommit:
		// The others will follow it, since what counts is its content.
		return g.receiveCommit(a, msg)
	case contentProposal:
		ref := a.proposalRef(g.at.suite)
		for _, q := range g.sent {
			if bytes.Equal(q.ref, ref) {
				return g.ownProposal(q) // waits at the others from here on
			}
		}
	}
	return nil, fmt.Errorf("%w: own message, encrypted again", ErrConsumed)
}
