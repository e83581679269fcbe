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
	if y := [56]byte(public); lowOrder448[y] { // the last byte is the sign of x
		return errSignature
	}
	if !ed448.Verify(public, message, signature, "") {
		return errSignature
	}
	return nil
}

// lowOrder448 are the values of y of edwards448 whose points have an order of 1, 2 or 4, canonical
// or not: everybody can make signatures for such a key.
var lowOrder448 = map[[56]byte]bool{
	{}:               true, // y = 0, order 4
	{1}:              true, // y = 1, order 1
	nearPrime448(-1): true, // y = p-1, order 2
	nearPrime448(0):  true, // y = p, which is 0
	nearPrime448(1):  true, // y = p+1, which is 1
}

// nearPrime448 is p and a bit more, little-endian; p is 2^448-2^224-1.
func nearPrime448(more int) (y [56]byte) {
	for i := range y {
		y[i] = 0xff
	}
	y[28] = 0xfe
	if more > 0 { // 2^448-2^224
		clear(y[:28])
	} else {
		y[0] += byte(more)
	}
	return y
}
