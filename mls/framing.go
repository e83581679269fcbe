package mls

import (
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// sender is Sender (RFC 9420 section 6).
type sender struct {
	kind  uint8
	index uint32 // leaf or external sender
}

// fromMember is the sender of a message by the member at l.
func fromMember(l LeafIndex) sender { return sender{kind: senderMember, index: uint32(l)} }

// leaf is a member's place. For anybody else it means nothing.
func (s sender) leaf() LeafIndex { return LeafIndex(s.index) }

func writeSender(w *wire.Writer, s sender) {
	w.Uint8(s.kind)
	if s.kind == senderMember || s.kind == senderExternal {
		w.Uint32(s.index)
	}
}

func readSender(r *wire.Reader) sender {
	s := sender{kind: r.Uint8()}
	switch s.kind {
	case senderMember, senderExternal:
		s.index = r.Uint32()
	case senderNewMemberProposal, senderNewMemberCommit:
	default:
		r.Fail(fmt.Errorf("sender type %d", s.kind))
	}
	return s
}

// framedContent is FramedContent (section 6): the field that contentType names is set.
type framedContent struct {
	groupID           []byte
	epoch             uint64
	sender            sender
	authenticatedData []byte
	contentType       uint8
	application       []byte
	proposal          *proposal
	commit            *commit

	// body is how a commit is encoded, which may take megabytes, once it is received or about
	// to be signed; nil before.
	body []byte
}

func writeFramedContent(w *wire.Writer, c *framedContent) {
	c.writeHead(w)
	c.writeBody(w)
}

func (c *framedContent) writeHead(w *wire.Writer) {
	w.Bytes(c.groupID)
	w.Uint64(c.epoch)
	writeSender(w, c.sender)
	w.Bytes(c.authenticatedData)
	w.Uint8(c.contentType)
}

// covered is the body as signatures, hashes and ciphertexts cover it.
func (c *framedContent) covered() []byte {
	if c.body != nil {
		return c.body
	}
	return encode(c, func(w *wire.Writer, c *framedContent) { c.writeBody(w) })
}

func (c *framedContent) writeBody(w *wire.Writer) {
	switch c.contentType {
	case contentApplication:
		w.Bytes(c.application)
	case contentProposal:
		writeProposal(w, c.proposal)
	case contentCommit:
		writeCommit(w, c.commit)
	default:
		w.Fail(fmt.Errorf("content type %d", c.contentType))
	}
}

func readFramedContent(r *wire.Reader) *framedContent {
	c := &framedContent{
		groupID: r.Bytes(), epoch: r.Uint64(), sender: readSender(r),
		authenticatedData: r.Bytes(), contentType: r.Uint8(),
	}
	c.readBody(r)
	return c
}

func (c *framedContent) readBody(r *wire.Reader) {
	switch c.contentType {
	case contentApplication:
		c.application = r.Bytes()
	case contentProposal:
		c.proposal = readProposal(r)
	case contentCommit:
		c.body = r.Span(func(r *wire.Reader) { c.commit = readCommit(r) })
	default:
		r.Fail(fmt.Errorf("content type %d", c.contentType))
	}
}

// authData is FramedContentAuthData (section 6.1). A commit has a confirmation tag.
type authData struct {
	signature       []byte
	confirmationTag []byte
}

func writeAuthData(w *wire.Writer, a authData, contentType uint8) {
	w.Bytes(a.signature)
	if contentType == contentCommit {
		w.Bytes(a.confirmationTag)
	}
}

func readAuthData(r *wire.Reader, contentType uint8) authData {
	a := authData{signature: r.Bytes()}
	if contentType == contentCommit {
		a.confirmationTag = r.Bytes()
	}
	return a
}

// authenticatedContent is AuthenticatedContent (section 6).
type authenticatedContent struct {
	wireFormat uint16
	content    *framedContent
	auth       authData
}

func writeAuthenticatedContent(w *wire.Writer, a *authenticatedContent) {
	w.Uint16(a.wireFormat)
	writeFramedContent(w, a.content)
	writeAuthData(w, a.auth, a.content.contentType)
}

func readAuthenticatedContent(r *wire.Reader) *authenticatedContent {
	a := &authenticatedContent{wireFormat: r.Uint16(), content: readFramedContent(r)}
	a.auth = readAuthData(r, a.content.contentType)
	return a
}

// tbs writes FramedContentTBS: a member's signature also covers the group context.
func (a *authenticatedContent) tbs(ctx *groupContext) func(*wire.Writer) {
	return func(w *wire.Writer) {
		w.Grow(len(a.content.body) + len(a.content.authenticatedData) + len(a.content.application) + 512)
		w.Uint16(versionMLS10)
		w.Uint16(a.wireFormat)
		a.content.writeHead(w)
		if a.content.body != nil {
			w.Raw(a.content.body)
		} else {
			a.content.writeBody(w)
		}
		switch a.content.sender.kind {
		case senderMember, senderNewMemberCommit:
			writeGroupContext(w, ctx)
		}
	}
}

// tbm is AuthenticatedContentTBM (section 6.2).
func (a *authenticatedContent) tbm(ctx *groupContext) []byte {
	var w wire.Writer
	a.tbs(ctx)(&w)
	writeAuthData(&w, a.auth, a.content.contentType)
	return mustFinish(&w)
}

func (a *authenticatedContent) sign(s *suite, key SignaturePrivateKey, ctx *groupContext) error {
	sig, err := s.signWritten(key, "FramedContentTBS", a.tbs(ctx))
	a.auth.signature = sig
	return err
}

func (a *authenticatedContent) verifySignature(s *suite, key SignaturePublicKey, ctx *groupContext) error {
	if err := s.verifyWritten(key, "FramedContentTBS", a.tbs(ctx), a.auth.signature); err != nil {
		return brokenBy("framing.signature", err, "signature of the message")
	}
	return nil
}

// proposalRef is MakeProposalRef (section 5.2).
func (a *authenticatedContent) proposalRef(s *suite) []byte {
	var w wire.Writer
	writeAuthenticatedContent(&w, a)
	return s.refHash("MLS 1.0 Proposal Reference", mustFinish(&w))
}
