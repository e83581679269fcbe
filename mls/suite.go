package mls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"slices"
)

// Suite is a cipher suite (RFC 9420 section 5.1 and 17.1).
type Suite uint16

// SuiteX25519AES128Ed25519 is MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519.
const SuiteX25519AES128Ed25519 Suite = 0x0001

// A suite is one row of the table: all that differs between cipher suites.
type suite struct {
	id   Suite
	kem  hpke.KEM
	kdf  hpke.KDF
	aead hpke.AEAD // for HPKE

	hash    func() hash.Hash
	nh      int // KDF.Nh and the hash's size, bytes
	newAEAD func(key []byte) (cipher.AEAD, error)
	nk, nn  int // AEAD key and nonce, bytes

	signature signatureScheme
	// checkKey refuses public keys that parse and yet agree on no secret. An insider's leaf
	// with such a key would make every other member's path commit fail.
	checkKey func(pub []byte) error
}

// suites is the table. A new suite is a new row.
var suites = map[Suite]*suite{
	SuiteX25519AES128Ed25519: {
		id: SuiteX25519AES128Ed25519,
		// RFC 9180 codes 0x0020, 0x0001, 0x0001.
		kem: hpke.DHKEM(ecdh.X25519()), kdf: hpke.HKDFSHA256(), aead: hpke.AES128GCM(),
		hash: sha256.New, nh: sha256.Size,
		newAEAD: newAESGCM, nk: 16, nn: 12,
		signature: ed25519Scheme{},
		checkKey:  checkX25519,
	},
}

// Supported reports whether this package implements s.
func (s Suite) Supported() bool { return suites[s] != nil }

// supportedSuites lists the table in ascending order, for capabilities.
func supportedSuites() []Suite { return slices.Sorted(maps.Keys(suites)) }

func (s Suite) lookup() (*suite, error) {
	if row := suites[s]; row != nil {
		return row, nil
	}
	return nil, fmt.Errorf("%w: suite %#04x", ErrUnsupported, uint16(s))
}

func newAESGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// lowOrderProbe is any scalar: after clamping it is a multiple of the cofactor, so a point of
// low order gives the all-zero output, which crypto/ecdh refuses.
var lowOrderProbe = [32]byte{1}

func checkX25519(pub []byte) error {
	p, err := ecdh.X25519().NewPublicKey(pub)
	if err != nil {
		return err
	}
	probe, err := ecdh.X25519().NewPrivateKey(lowOrderProbe[:])
	if err != nil {
		return err
	}
	_, err = probe.ECDH(p)
	return err
}

// checkPublicKey verifies that pub is an HPKE key of the suite to which one can encrypt.
func (s *suite) checkPublicKey(pub []byte) error {
	if _, err := s.kem.NewPublicKey(pub); err != nil {
		return err
	}
	if s.checkKey == nil {
		return nil
	}
	return s.checkKey(pub)
}

// hpkePrivate is an HPKE key pair.
type hpkePrivate struct {
	key hpke.PrivateKey
	pub []byte
}

func (hpkePrivate) Format(f fmt.State, _ rune) { printRedacted(f) }

func newHPKEPrivate(key hpke.PrivateKey) *hpkePrivate {
	return &hpkePrivate{key: key, pub: key.PublicKey().Bytes()}
}

func (s *suite) generateHPKE() (*hpkePrivate, error) {
	key, err := s.kem.GenerateKey()
	if err != nil {
		return nil, err
	}
	return newHPKEPrivate(key), nil
}

func (s *suite) parseHPKE(b []byte) (*hpkePrivate, error) {
	key, err := s.kem.NewPrivateKey(b)
	if err != nil {
		return nil, err
	}
	return newHPKEPrivate(key), nil
}

func (s *suite) deriveHPKE(ikm []byte) (*hpkePrivate, error) {
	key, err := s.kem.DeriveKeyPair(ikm)
	if err != nil {
		return nil, err
	}
	return newHPKEPrivate(key), nil
}

// sum hashes the concatenation of parts.
func (s *suite) sum(parts ...[]byte) []byte {
	h := s.hash()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
