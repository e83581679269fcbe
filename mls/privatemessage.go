package mls

import (
	"crypto/rand"
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

// privateMessage is PrivateMessage (RFC 9420 section 6.3).
type privateMessage struct {
	groupID             []byte
	epoch               uint64
	contentType         uint8
	authenticatedData   []byte
	encryptedSenderData []byte
	ciphertext          []byte
}

func writePrivateMessage(w *wire.Writer, m *privateMessage) {
	w.Grow(len(m.groupID) + len(m.authenticatedData) + len(m.encryptedSenderData) + len(m.ciphertext) + 32)
	w.Raw(m.contentAAD())
	w.Bytes(m.encryptedSenderData)
	w.Bytes(m.ciphertext)
}

func readPrivateMessage(r *wire.Reader) *privateMessage {
	m := &privateMessage{groupID: r.Bytes(), epoch: r.Uint64(), contentType: r.Uint8()}
	if r.Err() == nil && (m.contentType < contentApplication || m.contentType > contentCommit) {
		r.Fail(fmt.Errorf("content type %d", m.contentType))
	}
	m.authenticatedData, m.encryptedSenderData, m.ciphertext = r.Bytes(), r.Bytes(), r.Bytes()
	return m
}

// senderDataAAD is SenderDataAAD (section 6.3.2).
func (m *privateMessage) senderDataAAD() []byte {
	var w wire.Writer
	w.Bytes(m.groupID)
	w.Uint64(m.epoch)
	w.Uint8(m.contentType)
	return mustFinish(&w)
}

// contentAAD is PrivateContentAAD (section 6.3.1).
func (m *privateMessage) contentAAD() []byte {
	w := wire.NewWriter(m.senderDataAAD())
	w.Bytes(m.authenticatedData)
	return mustFinish(w)
}

// senderData is SenderData (section 6.3.2).
type senderData struct {
	leaf       LeafIndex
	generation uint32
	guard      [4]byte
}

func writeSenderData(w *wire.Writer, d senderData) {
	w.Uint32(uint32(d.leaf))
	w.Uint32(d.generation)
	w.Raw(d.guard[:])
}

func readSenderData(r *wire.Reader) senderData {
	d := senderData{leaf: LeafIndex(r.Uint32()), generation: r.Uint32()}
	r.Copy(d.guard[:])
	return d
}

// senderDataKey derives key and nonce from a sample of the content's ciphertext.
func (s *suite) senderDataKey(senderDataSecret secret, ciphertext []byte) messageKey {
	sample := ciphertext[:min(len(ciphertext), s.nh)]
	return messageKey{
		key:   s.expandWithLabel(senderDataSecret, "key", sample, s.nk),
		nonce: s.expandWithLabel(senderDataSecret, "nonce", sample, s.nn),
	}
}

// guarded is the key's nonce with the reuse guard folded in (section 6.3.1).
func (k messageKey) guarded(guard [4]byte) []byte {
	nonce := append([]byte(nil), k.nonce...)
	for i := range guard {
		nonce[i] ^= guard[i]
	}
	return nonce
}

func (s *suite) aeadSeal(key, nonce, aad, plaintext []byte) ([]byte, error) {
	c, err := s.newAEAD(key)
	if err != nil {
		return nil, err
	}
	return c.Seal(nil, nonce, plaintext, aad), nil
}

func (s *suite) aeadOpen(key, nonce, aad, ciphertext []byte) ([]byte, error) {
	c, err := s.newAEAD(key)
	if err != nil {
		return nil, err
	}
	out, err := c.Open(nil, nonce, ciphertext, aad)
	if err != nil {
		return nil, ErrDecrypt
	}
	return out, nil
}

// protectPrivate encrypts a signed message under one key of its sender's ratchet. The
// padding is that many zero bytes.
func protectPrivate(s *suite, a *authenticatedContent, senderDataSecret secret, k messageKey, padding int) (*privateMessage, error) {
	c := a.content
	if c.sender.kind != senderMember {
		return nil, broken("framing.sender", "sender type %d in a PrivateMessage", c.sender.kind)
	}
	m := &privateMessage{
		groupID: c.groupID, epoch: c.epoch, contentType: c.contentType, authenticatedData: c.authenticatedData,
	}
	var w wire.Writer
	body := c.covered()
	w.Grow(len(body) + len(a.auth.signature) + len(a.auth.confirmationTag) + 8 + padding)
	w.Raw(body)
	writeAuthData(&w, a.auth, c.contentType)
	w.Raw(make([]byte, padding))
	plaintext, err := w.Finish()
	if err != nil {
		return nil, err
	}
	data := senderData{leaf: LeafIndex(c.sender.index), generation: k.generation}
	_, _ = rand.Read(data.guard[:]) // never fails, by the documentation of crypto/rand
	if m.ciphertext, err = s.aeadSeal(k.key, k.guarded(data.guard), m.contentAAD(), plaintext); err != nil {
		return nil, err
	}
	sk := s.senderDataKey(senderDataSecret, m.ciphertext)
	m.encryptedSenderData, err = s.aeadSeal(sk.key, sk.nonce, m.senderDataAAD(), encode(data, writeSenderData))
	return m, err
}

// openSenderData reads who sent m and with which generation.
func (m *privateMessage) openSenderData(s *suite, senderDataSecret secret) (senderData, error) {
	sk := s.senderDataKey(senderDataSecret, m.ciphertext)
	plain, err := s.aeadOpen(sk.key, sk.nonce, m.senderDataAAD(), m.encryptedSenderData)
	if err != nil {
		return senderData{}, err
	}
	return parse(plain, readSenderData)
}

// open decrypts the content with the key that the sender data named. The signature is the
// caller's to check.
func (m *privateMessage) open(s *suite, data senderData, k messageKey) (*authenticatedContent, error) {
	plain, err := s.aeadOpen(k.key, k.guarded(data.guard), m.contentAAD(), m.ciphertext)
	if err != nil {
		return nil, err
	}
	c := &framedContent{
		groupID: m.groupID, epoch: m.epoch, sender: sender{kind: senderMember, index: uint32(data.leaf)},
		authenticatedData: m.authenticatedData, contentType: m.contentType,
	}
	r := wire.NewReader(plain)
	c.readBody(r)
	a := &authenticatedContent{wireFormat: wireFormatPrivate, content: c, auth: readAuthData(r, c.contentType)}
	for _, b := range r.Rest() {
		if b != 0 {
			return nil, broken("framing.padding", "padding is not all zeros")
		}
	}
	if err := r.Finish(); err != nil {
		return nil, malformed(err)
	}
	return a, nil
}
