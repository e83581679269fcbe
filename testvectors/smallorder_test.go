package testvectors_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
)

// smallOrder are the encodings of the points of small order on edwards25519, the last three
// of which are not canonical; each stands for itself and for the one with the sign bit set.
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

// smallOrderProofs are proofs that nobody's private key made: under a key of small order the
// signature R = 1, S = 0 holds for one message in eight, and queues are cheap to try.
func smallOrderProofs() []object {
	var cases []object
	forged := make([]byte, ed25519.SignatureSize)
	forged[0] = 1
	for _, text := range smallOrder {
		for _, sign := range []byte{0, 0x80} {
			key, _ := hex.DecodeString(text)
			key[31] |= sign
			name, queue := "a key of small order that no library should decode", someQueue
			for n := range 64 {
				tried := random(fmt.Sprint("queue tried ", n), 32)
				signed := join(opaque([]byte("sealpost relay 1 read")), handshake, tried, hash(key))
				if ed25519.Verify(key, signed, forged) {
					name, queue = "a key of small order, with a signature that holds", tried
					break
				}
			}
			cases = append(cases, badProof(fmt.Sprintf("%s: %x", name, key), "bad_proof", prove(1, key, queue, forged)))
		}
	}
	return cases
}

// addOrder adds the order of the group to the little-endian number, which then still has 32
// bytes: the other encoding of the same S, that RFC 8032 section 5.1.7 refuses.
func addOrder(s []byte) {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	slices.Reverse(s)
	new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(s)
	slices.Reverse(s)
}
