package mls

import (
	"crypto/mlkem"
	"errors"
)

var errMLKEM = errors.New("no ML-KEM key")

// mlkemKey checks an encapsulation key as FIPS 203 section 7.2 wants it: the length, and that
// every coefficient is below the modulus. Parsing one does the same and expands its matrix,
// which takes five times as long as all else of a key's check and which nobody needs who only
// looks at it: whoever joins checks every key of the tree, and encrypts to few.
func mlkemKey(size int) func(public []byte) error {
	const modulus, seed = 3329, 32
	return func(public []byte) error {
		if len(public) != size {
			return errMLKEM
		}
		for c := public[:size-seed]; len(c) >= 3; c = c[3:] { // two coefficients of 12 bits
			low := uint16(c[0]) | uint16(c[1]&0x0f)<<8
			high := uint16(c[1]>>4) | uint16(c[2])<<4
			if low >= modulus || high >= modulus {
				return errMLKEM
			}
		}
		return nil
	}
}

var (
	mlkem768Key  = mlkemKey(mlkem.EncapsulationKeySize768)
	mlkem1024Key = mlkemKey(mlkem.EncapsulationKeySize1024)
)

// mlkem768X25519Key checks a key of X-Wing: one of ML-KEM-768 and one of X25519.
func mlkem768X25519Key(public []byte) error {
	if len(public) < mlkem.EncapsulationKeySize768 {
		return errMLKEM
	}
	if err := mlkem768Key(public[:mlkem.EncapsulationKeySize768]); err != nil {
		return err
	}
	return x25519Key(public[mlkem.EncapsulationKeySize768:])
}
