package mls

import (
	"crypto/ecdh"
	"testing"

	"pgregory.net/rapid"
)

// TestC28_LowOrderX25519: the keys that are refused are those with which crypto/ecdh agrees
// on nothing, with either of the highest bits.
func TestC28_LowOrderX25519(t *testing.T) {
	agrees := func(u [32]byte) bool {
		probe := must(ecdh.X25519().NewPrivateKey(append(make([]byte, 31), 1)))(t)
		_, err := probe.ECDH(must(ecdh.X25519().NewPublicKey(u[:]))(t))
		return err == nil
	}
	same := func(u [32]byte) {
		t.Helper()
		for _, high := range []byte{0, 0x80} {
			u[31] = u[31]&0x7f | high
			if want, got := agrees(u), x25519Key(u[:]) == nil; got != want {
				t.Errorf("%x: taken is %t, agrees is %t", u, got, want)
			}
		}
	}
	if len(lowOrder25519) != 7 {
		t.Errorf("%d keys of low order", len(lowOrder25519))
	}
	for u := range lowOrder25519 {
		same(u)
		for bit := range 255 { // and what lies beside them
			u[bit/8] ^= 1 << (bit % 8)
			same(u)
			u[bit/8] ^= 1 << (bit % 8)
		}
	}
	for low := range byte(32) {
		same([32]byte{low})
		same(nearPrime25519(0xff - low))
	}
	rapid.Check(t, func(t *rapid.T) {
		same([32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "u")))
	})
}
