package mls

import (
	"bytes"
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// groupInfo is GroupInfo (RFC 9420 section 12.4.3).
type groupInfo struct {
	context         *groupContext
	extensions      []Extension
	confirmationTag []byte
	signer          LeafIndex
	signature       []byte
}

// GroupInfoParams says what a GroupInfo holds besides the group context.
type GroupInfoParams struct {
	// Tree includes the whole ratchet tree (RFC 9420 section 12.4.3.3). Whoever reads the
	// GroupInfo otherwise needs it from elsewhere.
	Tree bool
	// ExternalPub includes the epoch's external key, so that whoever reads the GroupInfo can
	// join by an external commit ([JoinExternal]), if the application of the members lets it.
	ExternalPub bool
}

// GroupInfo is an MLSMessage with a GroupInfo of the epoch that this member signed. It holds
// no secret, but names the group and, with the tree, every member. A group that ends by a ReInit
// has none any more, since whoever begins with it could not know that: [ErrReInit].
func (e *EpochView) GroupInfo(p GroupInfoParams) ([]byte, error) {
	if e.reInit != nil {
		return nil, ErrReInit
	}
	info, err := e.groupInfo(p)
	if err != nil {
		return nil, err
	}
	return encode(&message{wireFormat: wireFormatGroupInfo, groupInfo: info}, writeMessage), nil
}

func (e *EpochView) groupInfo(p GroupInfoParams) (*groupInfo, error) {
	info := &groupInfo{context: e.ctx, confirmationTag: e.confirmationTag, signer: e.own}
	if p.Tree {
		info.extensions = append(info.extensions, Extension{Type: extensionRatchetTree, Data: e.RatchetTree()})
	}
	if p.ExternalPub {
		key, err := e.externalKey()
		if err != nil {
			return nil, err
		}
		var w wire.Writer
		w.Bytes(key.pub)
		info.extensions = append(info.extensions, Extension{Type: extensionExternalPub, Data: mustFinish(&w)})
	}
	return info, info.sign(e.suite, e.signatureKey)
}

// CheckGroupInfo verifies that a GroupInfo (an MLSMessage) is of this very epoch, signed by a
// member, and holds no other tree and no unusable external key: what a delivery service asks
// before it hands one out. Errors: [ErrMalformed], [ErrWrongGroup], [ErrPastEpoch],
// [ErrFutureEpoch], [ErrTreeMismatch], [ErrInvalid].
func (e *PublicView) CheckGroupInfo(groupInfo []byte) error {
	m, err := parse(groupInfo, readMessage)
	if err != nil {
		return err
	}
	info := m.groupInfo
	if info == nil {
		return fmt.Errorf("%w: wire format %d is no GroupInfo", ErrMalformed, m.wireFormat)
	}
	if err := e.checkAddress(info.context.groupID, info.context.epoch); err != nil {
		return err
	}
	if !bytes.Equal(info.context.bytes(), e.ctx.bytes()) || !bytes.Equal(info.confirmationTag, e.confirmationTag) {
		return broken("groupinfo.epoch", "another epoch %d than this one", e.ctx.epoch)
	}
	if err := checkExtensionList(info.extensions, inGroupInfo); err != nil {
		return err
	}
	if data, ok := findExtension(info.extensions, extensionRatchetTree); ok && !bytes.Equal(data, e.RatchetTree()) {
		return ErrTreeMismatch
	}
	if data, ok := findExtension(info.extensions, extensionExternalPub); ok {
		if _, err := e.suite.parseExternalPub(data); err != nil {
			return err
		}
	}
	signer := e.tree.leaf(info.signer)
	if signer == nil {
		return broken("groupinfo.signer", "leaf %d is not a member", info.signer)
	}
	return info.verifySignature(e.suite, signer.signatureKey)
}

// CheckGroupInfo is [PublicView.CheckGroupInfo], and also refuses an external key that is not the
// epoch's: who joined by an invented one would leave everybody else behind.
func (e *EpochView) CheckGroupInfo(groupInfo []byte) error {
	if err := e.PublicView.CheckGroupInfo(groupInfo); err != nil {
		return err
	}
	m, err := parse(groupInfo, readMessage)
	if err != nil {
		return err
	}
	data, ok := findExtension(m.groupInfo.extensions, extensionExternalPub)
	if !ok {
		return nil
	}
	pub, err := e.suite.parseExternalPub(data)
	if err != nil {
		return err
	}
	own, err := e.externalKey()
	if err != nil {
		return err
	}
	if !bytes.Equal(pub, own.pub) {
		return broken("groupinfo.external-pub", "another external key than the epoch's")
	}
	return nil
}

func writeGroupInfo(w *wire.Writer, g *groupInfo) {
	g.writeUnsigned(w)
	w.Bytes(g.signature)
}

func (g *groupInfo) writeUnsigned(w *wire.Writer) {
	writeGroupContext(w, g.context)
	writeExtensions(w, g.extensions)
	w.Bytes(g.confirmationTag)
	w.Uint32(uint32(g.signer))
}

func readGroupInfo(r *wire.Reader) *groupInfo {
	return &groupInfo{
		context: readGroupContext(r), extensions: readExtensions(r), confirmationTag: r.Bytes(),
		signer: LeafIndex(r.Uint32()), signature: r.Bytes(),
	}
}

func (g *groupInfo) tbs() []byte {
	var w wire.Writer
	g.writeUnsigned(&w)
	return mustFinish(&w)
}

func (g *groupInfo) sign(s *suite, key SignaturePrivateKey) error {
	sig, err := s.signWithLabel(key, "GroupInfoTBS", g.tbs())
	g.signature = sig
	return err
}

func (g *groupInfo) verifySignature(s *suite, key SignaturePublicKey) error {
	if err := s.verifyWithLabel(key, "GroupInfoTBS", g.tbs(), g.signature); err != nil {
		return brokenBy("groupinfo.signature", err, "signer %d", g.signer)
	}
	return nil
}
