package mls

import (
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"
)

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
