package mls

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSuites(t *testing.T) {
	if got := Suites(); !slices.Equal(got, []Suite{1, 2, 3, 4, 5, 6, 7}) || !slices.Contains(got, DefaultSuite) {
		t.Errorf("suites %d, default %d", got, DefaultSuite)
	}
	for id, row := range suites {
		if row.id != id || !id.Supported() || !strings.HasPrefix(id.String(), "MLS_") {
			t.Errorf("row %d is of suite %d, named %v", id, row.id, id)
		}
	}
	for id, name := range map[Suite]string{8: "suite 0x0008", 0x0a0a: "suite 0x0a0a", 0: "suite 0x0000"} {
		if id.Supported() || id.String() != name {
			t.Errorf("suite %d is named %v and supported: %v", id, id, id.Supported())
		}
		if _, err := id.GenerateSignatureKey(); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), name) {
			t.Errorf("key of %v: %v, want ErrUnsupported with the name", id, err)
		}
	}
	// Everybody announces them all, so that a group in any of them can be joined.
	kp, _ := keyPackage(t, "a")
	for _, id := range Suites() {
		if !containsSuite(kp.leaf.capabilities, id) {
			t.Errorf("%v is not announced", id)
		}
	}
}

// TestSignatureKeyEncoding: there is one encoding for each private key.
func TestSignatureKeyEncoding(t *testing.T) {
	eachSuite(t, func(t *testing.T, id Suite) {
		key := signatureKeyOf(t, id)
		b := must(key.MarshalBinary())(t)
		if again := must(id.ParseSignatureKey(b))(t); !bytes.Equal(again.Public(), key.Public()) || again.Suite() != id {
			t.Error("another key comes back")
		}
		bad := map[string][]byte{"empty": {}, "short": b[1:], "long": append([]byte{0}, b...)}
		if scheme, ok := suites[id].signature.(ecdsaScheme); ok {
			bad["zero"] = make([]byte, len(b))
			bad["the order"] = scheme.curve.Params().N.FillBytes(make([]byte, len(b)))
			bad["ones"] = bytes.Repeat([]byte{0xff}, len(b))
		}
		for name, b := range bad {
			if _, err := id.ParseSignatureKey(b); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v, want ErrMalformed", name, err)
			}
		}
	})
}

// TestKeysOfAnotherSuite: a signature key serves its own suite alone, also where the bytes
// would fit, as between suites 1 and 3.
func TestKeysOfAnotherSuite(t *testing.T) {
	for _, id := range Suites() {
		for _, other := range Suites() {
			if other == id {
				continue
			}
			key := signatureKeyOf(t, other)
			if _, _, err := NewKeyPackage(KeyPackageConfig{
				Suite: id, Credential: basic("x"), SignatureKey: key, NotBefore: testNow, NotAfter: testNow,
			}); err == nil {
				t.Errorf("KeyPackage of suite %d with a key of suite %d", id, other)
			}
		}
		if _, _, err := NewKeyPackage(KeyPackageConfig{Suite: id, Credential: basic("x"), NotBefore: testNow, NotAfter: testNow}); err == nil {
			t.Errorf("KeyPackage of suite %d without a key", id)
		}
	}
}
