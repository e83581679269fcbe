package mls

import (
	"crypto/hpke"
	"math/rand/v2"
	"testing"
)

// TestMLKEMKeysAreCheckedAsGoDoes: what a key's check takes without parsing the key is what
// can be parsed, whichever coefficient is at or over the modulus and whatever the length.
func TestMLKEMKeysAreCheckedAsGoDoes(t *testing.T) {
	for _, c := range []struct {
		name  string
		kem   hpke.KEM
		check func([]byte) error
		seed  int // where the coefficients end
	}{
		{"ML-KEM-768", hpke.MLKEM768(), mlkem768Key, 1152},
		{"ML-KEM-1024", hpke.MLKEM1024(), mlkem1024Key, 1536},
		{"X-Wing", hpke.MLKEM768X25519(), mlkem768X25519Key, 1152},
	} {
		key, err := c.kem.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		good := key.PublicKey().Bytes()
		agree := func(what string, pub []byte) bool {
			_, err := c.kem.NewPublicKey(pub)
			if own := c.check(pub); (own == nil) != (err == nil) {
				t.Errorf("%s, %s: checked as %v, parsed as %v", c.name, what, own, err)
			}
			return err == nil
		}
		for n := range len(good) {
			agree("a prefix", good[:n])
		}
		if !agree("a key", good) || agree("a byte more", append(good, 0)) {
			t.Fatalf("%s: a good key was refused, or a longer one taken", c.name)
		}
		// A coefficient is half of three bytes. 3329 is the modulus.
		taken, random := 0, rand.New(rand.NewPCG(1, 2))
		set := func(i int, value uint16) {
			pub := append([]byte{}, good...)
			at := pub[i/2*3:]
			if i%2 == 0 {
				at[0], at[1] = byte(value), at[1]&0xf0|byte(value>>8)
			} else {
				at[1], at[2] = at[1]&0x0f|byte(value<<4), byte(value>>4)
			}
			if agree("a coefficient", pub) {
				taken++
			}
		}
		count := c.seed / 3 * 2
		for _, i := range []int{0, 1, 2, 3, count / 2, count - 2, count - 1, random.IntN(count), random.IntN(count)} {
			for _, value := range []uint16{0, 3328, 3329, 3330, 4095} {
				set(i, value)
			}
		}
		if taken != 18 {
			t.Errorf("%s: %d of 45 keys were taken, want the 18 below the modulus", c.name, taken)
		}
	}
}
