package mls

import "bytes"

// Member is one leaf of an epoch. It is a copy; changing it changes nothing.
type Member struct {
	Leaf          LeafIndex
	Credential    Credential
	SignatureKey  SignaturePublicKey
	EncryptionKey []byte
	Extensions    []Extension // of the leaf
	// Lifetime is that of the KeyPackage the leaf came with, nil once the member has updated
	// its leaf or committed with a path.
	Lifetime *Lifetime
}

func newMember(l LeafIndex, leaf *leafNode) Member {
	m := Member{
		Leaf: l, Credential: leaf.credential.clone(), SignatureKey: bytes.Clone(leaf.signatureKey),
		EncryptionKey: bytes.Clone(leaf.encryptionKey), Extensions: cloneExtensions(leaf.extensions),
	}
	if leaf.source == sourceKeyPackage {
		m.Lifetime = new(leaf.lifetime.public())
	}
	return m
}

func (m Member) clone() Member {
	m.Credential, m.SignatureKey = m.Credential.clone(), bytes.Clone(m.SignatureKey)
	m.EncryptionKey, m.Extensions = bytes.Clone(m.EncryptionKey), cloneExtensions(m.Extensions)
	if m.Lifetime != nil {
		m.Lifetime = new(*m.Lifetime)
	}
	return m
}

// PublicView is the public state of one epoch: what everybody who follows the group's
// handshake computes alike. It holds no secret and never changes.
type PublicView struct {
	suite           *suite
	ctx             *groupContext
	tree            *ratchetTree // all hashes cached, so that readers only read
	confirmationTag []byte
	interim         []byte  // interim transcript hash
	reInit          *ReInit // of the commit that began the epoch
}

// ID is the group id.
func (e *PublicView) ID() []byte { return bytes.Clone(e.ctx.groupID) }

// Suite is the group's cipher suite.
func (e *PublicView) Suite() Suite { return e.suite.id }

// Epoch is the epoch's number.
func (e *PublicView) Epoch() uint64 { return e.ctx.epoch }

// Members lists the leaves that are not blank, in ascending order.
func (e *PublicView) Members() []Member {
	var out []Member
	for l, leaf := range e.tree.members {
		out = append(out, newMember(l, leaf))
	}
	return out
}

// Member returns the member at a leaf; false if the leaf is blank.
func (e *PublicView) Member(l LeafIndex) (Member, bool) {
	leaf := e.tree.leaf(l)
	if leaf == nil {
		return Member{}, false
	}
	return newMember(l, leaf), true
}

// Extensions lists the group context's extensions.
func (e *PublicView) Extensions() []Extension { return cloneExtensions(e.ctx.extensions) }

// GroupContextExtension returns one extension of the group context.
func (e *PublicView) GroupContextExtension(t ExtensionType) ([]byte, bool) {
	data, ok := findExtension(e.ctx.extensions, t)
	return bytes.Clone(data), ok
}

// TreeHash is the hash of the ratchet tree, as the group context holds it.
func (e *PublicView) TreeHash() []byte { return bytes.Clone(e.ctx.treeHash) }

// RatchetTree is the public tree in the form of the ratchet_tree extension, as [Join] takes
// it. It holds no secrets, but names every member.
func (e *PublicView) RatchetTree() []byte { return encode(e.tree, writeRatchetTree) }

// confirm sets the confirmation tag and, with it, the interim transcript hash.
func (e *PublicView) confirm(tag []byte) {
	e.confirmationTag = tag
	e.interim = e.suite.interimTranscriptHash(e.ctx.confirmedTranscriptHash, tag)
}

// same reports whether o is the same epoch of the same history.
func (e *PublicView) same(o *PublicView) bool {
	return bytes.Equal(e.ctx.groupID, o.ctx.groupID) && e.ctx.epoch == o.ctx.epoch &&
		bytes.Equal(e.confirmationTag, o.confirmationTag)
}
