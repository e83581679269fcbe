package mls

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// contentDigest is SHA-256 of what a signature covers, which holds neither the signature nor
// generation and padding. Content is recognised by it and not by the reference of RFC 9420
// section 5.2: that one covers the signature, and whoever reads an ECDSA signature can make
// another valid one of it (ATTACKS A22).
type contentDigest [sha256.Size]byte

func (a *authenticatedContent) said(ctx *groupContext) contentDigest {
	return written(a.tbs(ctx), func(b []byte) contentDigest { return sha256.Sum256(b) })
}

func (d contentDigest) short() signedDigest { return signedDigest(d[:]) }

func (a *authenticatedContent) digest(ctx *groupContext) signedDigest { return a.said(ctx).short() }

// whole is SHA-256 of a commit with its signature and confirmation tag: all that decides which
// epoch it leads to, and nothing of how it is encrypted.
func (a *authenticatedContent) whole(ctx *groupContext) [sha256.Size]byte {
	return sha256.Sum256(a.tbm(ctx))
}

// remember notes that this member has signed a, within the bound.
func (g *Group) remember(a *authenticatedContent) {
	if g.signed.len() < maxSigned {
		g.signed = g.signed.with(a.digest(g.at.ctx))
	}
}

// signedElsewhere reports whether g never signed a, which its own leaf did sign: another copy of
// the state is in use. Own content under another key than it was sent with is no sign of that:
// the signature does not cover the generation, so every member can take what this leaf said in
// this epoch and encrypt it again under the leaf's keys.
func (g *Group) signedElsewhere(a *authenticatedContent) bool {
	return g.signed.len() < maxSigned && !g.signed.contains(a.digest(g.at.ctx))
}

// nextKey is the key for the next message of this member; used says that it was sent.
//
// Of an application message the key is gone then. That of a proposal or commit stays until the
// others have used it too, which shows by what comes back: what counts for them under it need
// not be what this member has encrypted (ATTACKS A08), and a member that could not read it would
// be alone with another queue. What it reads with it is what waits in its state anyway.
func (g *Group) nextKey(contentType uint8) (key messageKey, used func(), err error) {
	if contentType == contentApplication {
		st, err := g.keys.seekNext(g.at.own, contentType)
		if err != nil {
			return messageKey{}, nil, err
		}
		return st.key, func() { g.keys.take(st) }, nil
	}
	if err := g.keys.ready(g.at.own); err != nil {
		return messageKey{}, nil, err
	}
	known, _ := g.keys.ratchets(g.at.own)
	r := known.handshake
	next, err := r.first(g.spoken)
	if err != nil {
		return messageKey{}, nil, err
	}
	if r.next <= g.ahead.next && g.ahead.next <= next && g.ahead.secret != nil {
		r = g.ahead // spares the way past messages that have not come back
	}
	key, err = r.seek(g.at.suite, next)
	r.skipped = nil
	return key, func() { g.spoken, g.ahead = next+1, r }, err
}

// take uses up a key, as everybody does who accepts the message.
func (g *Group) take(st *step) {
	g.keys.take(st)
	if st.leaf == g.at.own {
		g.ahead = ratchet{} // the key could be derived from it
	}
}

// receiveOwnCommit judges a commit of this member's leaf that g has signed.
func (g *Group) receiveOwnCommit(a *authenticatedContent, msg []byte) (Received, error) {
	if !slices.Contains(g.commits, a.whole(g.at.ctx)) {
		// Another signature or tag, by who encrypted it again: it leads elsewhere.
		return g.receiveCommit(a, msg)
	}
	// All else was checked when it was made, and holds for the epoch.
	if _, err := g.queue.resolve(a); err != nil {
		return nil, classify(err, contentCommit)
	}
	return &OwnCommit{Message: bytes.Clone(msg), tag: a.auth.confirmationTag}, nil
}

// reclaim gives an own proposal that has come back the keys that an Update brings into force.
// The signature that came stays: the others know the proposal by it.
func (g *Group) reclaim(q *queuedProposal) {
	for _, s := range g.sent {
		if s.said == q.said {
			q.leafKey, q.signatureKey = s.leafKey, s.signatureKey
		}
	}
}

// recall knows the own commits and proposals of an older release, which kept digests of the
// messages and no keys; nil for any other message.
func (g *Group) recall(msg []byte) (Received, error) {
	digest := sha256.Sum256(msg)
	if slices.Contains(g.commits, digest) {
		return &OwnCommit{Message: bytes.Clone(msg)}, nil
	}
	for _, q := range g.sent {
		if q.digest == digest {
			back := *q
			return g.enqueue(&back)
		}
	}
	return nil, nil
}
