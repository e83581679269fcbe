package mls

import (
	"bytes"
	"testing"
)

// Extensions of a KeyPackage that nobody knows and that its capabilities do not name, as other
// implementations send them, are ignored by whoever adds it and by everybody else.
func TestUnknownKeyPackageExtensionsAreIgnored(t *testing.T) {
	groups := trio(t)
	kp := forge(t, DefaultSuite, func(kp *KeyPackage, _ *leafNode) {
		kp.extensions = []Extension{{Type: 0x1a1a, Data: []byte("grease")}, {Type: 0xf777}}
	})
	if err := kp.Verify(testNow, nil); err != nil {
		t.Error(err)
	}
	c := must(groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t)
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	agree(t, groups)
}

func TestKeyPackagePrivateKeys(t *testing.T) {
	eachSuite(t, func(t *testing.T, id Suite) {
		kp, secrets := keyPackageOf(t, id, "a")
		initKey, leafKey, signature, err := secrets.PrivateKeys()
		if err != nil {
			t.Fatal(err)
		}
		s := must(id.lookup())(t)
		if got := must(s.parseHPKE(initKey))(t); !bytes.Equal(got.pub, kp.initKey) {
			t.Error("the init key is another one")
		}
		if got := must(s.parseHPKE(leafKey))(t); !bytes.Equal(got.pub, kp.leaf.encryptionKey) {
			t.Error("the leaf's key is another one")
		}
		if got := must(id.ParseSignatureKey(signature))(t); !bytes.Equal(got.Public(), kp.SignatureKey()) {
			t.Error("the signature key is another one")
		}
	})
}
