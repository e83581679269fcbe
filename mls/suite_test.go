package mls

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSuites(t *testing.T) {
	list := Suites()
	want := []Suite{1, 2, 3, 4, 5, 6, 7}
	for i := range Suite(11) {
		want = append(want, 0xf501+i)
	}
	if !slices.Equal(list, want) || !slices.Contains(list, DefaultSuite) {
		t.Errorf("suites %d, default %d", list, DefaultSuite)
	}
	names := map[string]bool{}
	for id, row := range suites {
		if row.id != id || !id.Supported() || !strings.HasPrefix(id.String(), "MLS_") || names[id.String()] {
			t.Errorf("row %d is of suite %d, named %v", id, row.id, id)
		}
		names[id.String()] = true
	}
	for id, name := range map[Suite]string{8: "MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519 (0x0008, mlspp)", 0x0a0a: "suite 0x0a0a", 0: "suite 0x0000"} {
		if id.Supported() != (id == 8) || id.String() != name {
			t.Errorf("suite %d is named %v and supported: %v", id, id, id.Supported())
		}
		if _, err := id.GenerateSignatureKey(); id != 8 && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), name)) {
			t.Errorf("key of %v: %v, want ErrUnsupported with the name", id, err)
		}
	}
	// Everybody announces them all, so that a group in any of them can be joined.
	kp, _ := keyPackage(t, "a")
	for _, id := range list {
		if !containsSuite(kp.leaf.capabilities, id) {
			t.Errorf("%v is not announced", id)
		}
	}
}

// TestProfiles: numbers of other stacks have the algorithms of a suite of the draft and nothing
// else in common with it, and are announced where they are used alone.
func TestProfiles(t *testing.T) {
	plain, _ := keyPackage(t, "plain")
	tried := 0
	for id, row := range suites {
		if row.stack == "" {
			continue
		}
		tried++
		if containsSuite(plain.leaf.capabilities, id) || slices.Contains(Suites(), id) {
			t.Errorf("%v is announced by all", id)
		}
		of := id.Algorithms()
		if same := suites[of]; same.stack != "" && of != id || same.name != row.name || same.hpke != row.hpke || of.Algorithms() != of {
			t.Errorf("%v has the algorithms of %v", id, of)
		}
		g := newGroupOf(t, id, "a")
		joined := add(t, g, nil, CommitParams{}, "b")
		if joined[0].Suite() != id || !containsSuite(joined[0].at.tree.leaf(1).capabilities, id) {
			t.Errorf("%v: not announced", id)
		}
		agree(t, []*Group{g, joined[0]})
		if of == id {
			continue
		}
		kp, _ := keyPackageOf(t, of, "c")
		if _, err := g.Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}); err == nil {
			t.Errorf("a group of %v takes a member of %v", id, of)
		}
	}
	if tried != 13 {
		t.Errorf("%d numbers of other stacks", tried)
	}
	if unknownSuite.Algorithms() != unknownSuite || DefaultSuite.Algorithms() != DefaultSuite {
		t.Error("what stands for itself is something else")
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
	keys := map[Suite]SignaturePrivateKey{}
	for _, id := range Suites() {
		keys[id] = signatureKeyOf(t, id)
	}
	for _, id := range Suites() {
		for other, key := range keys {
			if other == id {
				continue
			}
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
