package mls

import (
	"bytes"
	"crypto/hkdf"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const wycheproofFolder = "../../shared/wycheproof"

// wycheproofCase holds the fields of all the kinds of files that are read here.
type wycheproofCase struct {
	ID      int `json:"tcId"`
	Comment string
	Result  string // valid, invalid or acceptable

	Key, IV, AAD, Msg, CT, Tag hexBytes // AEAD, and Msg of signatures
	Sig                        hexBytes
	Public, Private, Shared    hexBytes // ECDH
	IKM, Salt, Info, OKM       hexBytes // HKDF
	Size                       int

	ivSize    int      // of the group, bits
	publicKey hexBytes // of the group
}

// wycheproof gives every case of a file to run, and fails unless want of them were tried.
func wycheproof(t *testing.T, file string, want int, run func(*testing.T, *wycheproofCase) (tried bool)) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(wycheproofFolder, file+"_test.json"))
	if os.IsNotExist(err) {
		t.Skipf("Wycheproof's files are not here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var content struct {
		TestGroups []struct {
			IVSize    int
			PublicKey struct{ Uncompressed, PK hexBytes }
			Tests     []*wycheproofCase
		}
	}
	if err := json.Unmarshal(data, &content); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, g := range content.TestGroups {
		for _, c := range g.Tests {
			c.ivSize, c.publicKey = g.IVSize, slices.Concat(g.PublicKey.Uncompressed, g.PublicKey.PK)
			if run(t, c) {
				tried++
			}
		}
	}
	if tried != want {
		t.Errorf("%s: %d cases were tried, want %d", file, tried, want)
	}
}

func (c *wycheproofCase) errorf(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Errorf("case %d (%s, %s): "+format, append([]any{c.ID, c.Comment, c.Result}, args...)...)
}

// TestWycheproofSignatures: DER with every kind of damage, values out of range, edge cases of
// the arithmetic. Ed25519 has no malleable signatures, ECDSA has (ATTACKS A22).
func TestWycheproofSignatures(t *testing.T) {
	for _, f := range []struct {
		file   string
		cases  int
		suites []Suite
	}{
		{"ed25519", 151, []Suite{SuiteX25519AES128Ed25519, SuiteX25519ChaCha20Ed25519}},
		{"ecdsa_secp256r1_sha256", 484, []Suite{SuiteP256AES128P256}},
		{"ecdsa_secp384r1_sha384", 504, []Suite{SuiteP384AES256P384}},
		{"ecdsa_secp521r1_sha512", 542, []Suite{SuiteP521AES256P521}},
	} {
		t.Run(f.file, func(t *testing.T) {
			wycheproof(t, f.file, f.cases, func(t *testing.T, c *wycheproofCase) bool {
				for _, id := range f.suites {
					err := suites[id].signature.verify(c.publicKey, c.Msg, c.Sig)
					if (err == nil) != (c.Result == "valid") {
						c.errorf(t, "verify: %v", err)
					}
				}
				return true
			})
		})
	}
}

// TestC28_WycheproofAgreement: keys that are no points of the curve are refused by all that
// takes keys; with the others one agrees on the secret of the file.
func TestC28_WycheproofAgreement(t *testing.T) {
	for _, f := range []struct {
		file   string
		cases  int
		suites []Suite
	}{
		{"x25519", 518, []Suite{SuiteX25519AES128Ed25519, SuiteX25519ChaCha20Ed25519}},
		{"ecdh_secp256r1_ecpoint", 355, []Suite{SuiteP256AES128P256}},
		{"ecdh_secp384r1_ecpoint", 790, []Suite{SuiteP384AES256P384}},
		{"ecdh_secp521r1_ecpoint", 661, []Suite{SuiteP521AES256P521}},
	} {
		t.Run(f.file, func(t *testing.T) {
			wycheproof(t, f.file, f.cases, func(t *testing.T, c *wycheproofCase) bool {
				for _, id := range f.suites {
					c.checkAgreement(t, suites[id])
				}
				return true
			})
		})
	}
}

func (c *wycheproofCase) checkAgreement(t *testing.T, s *suite) {
	t.Helper()
	size := map[bool]int{true: s.nh, false: 66}[s.id != SuiteP521AES256P521]
	private := append(make([]byte, size), bytes.TrimLeft(c.Private, "\x00")...)
	private = private[len(private)-size:]
	x25519 := s.hpke.(*goHPKE).agrees != nil
	if x25519 { // little-endian, always 32 bytes
		private = c.Private
	}
	key, err := s.parseHPKE(private)
	if err != nil {
		c.errorf(t, "private key: %v", err)
		return
	}
	good := c.Result == "valid"
	if c.Result == "acceptable" { // compressed points, which are no keys here, or X25519
		good = x25519 && !bytes.Equal(c.Shared, lowOrder)
	}
	sealed := hpkeCiphertext{kemOutput: c.Public, ciphertext: referenceSeal(t, s, key.pub, c.Public, c.Shared)}
	plain, err := s.decryptWithLabel(key, "label", []byte("context"), sealed)
	if (err == nil) != good || good && string(plain) != "plaintext" {
		c.errorf(t, "decrypting from it: %q, %v", plain, err)
	}
	if err := s.checkPublicKey(c.Public); (err == nil) != good {
		c.errorf(t, "as a public key: %v", err)
	}
	if good {
		return // encryption with good keys is the vectors' business
	}
	if _, err := s.encryptWithLabel(c.Public, "label", nil, nil); err == nil {
		c.errorf(t, "encrypted to it")
	}
}

// referenceSeal is EncryptWithLabel of "plaintext" by RFC 9180 from the shared secret of the
// curve on: DHKEM's ExtractAndExpand, the key schedule of mode base, one Seal. In the five
// suites the KEM's hash is the suite's.
func referenceSeal(t *testing.T, s *suite, recipient, enc, dh []byte) []byte {
	t.Helper()
	u16 := func(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
	extract := func(suiteID, salt []byte, label string, ikm []byte) []byte {
		return must(hkdf.Extract(s.hash, slices.Concat([]byte("HPKE-v1"), suiteID, []byte(label), ikm), salt))(t)
	}
	expand := func(suiteID, prk []byte, label string, info []byte, n int) []byte {
		info = slices.Concat(u16(n), []byte("HPKE-v1"), suiteID, []byte(label), info)
		return must(hkdf.Expand(s.hash, prk, string(info), n))(t)
	}
	h := s.hpke.(*goHPKE)
	kem := slices.Concat([]byte("KEM"), u16(int(h.kem.ID())))
	shared := expand(kem, extract(kem, nil, "eae_prk", dh), "shared_secret", slices.Concat(enc, recipient), s.nh)

	all := slices.Concat([]byte("HPKE"), u16(int(h.kem.ID())), u16(int(h.kdf.ID())), u16(int(h.aead.ID())))
	info := labelled("MLS 1.0 label", []byte("context"))
	ctx := slices.Concat([]byte{0}, extract(all, nil, "psk_id_hash", nil), extract(all, nil, "info_hash", info))
	prk := extract(all, shared, "secret", nil)
	c := must(s.newAEAD(expand(all, prk, "key", ctx, s.nk)))(t)
	return c.Seal(nil, expand(all, prk, "base_nonce", ctx, s.nn), []byte("plaintext"), nil)
}

// TestWycheproofAEAD: the cases whose sizes are a suite's. Nonces of other sizes never come
// up, since every nonce is derived.
func TestWycheproofAEAD(t *testing.T) {
	for _, f := range []struct {
		file    string
		id      Suite
		nk, all int
	}{
		{"aes_gcm", SuiteX25519AES128Ed25519, 16, 67},
		{"aes_gcm", SuiteP521AES256P521, 32, 66},
		{"chacha20_poly1305", SuiteX25519ChaCha20Ed25519, 32, 316},
	} {
		t.Run(f.id.String(), func(t *testing.T) {
			s := suites[f.id]
			wycheproof(t, f.file, f.all, func(t *testing.T, c *wycheproofCase) bool {
				if len(c.Key) != f.nk || c.ivSize != 8*s.nn {
					return false
				}
				sealed := slices.Concat(c.CT, c.Tag)
				plain, err := s.aeadOpen(c.Key, c.IV, c.AAD, sealed)
				if (err == nil) != (c.Result == "valid") || err == nil && !bytes.Equal(plain, c.Msg) {
					c.errorf(t, "open: %x, %v", plain, err)
				}
				if again, err := s.aeadSeal(c.Key, c.IV, c.AAD, c.Msg); err != nil || bytes.Equal(again, sealed) != (c.Result == "valid") {
					c.errorf(t, "seal: %x, %v", again, err)
				}
				return true
			})
		})
	}
}

func TestWycheproofHKDF(t *testing.T) {
	for _, f := range []struct {
		file  string
		cases int
		id    Suite
	}{
		{"hkdf_sha256", 86, SuiteX25519AES128Ed25519},
		{"hkdf_sha384", 83, SuiteP384AES256P384},
		{"hkdf_sha512", 83, SuiteP521AES256P521},
	} {
		t.Run(f.file, func(t *testing.T) {
			s := suites[f.id]
			wycheproof(t, f.file, f.cases, func(t *testing.T, c *wycheproofCase) bool {
				okm, err := s.expand(s.extract(c.Salt, c.IKM), c.Info, c.Size)
				if (err == nil) != (c.Result == "valid") || !bytes.Equal(okm, c.OKM) {
					c.errorf(t, "okm: %x, %v", okm, err)
				}
				return true
			})
		})
	}
}
