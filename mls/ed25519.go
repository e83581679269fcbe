package mls

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"

	"github.com/sealpost/sealpost/internal/edkey"
)

// ed25519Scheme is RFC 8032; private keys are the 32-byte seed.
type ed25519Scheme struct{}

func (ed25519Scheme) generate() (private []byte, err error) {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return priv.Seed(), nil
}

func (ed25519Scheme) load(private []byte) (sign signFunc, public []byte, err error) {
	if len(private) != ed25519.SeedSize {
		return nil, nil, errors.New("ed25519 seed has the wrong length")
	}
	key := ed25519.NewKeyFromSeed(private)
	sign = func(message []byte) ([]byte, error) { return ed25519.Sign(key, message), nil }
	return sign, key.Public().(ed25519.PublicKey), nil
}

func (ed25519Scheme) verify(public, message, signature []byte) error {
	if !edkey.Verify(public, message, signature) {
		return errSignature
	}
	return nil
}
