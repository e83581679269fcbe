package mls

import (
	"crypto/rand"
	"errors"

	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
)

// mldsaScheme is ML-DSA of FIPS 204 as draft-ietf-tls-mldsa has it: pure, that is without
// hashing first, and with an empty context. Private keys are the 32-byte seed. Nobody can make
// another valid signature out of one.
type mldsaScheme struct {
	sign.Scheme
	oid byte // the last of 2.16.840.1.101.3.4.3
	// hedged signs with fresh randomness in the signature, which FIPS 204 prefers: faults in
	// the computation then tell nothing about the key.
	hedged func(key sign.PrivateKey, message, signature []byte) error
}

var (
	mldsa44Scheme = mldsaScheme{mldsa44.Scheme(), 17, func(k sign.PrivateKey, message, signature []byte) error {
		return mldsa44.SignTo(k.(*mldsa44.PrivateKey), message, nil, true, signature)
	}}
	mldsa65Scheme = mldsaScheme{mldsa65.Scheme(), 18, func(k sign.PrivateKey, message, signature []byte) error {
		return mldsa65.SignTo(k.(*mldsa65.PrivateKey), message, nil, true, signature)
	}}
	mldsa87Scheme = mldsaScheme{mldsa87.Scheme(), 19, func(k sign.PrivateKey, message, signature []byte) error {
		return mldsa87.SignTo(k.(*mldsa87.PrivateKey), message, nil, true, signature)
	}}
)

func (s mldsaScheme) generate() (private []byte, err error) {
	private = make([]byte, s.SeedSize())
	_, _ = rand.Read(private) // never fails, by the documentation of crypto/rand
	return private, nil
}

func (s mldsaScheme) load(private []byte) (sign signFunc, public []byte, err error) {
	if len(private) != s.SeedSize() {
		return nil, nil, errors.New("ML-DSA seed has the wrong length")
	}
	pub, key := s.DeriveKey(private)
	if public, err = pub.MarshalBinary(); err != nil {
		return nil, nil, err
	}
	return func(message []byte) ([]byte, error) {
		signature := make([]byte, s.SignatureSize())
		return signature, s.hedged(key, message, signature)
	}, public, nil
}

func (s mldsaScheme) verify(public, message, signature []byte) error {
	key, err := s.UnmarshalBinaryPublicKey(public) // the length; all bytes of it are a key
	if err != nil {
		return err
	}
	if !s.Verify(key, message, signature, nil) {
		return errSignature
	}
	return nil
}
