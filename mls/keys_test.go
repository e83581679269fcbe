package mls

import (
	"bytes"
	"crypto/elliptic"
	"crypto/mlkem"
	"math/big"
	"slices"
	"testing"

	"github.com/cloudflare/circl/dh/x448"
	"github.com/cloudflare/circl/hpke"
)

// kemID is the KEM's code (RFC 9180 section 7.1).
func (s *suite) kemID() uint16 {
	if h, ok := s.hpke.(*goHPKE); ok {
		return h.kem.ID()
	}
	return uint16(hpke.KEM_X448_HKDF_SHA512)
}

// badKeys are byte strings that are no public key of the suite, by what is wrong with them.
func badKeys(t tb, id Suite) map[string][]byte {
	t.Helper()
	s := suites[id]
	good := must(s.generateHPKE())(t).pub
	bad := map[string][]byte{
		"empty": {}, "a byte too few": good[:len(good)-1], "a byte too many": append(bytes.Clone(good), 0),
		"of another suite": must(suites[SuiteP256AES128P256].generateHPKE())(t).pub,
	}
	if s.kemID() == suites[SuiteP256AES128P256].kemID() {
		bad["of another suite"] = must(suites[SuiteP384AES256P384].generateHPKE())(t).pub
	}
	switch s.kemID() {
	case 0x0010:
		badPoints(bad, elliptic.P256(), nil, good)
	case 0x0011:
		badPoints(bad, elliptic.P384(), nil, good)
	case 0x0012:
		badPoints(bad, elliptic.P521(), nil, good)
	case 0x0020:
		bad["low order"] = make([]byte, len(good)) // the other points of low order are Wycheproof's
	case 0x0021:
		badX448(bad)
	case 0x0041, 0x0042:
		badMLKEM(bad, good, nil)
	case 0x0050:
		badHybrid(bad, elliptic.P256(), good, mlkem.EncapsulationKeySize768)
	case 0x0051:
		badHybrid(bad, elliptic.P384(), good, mlkem.EncapsulationKeySize1024)
	case 0x647a:
		badMLKEM(bad, good[:mlkem.EncapsulationKeySize768], good[mlkem.EncapsulationKeySize768:])
		bad["low order"] = append(bytes.Clone(good[:mlkem.EncapsulationKeySize768]), make([]byte, 32)...)
	default:
		t.Fatalf("%v: nothing is known about bad keys of KEM %#04x", id, s.kemID())
	}
	return bad
}

// badOutputs are bad keys that are no KEM output either. Those of ML-KEM-1024 are as long as
// its outputs, and all bytes of that length are one.
func badOutputs(t tb, id Suite) map[string][]byte {
	t.Helper()
	bad := badKeys(t, id)
	if kem := suites[id].kemID(); kem == 0x0042 || kem == 0x0051 {
		delete(bad, "unreduced")
	}
	return bad
}

// badKey is one that has the length of a good one.
func badKey(t tb, id Suite) []byte {
	t.Helper()
	all := badKeys(t, id)
	for _, name := range []string{"unreduced", "low order"} {
		if key := all[name]; key != nil {
			return key
		}
	}
	t.Fatalf("%v has no bad key of full length", id)
	return nil
}

// badPoints adds what is wrong with the point of a NIST curve that comes after prefix in a
// good key.
func badPoints(bad map[string][]byte, curve elliptic.Curve, prefix, good []byte) {
	size := len(good) / 2
	x, y := good[1:1+size], good[1+size:]
	form := func(first byte, parts ...[]byte) []byte {
		return slices.Concat(prefix, []byte{first}, bytes.Join(parts, nil))
	}
	bad["of zeros"] = form(0, make([]byte, 2*size))
	bad["infinity"] = form(0)
	bad["compressed"] = form(2|y[size-1]&1, x)
	bad["hybrid"] = form(6|y[size-1]&1, x, y)
	bad["x alone"] = slices.Concat(prefix, x)
	bad["off the curve"] = form(4, y, x)
	bad["unreduced"] = slices.Concat(prefix, unreduced(curve.Params(), size))
}

// unreduced is a point of the curve whose x is written with the field's order added to it.
func unreduced(c *elliptic.CurveParams, size int) []byte {
	for x := big.NewInt(0); ; x.Add(x, big.NewInt(1)) {
		y := new(big.Int).Exp(x, big.NewInt(3), c.P) // y² = x³ - 3x + b
		y.Sub(y, new(big.Int).Mul(x, big.NewInt(3)))
		y.Mod(y.Add(y, c.B), c.P)
		if y.ModSqrt(y, c.P) == nil {
			continue
		}
		out := make([]byte, 1+2*size)
		out[0] = 4
		new(big.Int).Add(x, c.P).FillBytes(out[1 : 1+size])
		y.FillBytes(out[1+size:])
		return out
	}
}

// badX448 adds all of low order: 0, 1 and -1 modulo p = 2^448 - 2^224 - 1, and the first two
// with p added.
func badX448(bad map[string][]byte) {
	p := new(big.Int).Lsh(big.NewInt(1), 448)
	p.Sub(p, new(big.Int).Lsh(big.NewInt(1), 224))
	p.Sub(p, big.NewInt(1))
	for name, u := range map[string]*big.Int{
		"low order": big.NewInt(0), "one": big.NewInt(1), "minus one": new(big.Int).Sub(p, big.NewInt(1)),
		"zero, unreduced": p, "one, unreduced": new(big.Int).Add(p, big.NewInt(1)),
	} {
		littleEndian := u.FillBytes(make([]byte, x448.Size))
		slices.Reverse(littleEndian)
		bad[name] = littleEndian
	}
}

// badMLKEM adds an ML-KEM key, before suffix, whose first coefficient is written with q = 3329
// added to it, where that fits into its twelve bits, and else with the largest that they hold.
func badMLKEM(bad map[string][]byte, good, suffix []byte) {
	key := slices.Concat(good, suffix)
	coefficient := int(key[0]) | int(key[1]&0x0f)<<8
	coefficient = min(coefficient+3329, 4095)
	key[0], key[1] = byte(coefficient), key[1]&0xf0|byte(coefficient>>8)
	bad["unreduced"] = key
}

// badHybrid adds what is wrong with either half of an ML-KEM key of size bytes and a point.
func badHybrid(bad map[string][]byte, curve elliptic.Curve, good []byte, size int) {
	points := map[string][]byte{}
	badPoints(points, curve, good[:size], good[size:])
	for name, key := range points {
		bad["point "+name] = key
	}
	badMLKEM(bad, good[:size], good[size:])
}

// TestX448AgainstAnother: what one HPKE seals the other opens, with keys of either. The
// derivation of keys is the vectors' business.
func TestX448AgainstAnother(t *testing.T) {
	info, plaintext := []byte("info"), []byte("plaintext")
	for id, code := range map[Suite]hpke.AEAD{
		SuiteX448AES256Ed448: hpke.AEAD_AES256GCM, SuiteX448ChaCha20Ed448: hpke.AEAD_ChaCha20Poly1305,
	} {
		t.Run(id.String(), func(t *testing.T) {
			ours := suites[id].hpke
			theirs := hpke.NewSuite(hpke.KEM_X448_HKDF_SHA512, hpke.KDF_HKDF_SHA512, code)
			kem := hpke.KEM_X448_HKDF_SHA512.Scheme()

			key := must(ours.generate())(t)
			pub := must(kem.UnmarshalBinaryPublicKey(key.public()))(t)
			enc, sealer, err := must(theirs.NewSender(pub, info))(t).Setup(nil)
			if err != nil {
				t.Fatal(err)
			}
			sealed := hpkeCiphertext{kemOutput: enc, ciphertext: must(sealer.Seal(plaintext, nil))(t)}
			if got, err := key.open(sealed, info); err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("opened theirs: %q, %v", got, err)
			}
			for what, err := range map[string]error{
				"other info": second(key.open(sealed, nil)),
				"other key":  second(must(ours.generate())(t).open(sealed, info)),
				"cut":        second(key.open(hpkeCiphertext{enc, sealed.ciphertext[1:]}, info)),
			} {
				if err == nil {
					t.Errorf("%s: opened", what)
				}
			}

			pub, private, err := kem.GenerateKeyPair()
			if err != nil {
				t.Fatal(err)
			}
			sealed = must(ours.seal(must(pub.MarshalBinary())(t), info, plaintext))(t)
			opener := must(must(theirs.NewReceiver(private, info))(t).Setup(sealed.kemOutput))(t)
			if got, err := opener.Open(sealed.ciphertext, nil); err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("they opened ours: %q, %v", got, err)
			}
			again := must(ours.parse(must(private.MarshalBinary())(t)))(t)
			if !bytes.Equal(again.public(), must(pub.MarshalBinary())(t)) {
				t.Error("the same private key has another public key")
			}
		})
	}
}
