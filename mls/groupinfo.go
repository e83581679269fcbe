package mls

import "github.com/sealpost/sealpost/internal/wire"

// groupInfo is GroupInfo (RFC 9420 section 12.4.3).
type groupInfo struct {
	context         *groupContext
	extensions      []Extension
	confirmationTag []byte
	signer          LeafIndex
	signature       []byte
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
