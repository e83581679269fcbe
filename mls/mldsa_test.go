package mls

import (
	"bytes"
	"encoding/asn1"
	"testing"

	"github.com/cloudflare/circl/sign"
)

// TestMLDSA: keys and signatures have the sizes of FIPS 204 and of the documentation, no two
// signatures are alike, and what was signed with a context was not signed for MLS.
func TestMLDSA(t *testing.T) {
	for id, size := range map[Suite]struct{ public, signature int }{
		SuiteMLKEM768X25519ChaCha20MLDSA44: {1312, 2420},
		SuiteMLKEM768AES256MLDSA65:         {1952, 3309},
		SuiteMLKEM1024AES256MLDSA87:        {2592, 4627},
	} {
		t.Run(id.String(), func(t *testing.T) {
			key := signatureKeyOf(t, id)
			a, b := must(key.Sign("x", nil))(t), must(key.Sign("x", nil))(t)
			if seed := must(key.MarshalBinary())(t); len(key.Public()) != size.public || len(a) != size.signature || len(seed) != 32 {
				t.Errorf("%d, %d and %d bytes", len(key.Public()), len(a), len(seed))
			}
			if bytes.Equal(a, b) {
				t.Error("two signatures are alike")
			}
			for what, signature := range map[string][]byte{"first": a, "second": b} {
				if err := id.Verify(key.Public(), "x", nil, signature); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			scheme := suites[id].signature.(mldsaScheme)
			oid := must(asn1.Marshal(scheme.Scheme.(interface{ Oid() asn1.ObjectIdentifier }).Oid()))(t)
			if got := scheme.algorithmIdentifier(); !bytes.Equal(got[2:], oid) {
				t.Errorf("in certificates %x, want %x", got[2:], oid)
			}
			_, private := scheme.DeriveKey(must(key.MarshalBinary())(t))
			message := labelled(labelPrefix+"x", nil)
			if scheme.verify(key.Public(), message, scheme.Scheme.Sign(private, message, nil)) != nil {
				t.Error("a signature without randomness is refused")
			}
			if scheme.verify(key.Public(), message, scheme.Scheme.Sign(private, message, &sign.SignatureOpts{Context: "c"})) == nil {
				t.Error("a signature with a context verifies")
			}
		})
	}
}

// TestA22_NoOtherSignature: only signatures of ECDSA can be changed into others. Those of
// EdDSA and ML-DSA have one form, and any change to it is refused.
func TestA22_NoOtherSignature(t *testing.T) {
	eachSuite(t, func(t *testing.T, id Suite) {
		if _, ok := suites[id].signature.(ecdsaScheme); ok {
			t.Skip("TestA22_SignatureBytesNameNothing")
		}
		key := signatureKeyOf(t, id)
		signature := must(key.Sign("x", nil))(t)
		step := len(signature)/64 + 1
		for i := 0; i < len(signature); i += step {
			for _, bit := range []byte{1, 0x80} {
				changed := bytes.Clone(signature)
				changed[i] ^= bit
				wantRule(t, "changed", id.Verify(key.Public(), "x", nil, changed), "signature")
			}
		}
		// ML-DSA's last bytes count the hints before them, and what is behind those is zero.
		changed := bytes.Clone(signature)
		for i := len(changed) - 64; i < len(changed); i++ {
			changed[i]++
			wantRule(t, "changed at the end", id.Verify(key.Public(), "x", nil, changed), "signature")
			changed[i]--
		}
		wantRule(t, "longer", id.Verify(key.Public(), "x", nil, append(bytes.Clone(signature), 0)), "signature")
		wantRule(t, "shorter", id.Verify(key.Public(), "x", nil, signature[:len(signature)-1]), "signature")
	})
}
