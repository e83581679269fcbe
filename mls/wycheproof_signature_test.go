package mls

import "testing"

// TestWycheproofSignatures: DER with every kind of damage, values out of range, edge cases of
// the arithmetic. Ed25519, Ed448 and ML-DSA have no malleable signatures, ECDSA has (ATTACKS
// A22). MLS gives ML-DSA no context, so what was signed under one is no signature.
func TestWycheproofSignatures(t *testing.T) {
	for file, verify := range map[string]func(public, message, signature []byte) error{
		"ed25519":                ed25519Scheme{}.verify,
		"ed448":                  ed448Scheme{}.verify,
		"ecdsa_secp256r1_sha256": ecdsaP256.verify,
		"ecdsa_secp384r1_sha384": ecdsaP384.verify,
		"ecdsa_secp521r1_sha512": ecdsaP521.verify,
		"mldsa_44_verify":        mldsa44Scheme.verify,
		"mldsa_65_verify":        mldsa65Scheme.verify,
	} {
		t.Run(file, func(t *testing.T) {
			wycheproof(t, file, func(t *testing.T, c *wycheproofCase) string {
				good := c.Result == "valid" && len(c.Ctx) == 0
				if err := verify(c.publicKey, c.Msg, c.Sig); (err == nil) != good {
					c.errorf(t, "verify: %v", err)
				}
				return ""
			})
		})
	}
}
