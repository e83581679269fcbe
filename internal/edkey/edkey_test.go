package edkey

import (
	"crypto/ed25519"
	"fmt"
	"testing"
)

// TestKeysOfSmallOrderVerifyNothing: with them, a signature of a fixed R and S = 0 verifies for
// one message in eight at least, without any private key.
func TestKeysOfSmallOrderVerifyNothing(t *testing.T) {
	for y := range smallOrder {
		for _, sign := range []byte{0, 0x80} {
			key := y
			key[31] |= sign
			signature := make([]byte, ed25519.SignatureSize)
			signature[0] = 1 // R is the neutral point
			forged := false
			for n := range 200 {
				message := fmt.Append(nil, n)
				forged = forged || ed25519.Verify(key[:], message, signature)
				if Verify(key[:], message, signature) {
					t.Fatalf("key %x: a forged signature is taken", key)
				}
			}
			if x := sign == 0 || y[0] != 0x01 && y[0] != 0xec && y[0] != 0xee; !forged && x {
				t.Errorf("key %x is refused though nobody can forge for it", key)
			}
		}
	}
}

func TestHonestKeys(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signature := ed25519.Sign(private, []byte("text"))
	if !Verify(public, []byte("text"), signature) {
		t.Error("an honest signature is refused")
	}
	for n := range len(public) {
		if Verify(public[:n], []byte("text"), signature) {
			t.Errorf("a key of %d bytes verifies", n)
		}
	}
	for n := range len(signature) {
		if Verify(public, []byte("text"), signature[:n]) {
			t.Errorf("a signature of %d bytes is taken", n)
		}
	}
	if Verify(public, []byte("Text"), signature) {
		t.Error("another message is taken")
	}
}
