package mls

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// TestWycheproofAEAD: the AEADs of the suites, and that of envelopes and signals.
func TestWycheproofAEAD(t *testing.T) {
	xchacha := aead{newAEAD: chacha20poly1305.NewX, nk: chacha20poly1305.KeySize, nn: chacha20poly1305.NonceSizeX}
	for _, f := range []struct {
		file  string
		aeads []aead // of several, each has the cases of its key's length
	}{
		{"aes_gcm", []aead{aes128, aes256}},
		{"chacha20_poly1305", []aead{chacha}},
		{"xchacha20_poly1305", []aead{xchacha}},
	} {
		t.Run(f.file, func(t *testing.T) {
			wycheproof(t, f.file, func(t *testing.T, c *wycheproofCase) string {
				i := slices.IndexFunc(f.aeads, func(a aead) bool { return a.nk == len(c.Key) })
				switch {
				case i < 0:
					return otherKey
				case c.ivSize != 8*f.aeads[i].nn:
					return otherNonce
				}
				c.checkAEAD(t, &suite{aead: f.aeads[i]})
				return ""
			})
		})
	}
}

func (c *wycheproofCase) checkAEAD(t *testing.T, s *suite) {
	t.Helper()
	sealed := slices.Concat(c.CT, c.Tag)
	plain, err := s.aeadOpen(c.Key, c.IV, c.AAD, sealed)
	if (err == nil) != (c.Result == "valid") || err == nil && !bytes.Equal(plain, c.Msg) {
		c.errorf(t, "open: %x, %v", plain, err)
	}
	if again, err := s.aeadSeal(c.Key, c.IV, c.AAD, c.Msg); err != nil || bytes.Equal(again, sealed) != (c.Result == "valid") {
		c.errorf(t, "seal: %x, %v", again, err)
	}
}

func TestWycheproofHKDF(t *testing.T) {
	for file, k := range map[string]kdf{"hkdf_sha256": hkdfSHA256, "hkdf_sha384": hkdfSHA384, "hkdf_sha512": hkdfSHA512} {
		t.Run(file, func(t *testing.T) {
			s := &suite{kdf: k}
			wycheproof(t, file, func(t *testing.T, c *wycheproofCase) string {
				okm, err := s.expand(s.extract(c.Salt, c.IKM), c.Info, c.Size)
				if (err == nil) != (c.Result == "valid") || !bytes.Equal(okm, c.OKM) {
					c.errorf(t, "okm: %x, %v", okm, err)
				}
				return ""
			})
		})
	}
}
