package mls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"hash"
)

// ecdsaScheme is ECDSA as RFC 9420 section 5.1.2 takes it over from TLS 1.3: signatures are
// DER (RFC 8446 section 4.2.3), public keys uncompressed points, private keys the scalar in
// the curve's full length.
//
// Signatures are malleable: with (r, s) so is (r, n-s). Refusing one half, as some protocols
// do, would refuse half of what other implementations sign.
type ecdsaScheme struct {
	curve elliptic.Curve
	hash  func() hash.Hash
}

func (s ecdsaScheme) generate() (private []byte, err error) {
	key, err := ecdsa.GenerateKey(s.curve, rand.Reader)
	if err != nil {
		return nil, err
	}
	return key.Bytes()
}

func (s ecdsaScheme) load(private []byte) (sign signFunc, public []byte, err error) {
	key, err := ecdsa.ParseRawPrivateKey(s.curve, private)
	if err != nil {
		return nil, nil, err
	}
	if public, err = key.PublicKey.Bytes(); err != nil {
		return nil, nil, err
	}
	sign = func(message []byte) ([]byte, error) { return ecdsa.SignASN1(rand.Reader, key, s.digest(message)) }
	return sign, public, nil
}

func (s ecdsaScheme) verify(public, message, signature []byte) error {
	key, err := ecdsa.ParseUncompressedPublicKey(s.curve, public) // on the curve, or an error
	if err != nil {
		return err
	}
	if !ecdsa.VerifyASN1(key, s.digest(message), signature) {
		return errSignature
	}
	return nil
}

func (s ecdsaScheme) digest(message []byte) []byte {
	h := s.hash()
	h.Write(message)
	return h.Sum(nil)
}
