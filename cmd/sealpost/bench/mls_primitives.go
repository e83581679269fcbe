package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
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
	hash    func() hash.Hash
	secret  int // bytes of a path secret: as many as of the hash
	key     int // bytes of an AEAD key
	newAEAD func(key []byte) (cipher.AEAD, error)

	private   hpke.PrivateKey
	signature mls.SignaturePrivateKey
}

var primitiveTable = map[mls.Suite]primitives{
	mls.SuiteX25519AES128Ed25519: {
		kem: hpke.DHKEM(ecdh.X25519()), kdf: hpke.HKDFSHA256(), aead: hpke.AES128GCM(),
		hash: sha256.New, secret: sha256.Size, key: 16, newAEAD: newGCM,
	},
	mls.SuiteP256AES128P256: {
		kem: hpke.DHKEM(ecdh.P256()), kdf: hpke.HKDFSHA256(), aead: hpke.AES128GCM(),
		hash: sha256.New, secret: sha256.Size, key: 16, newAEAD: newGCM,
	},
	mls.SuiteX25519ChaCha20Ed25519: {
		kem: hpke.DHKEM(ecdh.X25519()), kdf: hpke.HKDFSHA256(), aead: hpke.ChaCha20Poly1305(),
		hash: sha256.New, secret: sha256.Size, key: chacha20poly1305.KeySize, newAEAD: chacha20poly1305.New,
	},
	mls.SuiteP521AES256P521: {
		kem: hpke.DHKEM(ecdh.P521()), kdf: hpke.HKDFSHA512(), aead: hpke.AES256GCM(),
		hash: sha512.New, secret: sha512.Size, key: 32, newAEAD: newGCM,
	},
	mls.SuiteP384AES256P384: {
		kem: hpke.DHKEM(ecdh.P384()), kdf: hpke.HKDFSHA384(), aead: hpke.AES256GCM(),
		hash: sha512.New384, secret: sha512.Size384, key: 32, newAEAD: newGCM,
	},
	mls.SuiteMLKEM768X25519AES256Ed25519: {
		kem: hpke.MLKEM768X25519(), kdf: hpke.HKDFSHA384(), aead: hpke.AES256GCM(),
		hash: sha512.New384, secret: sha512.Size384, key: 32, newAEAD: newGCM,
	},
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func primitivesOf(s mls.Suite) (primitives, error) {
	p, ok := primitiveTable[s]
	if !ok {
		return p, fmt.Errorf("no primitives of %s", s)
	}
	var err error
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
		key, err := p.kem.DeriveKeyPair(secret)
		if err != nil {
			return err
		}
		key.PublicKey().Bytes() // it is sent, or compared with the one that was
	}
	return nil
}

// seal encrypts a path secret.
func (p primitives) seal() error { return p.sealTo(p.private.PublicKey()) }

func (p primitives) sealTo(key hpke.PublicKey) error {
	_, err := hpke.Seal(key, p.kdf, p.aead, info, make([]byte, p.secret))
	return err
}

// opening returns what decrypts a path secret.
func (p primitives) opening() (open func() error, err error) {
	sealed, err := hpke.Seal(p.private.PublicKey(), p.kdf, p.aead, info, make([]byte, p.secret))
	return func() error {
		_, err := hpke.Open(p.private, p.kdf, p.aead, info, sealed)
		return err
	}, err
}

func (p primitives) sign(times int) error {
	for range times {
		if _, err := p.signature.Sign("bench", signed); err != nil {
			return err
		}
	}
	return nil
}

func commitPrimitives(q mlsRequest) (operation, error) {
	p, err := primitivesOf(q.Suite)
	return operation{run: func() error {
		for range q.Members - 1 {
			if err := p.seal(); err != nil {
				return err
			}
		}
		if _, err := p.kem.GenerateKey(); err != nil { // the committer's leaf
			return err
		}
		if err := p.derive(pathLength(q.Members)); err != nil {
			return err
		}
		return p.sign(2)
	}}, err
}

func processPrimitives(q mlsRequest) (operation, error) {
	p, err := primitivesOf(q.Suite)
	if err != nil {
		return operation{}, err
	}
	open, err := p.opening()
	if err != nil {
		return operation{}, err
	}
	signature, err := p.signature.Sign("bench", signed)
	return operation{run: func() error {
		if err := open(); err != nil {
			return err
		}
		for range 2 {
			if err := q.Suite.Verify(p.signature.Public(), "bench", signed, signature); err != nil {
				return err
			}
		}
		return p.derive(pathLength(q.Members))
	}}, err
}

func protectPrimitives(q mlsRequest) (operation, error) {
	p, err := primitivesOf(q.Suite)
	message := make([]byte, messageSize)
	return operation{run: func() error {
		if err := p.sign(1); err != nil {
			return err
		}
		aead, err := p.newAEAD(make([]byte, p.key)) // a message's key is used once
		if err != nil {
			return err
		}
		aead.Seal(nil, make([]byte, aead.NonceSize()), message, nil)
		return nil
	}}, err
}
