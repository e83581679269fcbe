package mls

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hpke"
	"encoding/binary"
	"slices"
	"testing"
)

// TestC28_WycheproofAgreement: keys that are no points of the curve are refused by all that
// takes keys; with the others one agrees on the secret of the file.
func TestC28_WycheproofAgreement(t *testing.T) {
	for _, f := range []struct {
		file   string
		suites []Suite
	}{
		{"x25519", []Suite{SuiteX25519AES128Ed25519, SuiteX25519ChaCha20Ed25519}},
		{"x448", []Suite{SuiteX448AES256Ed448, SuiteX448ChaCha20Ed448}},
		{"ecdh_secp256r1_ecpoint", []Suite{SuiteP256AES128P256}},
		{"ecdh_secp384r1_ecpoint", []Suite{SuiteP384AES256P384}},
		{"ecdh_secp521r1_ecpoint", []Suite{SuiteP521AES256P521}},
	} {
		t.Run(f.file, func(t *testing.T) {
			wycheproof(t, f.file, func(t *testing.T, c *wycheproofCase) string {
				for _, id := range f.suites {
					c.checkAgreement(t, suites[id])
				}
				return ""
			})
		})
	}
}

func (c *wycheproofCase) checkAgreement(t *testing.T, s *suite) {
	t.Helper()
	private, montgomery := []byte(c.Private), false
	if size, ok := map[uint16]int{0x0010: 32, 0x0011: 48, 0x0012: 66}[s.kemID()]; ok {
		private = append(make([]byte, size), bytes.TrimLeft(private, "\x00")...)
		private = private[len(private)-size:]
	} else { // X25519 and X448: little-endian, always of one length
		montgomery = true
	}
	key, err := s.parseHPKE(private)
	if err != nil {
		c.errorf(t, "private key: %v", err)
		return
	}
	good := c.Result == "valid"
	if c.Result == "acceptable" { // compressed points, which are no keys here, or of X25519 and X448
		good = montgomery && !bytes.Equal(c.Shared, make([]byte, len(c.Shared)))
	}
	sealed := referenceSeal(t, s, key.pub, c.Public, c.Shared)
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

// TestWycheproofMLKEM: seeds of a wrong length are no keys, of the others comes the public key
// of the file; a ciphertext of the right length always decapsulates, to the secret of the file
// or of the implicit rejection.
func TestWycheproofMLKEM(t *testing.T) {
	for _, f := range []struct {
		file string
		kem  hpke.KEM
	}{{"mlkem_768", hpke.MLKEM768()}, {"mlkem_1024", hpke.MLKEM1024()}} {
		t.Run(f.file, func(t *testing.T) {
			s := row(0, f.file, goKEM(f.kem, nil), aes256, hkdfSHA384, nil)
			wycheproof(t, f.file, func(t *testing.T, c *wycheproofCase) string {
				c.checkDecapsulation(t, s)
				return ""
			})
		})
	}
}

func (c *wycheproofCase) checkDecapsulation(t *testing.T, s *suite) {
	t.Helper()
	key, err := s.parseHPKE(c.Seed)
	if len(c.Seed) != 64 {
		if err == nil {
			c.errorf(t, "a seed of %d bytes is a key", len(c.Seed))
		}
		return
	}
	if err != nil || len(c.EK) != 0 && !bytes.Equal(key.pub, c.EK) {
		c.errorf(t, "not the public key of the seed (%v)", err)
		return
	}
	if err := s.checkPublicKey(key.pub); err != nil {
		c.errorf(t, "as a public key: %v", err)
	}
	sealed := referenceSeal(t, s, key.pub, c.C, c.K)
	plain, err := s.decryptWithLabel(key, "label", []byte("context"), sealed)
	if good := c.Result == "valid"; (err == nil) != good || good && string(plain) != "plaintext" {
		c.errorf(t, "decrypting from it: %q, %v", plain, err)
	}
}

// referenceSeal is EncryptWithLabel of "plaintext" by RFC 9180 from the KEM output and its
// secret on: for DHKEM ExtractAndExpand, whose hash in the suites here is the suite's; the key
// schedule of mode base, one Seal. The secret of ML-KEM goes into the schedule as it is.
func referenceSeal(t *testing.T, s *suite, recipient, enc, dh []byte) hpkeCiphertext {
	t.Helper()
	u16 := func(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
	extract := func(suiteID, salt []byte, label string, ikm []byte) []byte {
		return must(hkdf.Extract(s.hash, slices.Concat([]byte("HPKE-v1"), suiteID, []byte(label), ikm), salt))(t)
	}
	expand := func(suiteID, prk []byte, label string, info []byte, n int) []byte {
		info = slices.Concat(u16(uint16(n)), []byte("HPKE-v1"), suiteID, []byte(label), info)
		return must(hkdf.Expand(s.hash, prk, string(info), n))(t)
	}
	shared := dh
	if s.kemID() < 0x0040 { // DHKEM
		kem := slices.Concat([]byte("KEM"), u16(s.kemID()))
		shared = expand(kem, extract(kem, nil, "eae_prk", dh), "shared_secret", slices.Concat(enc, recipient), s.nh)
	}
	all := slices.Concat([]byte("HPKE"), u16(s.kemID()), u16(s.kdf.forHPKE.ID()), u16(s.aead.forHPKE.ID()))
	info := labelled("MLS 1.0 label", []byte("context"))
	ctx := slices.Concat([]byte{0}, extract(all, nil, "psk_id_hash", nil), extract(all, nil, "info_hash", info))
	prk := extract(all, shared, "secret", nil)
	c := must(s.newAEAD(expand(all, prk, "key", ctx, s.nk)))(t)
	sealed := c.Seal(nil, expand(all, prk, "base_nonce", ctx, s.nn), []byte("plaintext"), nil)
	return hpkeCiphertext{kemOutput: enc, ciphertext: sealed}
}
