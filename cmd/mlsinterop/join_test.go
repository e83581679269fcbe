package main

import (
	"bytes"
	"testing"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
)

// The private keys come with a KeyPackage, so that a recorded run becomes a vector.
func TestKeyPackageComesWithItsKeys(t *testing.T) {
	eachWay(t, func(s *script) {
		resp := ok(s.actor("alice").CreateKeyPackage(s.Context(), &mlsclient.CreateKeyPackageRequest{
			CipherSuite: uint32(s.suite), Identity: []byte("alice"),
		}))(s)
		kp := ok(unwrapKeyPackage(resp.GetKeyPackage()))(s)
		if got := ok(s.suite.ParseSignatureKey(resp.GetSignaturePriv()))(s); !bytes.Equal(got.Public(), kp.SignatureKey()) {
			s.Error("the signature key is another one")
		}
		if len(resp.GetInitPriv()) == 0 || len(resp.GetEncryptionPriv()) == 0 || bytes.Equal(resp.GetInitPriv(), resp.GetEncryptionPriv()) {
			s.Error("a private key is missing")
		}
		if string(kp.Credential().Identity) != "alice" {
			s.Errorf("identity %q", kp.Credential().Identity)
		}
	})
}
