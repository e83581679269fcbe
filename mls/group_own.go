package mls

import (
	"crypto/sha256"
	"fmt"
)

// contentDigest is SHA-256 of what a signature covers, which holds neither the signature nor
// generation and padding. Content is recognised by it and not by the reference of RFC 9420
// section 5.2: that one covers the signature, and whoever reads an ECDSA signature can make
// another valid one of it (ATTACKS A22).
type contentDigest [sha256.Size]byte

func (a *authenticatedContent) said(ctx *groupContext) contentDigest {
	return written(a.tbs(ctx), func(b []byte) contentDigest { return sha256.Sum256(b) })
}

func (a *authenticatedContent) digest(ctx *groupContext) signedDigest {
	said := a.said(ctx)
	return signedDigest(said[:])
}

// remember notes that this member has signed a, within the bound.
func (g *Group) remember(a *authenticatedContent) {
	if g.signed.len() < maxSigned {
		g.signed = g.signed.with(a.digest(g.at.ctx))
	}
}

// processOwn judges a message whose signature is this member's and which came under a key
// that g has not used. It is evidence of a copied state only if g never signed its content:
// the signature does not cover the generation, so every member can take what this leaf said
// in this epoch and encrypt it again under the leaf's next keys.
func (g *Group) processOwn(a *authenticatedContent, msg []byte) (Received, error) {
	if g.signed.len() < maxSigned && !g.signed.contains(a.digest(g.at.ctx)) {
		return nil, ErrOwnMessage
	}
	switch a.content.contentType {
	case contentCommit:
		// The others will follow it, since what counts is its content.
		return g.receiveCommit(a, msg)
	case contentProposal:
		said := a.said(g.at.ctx)
		for _, q := range g.sent {
			if q.said == said {
				return g.ownProposal(q, a) // waits at the others from here on, as it came
			}
		}
	}
	return nil, fmt.Errorf("%w: own message, encrypted again", ErrConsumed)
}
