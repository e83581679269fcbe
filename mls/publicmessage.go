package mls

import "github.com/sealpost/sealpost/internal/wire"

// publicMessage is PublicMessage (RFC 9420 section 6.2). A member's has a membership tag.
type publicMessage struct {
	content       *framedContent
	auth          authData
	membershipTag []byte
}

func writePublicMessage(w *wire.Writer, m *publicMessage) {
	writeFramedContent(w, m.content)
	writeAuthData(w, m.auth, m.content.contentType)
	if m.content.sender.kind == senderMember {
		w.Bytes(m.membershipTag)
	}
}

func readPublicMessage(r *wire.Reader) *publicMessage {
	m := &publicMessage{content: readFramedContent(r)}
	m.auth = readAuthData(r, m.content.contentType)
	if m.content.sender.kind == senderMember {
		m.membershipTag = r.Bytes()
	}
	return m
}

// protectPublic makes a PublicMessage of a member's signed handshake message. Application
// data never travels so (section 6).
func protectPublic(s *suite, a *authenticatedContent, ctx *groupContext, membershipKey secret) (*publicMessage, error) {
	if a.content.contentType == contentApplication {
		return nil, broken("framing.application-public", "application data as PublicMessage")
	}
	return &publicMessage{
		content: a.content, auth: a.auth,
		membershipTag: s.mac(membershipKey, a.tbm(ctx)),
	}, nil
}

// signed is what the message's signature covers, and the signature.
func (m *publicMessage) signed() (*authenticatedContent, error) {
	if m.content.contentType == contentApplication {
		return nil, broken("framing.application-public", "application data as PublicMessage")
	}
	return &authenticatedContent{wireFormat: wireFormatPublic, content: m.content, auth: m.auth}, nil
}

// unprotect checks the membership tag. The signature is the caller's to check.
func (m *publicMessage) unprotect(s *suite, ctx *groupContext, membershipKey secret) (*authenticatedContent, error) {
	a, err := m.signed()
	if err != nil {
		return nil, err
	}
	if m.content.sender.kind == senderMember && !s.verifyMAC(membershipKey, a.tbm(ctx), m.membershipTag) {
		return nil, broken("framing.membership-tag", "tag of %d bytes does not verify", len(m.membershipTag))
	}
	return a, nil
}

// openOpenly verifies a PublicMessage of the view's epoch, but for its membership tag.
func (m *publicMessage) openOpenly(e *PublicView) (*authenticatedContent, error) {
	a, err := m.signed()
	if err != nil {
		return nil, err
	}
	return a, e.authenticatePublic(a)
}
