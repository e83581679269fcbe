package mls

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/internal/wire"
)

type secretTreeVector struct {
	SenderData struct {
		Secret                 hexBytes `json:"sender_data_secret"`
		Ciphertext, Key, Nonce hexBytes
	} `json:"sender_data"`
	EncryptionSecret hexBytes `json:"encryption_secret"`
	Leaves           [][]struct {
		Generation       uint32
		HandshakeKey     hexBytes `json:"handshake_key"`
		HandshakeNonce   hexBytes `json:"handshake_nonce"`
		ApplicationKey   hexBytes `json:"application_key"`
		ApplicationNonce hexBytes `json:"application_nonce"`
	}
}

// checkSecretTree asks for every listed generation twice over: ascending, and descending on
// another copy, which goes through the out-of-order window.
func checkSecretTree(s *suite, v *secretTreeVector) error {
	if len(v.Leaves) == 0 {
		return errNothing
	}
	k := s.senderDataKey(secret(v.SenderData.Secret), v.SenderData.Ciphertext)
	err := firstError(
		expect("sender data key", k.key, v.SenderData.Key),
		expect("sender data nonce", k.nonce, v.SenderData.Nonce),
	)
	if err != nil {
		return err
	}
	leaves := powerOfTwo(uint32(len(v.Leaves)))
	ascending := newSecretTree(s, leaves, secret(v.EncryptionSecret))
	descending := ascending.clone()
	get := func(t *secretTree, l int, contentType uint8, generation uint32) (messageKey, error) {
		st, err := t.seek(LeafIndex(l), contentType, generation)
		if err != nil {
			return messageKey{}, err
		}
		t.take(st)
		return st.key, nil
	}
	for _, t := range []*secretTree{ascending, descending} {
		for l, wants := range v.Leaves {
			if t == descending {
				slices.Reverse(wants)
			}
			for _, want := range wants {
				h, err := get(t, l, contentCommit, want.Generation)
				if err != nil {
					return err
				}
				a, err := get(t, l, contentApplication, want.Generation)
				if err != nil {
					return err
				}
				err = firstError(
					expect("handshake_key", h.key, want.HandshakeKey),
					expect("handshake_nonce", h.nonce, want.HandshakeNonce),
					expect("application_key", a.key, want.ApplicationKey),
					expect("application_nonce", a.nonce, want.ApplicationNonce),
				)
				if err != nil {
					return fmt.Errorf("leaf %d generation %d: %w", l, want.Generation, err)
				}
			}
		}
	}
	return nil
}

type messageProtectionVector struct {
	GroupID                 hexBytes `json:"group_id"`
	Epoch                   uint64
	TreeHash                hexBytes `json:"tree_hash"`
	ConfirmedTranscriptHash hexBytes `json:"confirmed_transcript_hash"`
	SignaturePriv           hexBytes `json:"signature_priv"`
	SignaturePub            hexBytes `json:"signature_pub"`
	EncryptionSecret        hexBytes `json:"encryption_secret"`
	SenderDataSecret        hexBytes `json:"sender_data_secret"`
	MembershipKey           hexBytes `json:"membership_key"`

	Proposal        hexBytes
	ProposalPub     hexBytes `json:"proposal_pub"`
	ProposalPriv    hexBytes `json:"proposal_priv"`
	Commit          hexBytes
	CommitPub       hexBytes `json:"commit_pub"`
	CommitPriv      hexBytes `json:"commit_priv"`
	Application     hexBytes
	ApplicationPriv hexBytes `json:"application_priv"`
}

// protection is what a member of the vector's group needs to protect and unprotect.
type protection struct {
	*messageProtectionVector
	suite *suite
	ctx   *groupContext
	key   SignaturePrivateKey
}

func checkMessageProtection(s *suite, v *messageProtectionVector) error {
	key, err := s.id.ParseSignatureKey(s.vectorKey(v.SignaturePriv))
	if err != nil {
		return err
	}
	p := &protection{messageProtectionVector: v, suite: s, key: key, ctx: &groupContext{
		suite: s.id, groupID: v.GroupID, epoch: v.Epoch, treeHash: v.TreeHash,
		confirmedTranscriptHash: v.ConfirmedTranscriptHash,
	}}
	for _, c := range []struct {
		contentType    uint8
		raw, pub, priv []byte
	}{
		{contentProposal, v.Proposal, v.ProposalPub, v.ProposalPriv},
		{contentCommit, v.Commit, v.CommitPub, v.CommitPriv},
		{contentApplication, v.Application, nil, v.ApplicationPriv},
	} {
		if c.contentType != contentApplication {
			if err := p.checkPublic(c.contentType, c.raw, c.pub); err != nil {
				return fmt.Errorf("public message of type %d: %w", c.contentType, err)
			}
		}
		if err := p.checkPrivate(c.contentType, c.raw, c.priv); err != nil {
			return fmt.Errorf("private message of type %d: %w", c.contentType, err)
		}
		if err := p.checkOwn(c.contentType, c.raw); err != nil {
			return fmt.Errorf("own message of type %d: %w", c.contentType, err)
		}
	}
	return nil
}

// body is the content as the vector holds it: application data without its length.
func (p *protection) body(c *framedContent) []byte {
	if c.contentType == contentApplication {
		return c.application
	}
	var w wire.Writer
	c.writeBody(&w)
	return mustFinish(&w)
}

func (p *protection) checkPublic(contentType uint8, raw, msg []byte) error {
	m, err := parse(msg, readMessage)
	if err != nil {
		return err
	}
	if m.public == nil || m.public.content.contentType != contentType {
		return errors.New("not a PublicMessage of the type")
	}
	a, err := m.public.unprotect(p.suite, p.ctx, secret(p.MembershipKey))
	if err != nil {
		return err
	}
	if err := a.verifySignature(p.suite, SignaturePublicKey(p.SignaturePub), p.ctx); err != nil {
		return err
	}
	return expect("content", p.body(a.content), raw)
}

func (p *protection) checkPrivate(contentType uint8, raw, msg []byte) error {
	m, err := parse(msg, readMessage)
	if err != nil {
		return err
	}
	if m.private == nil || m.private.contentType != contentType {
		return errors.New("not a PrivateMessage of the type")
	}
	data, err := m.private.openSenderData(p.suite, secret(p.SenderDataSecret))
	if err != nil {
		return err
	}
	if data.leaf != 1 {
		return fmt.Errorf("sender is leaf %d, want 1", data.leaf)
	}
	st, err := newSecretTree(p.suite, 2, secret(p.EncryptionSecret)).seek(data.leaf, contentType, data.generation)
	if err != nil {
		return err
	}
	a, err := m.private.open(p.suite, data, st.key)
	if err != nil {
		return err
	}
	if err := a.verifySignature(p.suite, SignaturePublicKey(p.SignaturePub), p.ctx); err != nil {
		return err
	}
	return expect("content", p.body(a.content), raw)
}

// checkOwn protects the raw content both ways and takes it apart again.
func (p *protection) checkOwn(contentType uint8, raw []byte) error {
	c := &framedContent{
		groupID: p.GroupID, epoch: p.Epoch, sender: sender{kind: senderMember, index: 1},
		authenticatedData: []byte("aad"), contentType: contentType,
	}
	if contentType == contentApplication {
		c.application = raw
	} else {
		r := wire.NewReader(raw)
		c.readBody(r)
		if err := r.Finish(); err != nil {
			return err
		}
	}
	for _, format := range []uint16{wireFormatPublic, wireFormatPrivate} {
		a := &authenticatedContent{wireFormat: format, content: c}
		if contentType == contentCommit {
			a.auth.confirmationTag = bytes.Repeat([]byte{7}, p.suite.nh)
		}
		if err := a.sign(p.suite, p.key, p.ctx); err != nil {
			return err
		}
		if err := p.roundTrip(a, raw); err != nil {
			return err
		}
	}
	return nil
}

func (p *protection) roundTrip(a *authenticatedContent, raw []byte) error {
	contentType := a.content.contentType
	if a.wireFormat == wireFormatPublic {
		m, err := protectPublic(p.suite, a, p.ctx, secret(p.MembershipKey))
		if contentType == contentApplication {
			if err == nil {
				return errors.New("application data was protected as PublicMessage")
			}
			return nil
		}
		if err != nil {
			return err
		}
		return p.checkPublic(contentType, raw, encode(&message{wireFormat: wireFormatPublic, public: m}, writeMessage))
	}
	st, err := newSecretTree(p.suite, 2, secret(p.EncryptionSecret)).seekNext(1, contentType)
	if err != nil {
		return err
	}
	m, err := protectPrivate(p.suite, a, secret(p.SenderDataSecret), st.key, 10)
	if err != nil {
		return err
	}
	return p.checkPrivate(contentType, raw, encode(&message{wireFormat: wireFormatPrivate, private: m}, writeMessage))
}

type messagesVector struct {
	Welcome     hexBytes `json:"mls_welcome"`
	GroupInfo   hexBytes `json:"mls_group_info"`
	KeyPackage  hexBytes `json:"mls_key_package"`
	RatchetTree hexBytes `json:"ratchet_tree"`
	Secrets     hexBytes `json:"group_secrets"`

	Add             hexBytes `json:"add_proposal"`
	Update          hexBytes `json:"update_proposal"`
	Remove          hexBytes `json:"remove_proposal"`
	PSK             hexBytes `json:"pre_shared_key_proposal"`
	ReInit          hexBytes `json:"re_init_proposal"`
	ExternalInit    hexBytes `json:"external_init_proposal"`
	GroupExtensions hexBytes `json:"group_context_extensions_proposal"`

	Commit            hexBytes
	PublicApplication hexBytes `json:"public_message_application"`
	PublicProposal    hexBytes `json:"public_message_proposal"`
	PublicCommit      hexBytes `json:"public_message_commit"`
	Private           hexBytes `json:"private_message"`
}

func checkMessages(s *suite, v *messagesVector) error {
	body := func(kind uint16) func([]byte) ([]byte, error) {
		return roundTrip(func(r *wire.Reader) *proposal { return readProposalBody(r, ProposalType(kind)) }, writeProposalBody)
	}
	whole := roundTrip(readMessage, writeMessage)
	for _, c := range []struct {
		name  string
		bytes []byte
		trip  func([]byte) ([]byte, error)
	}{
		{"mls_welcome", v.Welcome, whole},
		{"mls_group_info", v.GroupInfo, whole},
		{"mls_key_package", v.KeyPackage, whole},
		{"ratchet_tree", v.RatchetTree, roundTrip(s.readRatchetTree, writeRatchetTree)},
		{"group_secrets", v.Secrets, roundTrip(readGroupSecrets, writeGroupSecrets)},
		{"add_proposal", v.Add, body(proposalAdd)},
		{"update_proposal", v.Update, body(proposalUpdate)},
		{"remove_proposal", v.Remove, body(proposalRemove)},
		{"pre_shared_key_proposal", v.PSK, body(proposalPSK)},
		{"re_init_proposal", v.ReInit, body(proposalReInit)},
		{"external_init_proposal", v.ExternalInit, body(proposalExternalInit)},
		{"group_context_extensions_proposal", v.GroupExtensions, body(proposalGroupExtensions)},
		{"commit", v.Commit, roundTrip(readCommit, writeCommit)},
		{"public_message_application", v.PublicApplication, whole},
		{"public_message_proposal", v.PublicProposal, whole},
		{"public_message_commit", v.PublicCommit, whole},
		{"private_message", v.Private, whole},
	} {
		again, err := c.trip(c.bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if err := expect(c.name+" written again", again, c.bytes); err != nil {
			return err
		}
	}
	return nil
}

// roundTrip decodes and encodes again.
func roundTrip[T any](read func(*wire.Reader) T, write func(*wire.Writer, T)) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		v, err := parse(b, read)
		if err != nil {
			return nil, err
		}
		return encode(v, write), nil
	}
}
