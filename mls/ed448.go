package mls

import (
	"crypto/rand"
	"errors"

	"github.com/cloudflare/circl/sign/ed448"
)

// ed448Scheme is Ed448 of RFC 8032 without a context; private keys are the 57-byte seed.
type ed448Scheme struct{}

func (ed448Scheme) generate() (private []byte, err error) {
	private = make([]byte, ed448.SeedSize)
	_, _ = rand.Read(private) // never fails, by the documentation of crypto/rand
	return private, nil
}

func (ed448Scheme) load(private []byte) (sign signFunc, public []byte, err error) {
	if len(private) != ed448.SeedSize {
		return nil, nil, errors.New("ed448 seed has the wrong length")
	}
	key := ed448.NewKeyFromSeed(private)
	sign = func(message []byte) ([]byte, error) { return ed448.Sign(key, message, ""), nil }
	return sign, key.Public().(ed448.PublicKey), nil
}

func (ed448Scheme) verify(public, message, signature []byte) error {
	if len(public) != ed448.PublicKeySize {
		return errors.New("ed448 public key has the wrong length")
	}
	if !ed448.Verify(public, message, signature, "") {
		return errSignature
	}
	return nil
}
