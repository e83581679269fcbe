package mls

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/internal/wire"
)

type cryptoBasicsVector struct {
	RefHash struct {
		Label      string
		Value, Out hexBytes
	} `json:"ref_hash"`
	ExpandWithLabel struct {
		Secret, Context, Out hexBytes
		Label                string
		Length               int
	} `json:"expand_with_label"`
	DeriveSecret struct {
		Secret, Out hexBytes
		Label       string
	} `json:"derive_secret"`
	DeriveTreeSecret struct {
		Secret, Out hexBytes
		Label       string
		Generation  uint32
		Length      int
	} `json:"derive_tree_secret"`
	SignWithLabel struct {
		Priv, Pub, Content, Signature hexBytes
		Label                         string
	} `json:"sign_with_label"`
	EncryptWithLabel struct {
		Priv, Pub, Context, Plaintext, Ciphertext hexBytes
		KEMOutput                                 hexBytes `json:"kem_output"`
		Label                                     string
	} `json:"encrypt_with_label"`
}

func checkCryptoBasics(s *suite, v *cryptoBasicsVector) error {
	if v.ExpandWithLabel.Length == 0 || v.DeriveTreeSecret.Length == 0 {
		return errNothing
	}
	return firstError(
		expect("ref_hash", s.refHash(v.RefHash.Label, v.RefHash.Value), v.RefHash.Out),
		expect("expand_with_label", s.expandWithLabel(v.ExpandWithLabel.Secret, v.ExpandWithLabel.Label,
			v.ExpandWithLabel.Context, v.ExpandWithLabel.Length), v.ExpandWithLabel.Out),
		expect("derive_secret", s.deriveSecret(v.DeriveSecret.Secret, v.DeriveSecret.Label), v.DeriveSecret.Out),
		expect("derive_tree_secret", s.deriveTreeSecret(v.DeriveTreeSecret.Secret, v.DeriveTreeSecret.Label,
			v.DeriveTreeSecret.Generation, v.DeriveTreeSecret.Length), v.DeriveTreeSecret.Out),
		v.checkSign(s),
		v.checkEncrypt(s),
	)
}

func (v *cryptoBasicsVector) checkSign(s *suite) error {
	c := v.SignWithLabel
	if err := s.verifyWithLabel([]byte(c.Pub), c.Label, c.Content, c.Signature); err != nil {
		return fmt.Errorf("sign_with_label: %w", err)
	}
	key, err := s.id.ParseSignatureKey(s.vectorKey(c.Priv))
	if err != nil {
		return err
	}
	signature, err := key.Sign(c.Label, c.Content)
	if err != nil {
		return err
	}
	return s.verifyWithLabel([]byte(c.Pub), c.Label, c.Content, signature)
}

func (v *cryptoBasicsVector) checkEncrypt(s *suite) error {
	c := v.EncryptWithLabel
	key, err := s.parseHPKE(s.vectorKey(c.Priv))
	if err != nil {
		return err
	}
	fresh, err := s.encryptWithLabel(c.Pub, c.Label, c.Context, c.Plaintext)
	if err != nil {
		return err
	}
	for _, ct := range []hpkeCiphertext{{c.KEMOutput, c.Ciphertext}, fresh} {
		plain, err := s.decryptWithLabel(key, c.Label, c.Context, ct)
		if err != nil {
			return fmt.Errorf("encrypt_with_label: %w", err)
		}
		if err := expect("encrypt_with_label", plain, c.Plaintext); err != nil {
			return err
		}
	}
	return nil
}

type keyScheduleVector struct {
	GroupID           hexBytes `json:"group_id"`
	InitialInitSecret hexBytes `json:"initial_init_secret"`
	Epochs            []struct {
		TreeHash                hexBytes `json:"tree_hash"`
		CommitSecret            hexBytes `json:"commit_secret"`
		PSKSecret               hexBytes `json:"psk_secret"`
		ConfirmedTranscriptHash hexBytes `json:"confirmed_transcript_hash"`
		GroupContext            hexBytes `json:"group_context"`
		JoinerSecret            hexBytes `json:"joiner_secret"`
		WelcomeSecret           hexBytes `json:"welcome_secret"`
		InitSecret              hexBytes `json:"init_secret"`
		SenderDataSecret        hexBytes `json:"sender_data_secret"`
		EncryptionSecret        hexBytes `json:"encryption_secret"`
		ExporterSecret          hexBytes `json:"exporter_secret"`
		EpochAuthenticator      hexBytes `json:"epoch_authenticator"`
		ExternalSecret          hexBytes `json:"external_secret"`
		ConfirmationKey         hexBytes `json:"confirmation_key"`
		MembershipKey           hexBytes `json:"membership_key"`
		ResumptionPSK           hexBytes `json:"resumption_psk"`
		ExternalPub             hexBytes `json:"external_pub"`
		Exporter                struct {
			Label           string
			Context, Secret hexBytes
			Length          int
		}
	}
}

func checkKeySchedule(s *suite, v *keyScheduleVector) error {
	if len(v.Epochs) == 0 {
		return errNothing
	}
	initSecret := secret(v.InitialInitSecret)
	for i, e := range v.Epochs {
		if e.Exporter.Length == 0 {
			return errNothing
		}
		ctx := &groupContext{
			suite: s.id, groupID: v.GroupID, epoch: uint64(i), treeHash: e.TreeHash,
			confirmedTranscriptHash: e.ConfirmedTranscriptHash,
		}
		psk := secret(e.PSKSecret)
		if psk == nil {
			psk = s.pskSecret(nil, nil)
		}
		joiner := s.joinerSecret(initSecret, secret(e.CommitSecret), ctx)
		kept, encryption, _ := s.deriveEpoch(s.epochSecret(joiner, psk, ctx))
		external, err := s.deriveHPKE(kept.external)
		if err != nil {
			return err
		}
		err = firstError(
			expect("group_context", ctx.bytes(), e.GroupContext),
			expect("joiner_secret", joiner, e.JoinerSecret),
			expect("welcome_secret", s.welcomeSecret(joiner, psk), e.WelcomeSecret),
			expect("init_secret", kept.init, e.InitSecret),
			expect("sender_data_secret", kept.senderData, e.SenderDataSecret),
			expect("encryption_secret", encryption, e.EncryptionSecret),
			expect("exporter_secret", kept.exporter, e.ExporterSecret),
			expect("epoch_authenticator", kept.authenticator, e.EpochAuthenticator),
			expect("external_secret", kept.external, e.ExternalSecret),
			expect("confirmation_key", kept.confirmationKey, e.ConfirmationKey),
			expect("membership_key", kept.membershipKey, e.MembershipKey),
			expect("resumption_psk", kept.resumption, e.ResumptionPSK),
			expect("external_pub", external.pub, e.ExternalPub),
			expect("exporter", s.export(kept.exporter, e.Exporter.Label, e.Exporter.Context, e.Exporter.Length),
				e.Exporter.Secret),
		)
		if err != nil {
			return fmt.Errorf("epoch %d: %w", i, err)
		}
		initSecret = kept.init
	}
	return nil
}

type pskSecretVector struct {
	PSKs []struct {
		ID    hexBytes `json:"psk_id"`
		PSK   hexBytes
		Nonce hexBytes `json:"psk_nonce"`
	}
	PSKSecret hexBytes `json:"psk_secret"`
}

func checkPSKSecret(s *suite, v *pskSecretVector) error {
	var ids []preSharedKeyID
	var psks [][]byte
	for _, p := range v.PSKs {
		ids = append(ids, preSharedKeyID{kind: pskExternal, id: p.ID, nonce: p.Nonce})
		psks = append(psks, p.PSK)
	}
	return expect("psk_secret", s.pskSecret(ids, psks), v.PSKSecret)
}

type transcriptVector struct {
	ConfirmationKey      hexBytes `json:"confirmation_key"`
	AuthenticatedContent hexBytes `json:"authenticated_content"`
	InterimBefore        hexBytes `json:"interim_transcript_hash_before"`
	ConfirmedAfter       hexBytes `json:"confirmed_transcript_hash_after"`
	InterimAfter         hexBytes `json:"interim_transcript_hash_after"`
}

func checkTranscriptHashes(s *suite, v *transcriptVector) error {
	a, err := parse(v.AuthenticatedContent, readAuthenticatedContent)
	if err != nil {
		return err
	}
	if a.content.contentType != contentCommit {
		return errors.New("authenticated_content is no commit")
	}
	if !s.verifyMAC(secret(v.ConfirmationKey), v.ConfirmedAfter, a.auth.confirmationTag) {
		return errors.New("confirmation tag does not verify")
	}
	confirmed := s.confirmedTranscriptHash(v.InterimBefore, a)
	return firstError(
		expect("confirmed_transcript_hash_after", confirmed, v.ConfirmedAfter),
		expect("interim_transcript_hash_after", s.interimTranscriptHash(confirmed, a.auth.confirmationTag), v.InterimAfter),
	)
}

type welcomeVector struct {
	InitPriv   hexBytes `json:"init_priv"`
	SignerPub  hexBytes `json:"signer_pub"`
	KeyPackage hexBytes `json:"key_package"`
	Welcome    hexBytes
}

func checkWelcome(s *suite, v *welcomeVector) error {
	kp, err := parse(v.KeyPackage, readMessage)
	if err != nil {
		return err
	}
	w, err := parse(v.Welcome, readMessage)
	if err != nil {
		return err
	}
	if kp.keyPackage == nil || w.welcome == nil {
		return errors.New("not a KeyPackage and a Welcome")
	}
	initKey, err := s.parseHPKE(s.vectorKey(v.InitPriv))
	if err != nil {
		return err
	}
	secrets, info, err := openWelcome(s, w.welcome, kp.keyPackage.Ref(), initKey, nil)
	if err != nil {
		return err
	}
	if err := info.verifySignature(s, []byte(v.SignerPub)); err != nil {
		return err
	}
	kept, _, _ := s.deriveEpoch(s.epochSecret(secrets.joinerSecret, s.pskSecret(nil, nil), info.context))
	if !s.verifyMAC(kept.confirmationKey, info.context.confirmedTranscriptHash, info.confirmationTag) {
		return errors.New("confirmation tag does not verify")
	}
	return nil
}

type deserializationVector struct {
	Header hexBytes `json:"vlbytes_header"`
	Length uint32
}

func checkDeserialization(_ *suite, v *deserializationVector) error {
	r := wire.NewReader(v.Header)
	length := r.Varint()
	if err := r.Finish(); err != nil {
		return err
	}
	var w wire.Writer
	w.Varint(v.Length)
	again, err := w.Finish()
	if err != nil || length != v.Length || !bytes.Equal(again, v.Header) {
		return fmt.Errorf("header %x reads as %d, want %d; written again %x (%v)", v.Header, length, v.Length, again, err)
	}
	return nil
}
