package mls

import (
	"bytes"
	"crypto/hpke"
	"crypto/subtle"
	"errors"
	"fmt"
)

// An hpkeScheme is a suite's KEM, KDF and AEAD together: HPKE in mode base with one message
// for each encapsulation (RFC 9180 section 6.1), which is all that MLS uses.
type hpkeScheme interface {
	generate() (hpkeKey, error)
	// parse is the inverse of hpkeKey.Bytes and does not keep the slice.
	parse(private []byte) (hpkeKey, error)
	// derive is DeriveKeyPair; any number of bytes serves.
	derive(ikm []byte) (hpkeKey, error)
	// check refuses what is no public key, and those that parse and yet agree on no secret.
	// An insider's leaf with such a key would make every other member's path commit fail.
	check(public []byte) error
	seal(public, info, plaintext []byte) (hpkeCiphertext, error)
	// export encapsulates to a public key and returns a secret of the exporter (RFC 9180
	// section 5.3), at most 255 hashes of the suite long. The info is empty.
	export(public, context []byte, length int) (kemOutput, exported []byte, err error)
}

// An hpkeKey is a private key of an hpkeScheme.
type hpkeKey interface {
	// Bytes is SerializePrivateKey.
	Bytes() ([]byte, error)
	public() []byte
	open(c hpkeCiphertext, info []byte) ([]byte, error)
	// export is the recipient's side of hpkeScheme.export.
	export(kemOutput, context []byte, length int) ([]byte, error)
}

// hpkePrivate is an HPKE key pair.
type hpkePrivate struct {
	key hpkeKey
	pub []byte
}

func (hpkePrivate) Format(f fmt.State, _ rune) { printRedacted(f) }

func newHPKEPrivate(key hpkeKey, err error) (*hpkePrivate, error) {
	if err != nil {
		return nil, err
	}
	return &hpkePrivate{key: key, pub: key.public()}, nil
}

func (s *suite) generateHPKE() (*hpkePrivate, error) { return newHPKEPrivate(s.hpke.generate()) }

func (s *suite) parseHPKE(b []byte) (*hpkePrivate, error) { return newHPKEPrivate(s.hpke.parse(b)) }

var errPrivateForm = errors.New("mls: private key in another form than it is stored in")

// storedHPKE parses a key as it was stored. A form that Bytes would not give is refused: an X25519
// scalar with other bits than the clamped ones is the same key, but nothing that was stored here.
func (s *suite) storedHPKE(b []byte) (*hpkePrivate, error) {
	p, err := s.parseHPKE(b)
	if err != nil {
		return nil, err
	}
	form, err := p.key.Bytes()
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(form, b) != 1 {
		return nil, errPrivateForm
	}
	return p, nil
}

func (s *suite) deriveHPKE(ikm []byte) (*hpkePrivate, error) {
	return newHPKEPrivate(s.hpke.derive(ikm))
}

// checkPublicKey verifies that pub is an HPKE key of the suite to which one can encrypt.
func (s *suite) checkPublicKey(pub []byte) error { return s.hpke.check(pub) }

// goHPKE is the standard library's HPKE.
type goHPKE struct {
	kem  hpke.KEM
	kdf  hpke.KDF
	aead hpke.AEAD
	// valid refuses what NewPublicKey refuses, cheaper, and the keys that it takes although
	// nothing can be agreed on with them. It is nil where parsing is the check: the NIST curves
	// have prime order, and infinity does not parse.
	valid func(public []byte) error
	// deriveSeed, where it is not nil, makes the private key of DeriveKeyPair.
	deriveSeed func(ikm []byte) []byte
}

type goHPKEKey struct {
	scheme *goHPKE
	hpke.PrivateKey
}

func (h *goHPKE) key(k hpke.PrivateKey, err error) (hpkeKey, error) {
	if err != nil {
		return nil, err
	}
	return goHPKEKey{h, k}, nil
}

// Bytes returns a copy: the library's hybrid keys give their own seed away.
func (k goHPKEKey) Bytes() ([]byte, error) {
	b, err := k.PrivateKey.Bytes()
	return bytes.Clone(b), err
}

func (h *goHPKE) generate() (hpkeKey, error)            { return h.key(h.kem.GenerateKey()) }
func (h *goHPKE) parse(private []byte) (hpkeKey, error) { return h.key(h.kem.NewPrivateKey(private)) }

func (h *goHPKE) derive(ikm []byte) (hpkeKey, error) {
	if h.deriveSeed != nil {
		return h.parse(h.deriveSeed(ikm))
	}
	return h.key(h.kem.DeriveKeyPair(ikm))
}

func (h *goHPKE) check(public []byte) error {
	if h.valid != nil {
		return h.valid(public)
	}
	_, err := h.kem.NewPublicKey(public)
	return err
}

func (h *goHPKE) seal(public, info, plaintext []byte) (hpkeCiphertext, error) {
	pk, err := h.kem.NewPublicKey(public)
	if err != nil {
		return hpkeCiphertext{}, err
	}
	enc, sender, err := hpke.NewSender(pk, h.kdf, h.aead, info)
	if err != nil {
		return hpkeCiphertext{}, err
	}
	ct, err := sender.Seal(nil, plaintext)
	return hpkeCiphertext{kemOutput: enc, ciphertext: ct}, err
}

func (h *goHPKE) export(public, context []byte, length int) (kemOutput, exported []byte, err error) {
	pk, err := h.kem.NewPublicKey(public)
	if err != nil {
		return nil, nil, err
	}
	kemOutput, sender, err := hpke.NewSender(pk, h.kdf, h.aead, nil)
	if err != nil {
		return nil, nil, err
	}
	exported, err = sender.Export(string(context), length)
	return kemOutput, exported, err
}

func (k goHPKEKey) export(kemOutput, context []byte, length int) ([]byte, error) {
	recipient, err := hpke.NewRecipient(kemOutput, k.PrivateKey, k.scheme.kdf, k.scheme.aead, nil)
	if err != nil {
		return nil, err
	}
	return recipient.Export(string(context), length)
}

func (k goHPKEKey) public() []byte { return k.PublicKey().Bytes() }

func (k goHPKEKey) open(c hpkeCiphertext, info []byte) ([]byte, error) {
	recipient, err := hpke.NewRecipient(c.kemOutput, k.PrivateKey, k.scheme.kdf, k.scheme.aead, info)
	if err != nil {
		return nil, err
	}
	return recipient.Open(nil, c.ciphertext)
}

// mustPrivate is a private key's bytes. Only a key that was not made from them has none.
func mustPrivate(key *hpkePrivate) []byte {
	b, err := key.key.Bytes()
	if err != nil {
		panic("mls: encoding a private key: " + err.Error())
	}
	return b
}
