package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"fmt"
	"math/bits"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sealpost/sealpost/mls"
)

// classicSuites are those of RFC 9420 whose primitives Go's own library has.
var classicSuites = []mls.Suite{
	mls.SuiteX25519AES128Ed25519, mls.SuiteP256AES128P256, mls.SuiteX25519ChaCha20Ed25519,
	mls.SuiteP521AES256P521, mls.SuiteP384AES256P384,
}

// primitives are a suite's algorithms, from the same libraries that mls takes them from.
type primitives struct {
	kem     hpke.KEM
	kdf     hpke.KDF
	aead    hpke.AEAD
	secret  int // bytes of a path secret
	newAEAD func() (cipher.AEAD, error)

	private   hpke.PrivateKey
	signature mls.SignaturePrivateKey
}

func primitivesOf(s mls.Suite) (p primitives, err error) {
	gcm := func(key int) func() (cipher.AEAD, error) {
		return func() (cipher.AEAD, error) {
			block, err := aes.NewCipher(make([]byte, key))
			if err != nil {
				return nil, err
			}
			return cipher.NewGCM(block)
		}
	}
	switch s {
	case mls.SuiteX25519AES128Ed25519:
		p = primitives{kem: hpke.DHKEM(ecdh.X25519()), kdf: hpke.HKDFSHA256(), aead: hpke.AES128GCM(), secret: 32, newAEAD: gcm(16)}
	case mls.SuiteP256AES128P256:
		p = primitives{kem: hpke.DHKEM(ecdh.P256()), kdf: hpke.HKDFSHA256(), aead: hpke.AES128GCM(), secret: 32, newAEAD: gcm(16)}
	case mls.SuiteX25519ChaCha20Ed25519:
		p = primitives{kem: hpke.DHKEM(ecdh.X25519()), kdf: hpke.HKDFSHA256(), aead: hpke.ChaCha20Poly1305(), secret: 32,
			newAEAD: func() (cipher.AEAD, error) { return chacha20poly1305.New(make([]byte, chacha20poly1305.KeySize)) }}
	case mls.SuiteP521AES256P521:
		p = primitives{kem: hpke.DHKEM(ecdh.P521()), kdf: hpke.HKDFSHA512(), aead: hpke.AES256GCM(), secret: 64, newAEAD: gcm(32)}
	case mls.SuiteP384AES256P384:
		p = primitives{kem: hpke.DHKEM(ecdh.P384()), kdf: hpke.HKDFSHA384(), aead: hpke.AES256GCM(), secret: 48, newAEAD: gcm(32)}
	default:
		return p, fmt.Errorf("no primitives of %s", s)
	}
	if p.private, err = p.kem.GenerateKey(); err != nil {
		return p, err
	}
	p.signature, err = s.GenerateSignatureKey()
	return p, err
}

// pathLength is the inner nodes between a leaf and the root, both included, of a full tree.
func pathLength(members int) int { return bits.Len(uint(members - 1)) }

// info stands for the encoded label and group context, which HPKE hashes.
var info = make([]byte, 256)

// signed stands for what is signed: a leaf node, a framed commit.
var signed = make([]byte, 512)

func (p primitives) derive(times int) error {
	for range times {
		secret := make([]byte, p.secret)
		_, _ = rand.Read(secret)
		if _, err := p.kem.DeriveKeyPair(secret); err != nil {
			return err
		}
	}
	return nil
}

func (p primitives) sign(times int) error {
	for range times {
		if _, err := p.signature.Sign("bench", signed); err != nil {
			return err
		}
	}
	return nil
}

func commitPrimitives(s mls.Suite) (operation, error) {
	p, err := primitivesOf(s)
	return operation{run: func() error {
		for range groupSize - 1 {
			if _, err := hpke.Seal(p.private.PublicKey(), p.kdf, p.aead, info, make([]byte, p.secret)); err != nil {
				return err
			}
		}
		if _, err := p.kem.GenerateKey(); err != nil { // the committer's leaf
			return err
		}
		if err := p.derive(pathLength(groupSize)); err != nil {
			return err
		}
		return p.sign(2)
	}}, err
}

func processPrimitives(s mls.Suite) (operation, error) {
	p, err := primitivesOf(s)
	if err != nil {
		return operation{}, err
	}
	sealed, err := hpke.Seal(p.private.PublicKey(), p.kdf, p.aead, info, make([]byte, p.secret))
	if err != nil {
		return operation{}, err
	}
	signature, err := p.signature.Sign("bench", signed)
	return operation{run: func() error {
		if _, err := hpke.Open(p.private, p.kdf, p.aead, info, sealed); err != nil {
			return err
		}
		for range 2 {
			if err := s.Verify(p.signature.Public(), "bench", signed, signature); err != nil {
				return err
			}
		}
		return p.derive(pathLength(groupSize))
	}}, err
}

func protectPrimitives(s mls.Suite) (operation, error) {
	p, err := primitivesOf(s)
	message := make([]byte, messageSize)
	return operation{run: func() error {
		if err := p.sign(1); err != nil {
			return err
		}
		aead, err := p.newAEAD() // a message's key is used once
		if err != nil {
			return err
		}
		aead.Seal(nil, make([]byte, aead.NonceSize()), message, nil)
		return nil
	}}, err
}

func joinPrimitives(s mls.Suite) (operation, error) {
	p, err := primitivesOf(s)
	if err != nil {
		return operation{}, err
	}
	signature, err := p.signature.Sign("bench", signed)
	return operation{run: func() error {
		for range joinSize {
			if err := s.Verify(p.signature.Public(), "bench", signed, signature); err != nil {
				return err
			}
		}
		return nil
	}}, err
}
