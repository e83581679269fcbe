package mls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"maps"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// Suite is a cipher suite (RFC 9420 section 5.1 and 17.1). All members of a group use the
// same one.
type Suite uint16

// The cipher suites of this package, named after KEM, AEAD and signature. The numbers are
// those of RFC 9420 section 17.1, in whose names the hash stands as well: see [Suite.String].
const (
	SuiteX25519AES128Ed25519   Suite = 0x0001
	SuiteP256AES128P256        Suite = 0x0002
	SuiteX25519ChaCha20Ed25519 Suite = 0x0003
	SuiteX448AES256Ed448       Suite = 0x0004
	SuiteP521AES256P521        Suite = 0x0005
	SuiteX448ChaCha20Ed448     Suite = 0x0006
	SuiteP384AES256P384        Suite = 0x0007
)

// DefaultSuite is the one to choose where nothing demands another. The suites with ECDSA are
// for groups with others who have no Ed25519: their signatures can be changed into other
// valid ones (see [Suite.Verify]).
const DefaultSuite = SuiteX25519AES128Ed25519

// A suite is one row of the table: all that differs between cipher suites.
type suite struct {
	id   Suite
	name string
	hpke hpkeScheme
	aead
	kdf
	signature signatureScheme
}

// aead is an AEAD under the names of HPKE and of MLS.
type aead struct {
	forHPKE hpke.AEAD
	newAEAD func(key []byte) (cipher.AEAD, error)
	nk, nn  int // key and nonce, bytes
}

// kdf is HKDF over a hash, which is also the suite's hash.
type kdf struct {
	forHPKE hpke.KDF
	hash    func() hash.Hash
	nh      int // KDF.Nh and the hash's size, bytes
}

// What the rows are made of; the codes are those of RFC 9180 section 7.
var (
	aes128 = aead{hpke.AES128GCM(), newAESGCM, 16, 12}                   // 0x0001
	aes256 = aead{hpke.AES256GCM(), newAESGCM, 32, 12}                   // 0x0002
	chacha = aead{hpke.ChaCha20Poly1305(), chacha20poly1305.New, 32, 12} // 0x0003

	hkdfSHA256 = kdf{hpke.HKDFSHA256(), sha256.New, sha256.Size}       // 0x0001
	hkdfSHA384 = kdf{hpke.HKDFSHA384(), sha512.New384, sha512.Size384} // 0x0002
	hkdfSHA512 = kdf{hpke.HKDFSHA512(), sha512.New, sha512.Size}       // 0x0003

	ecdsaP256 = ecdsaScheme{curve: elliptic.P256(), hash: sha256.New}
	ecdsaP384 = ecdsaScheme{curve: elliptic.P384(), hash: sha512.New384}
	ecdsaP521 = ecdsaScheme{curve: elliptic.P521(), hash: sha512.New}
)

// suites is the table. A new suite is a new row.
var suites = table(
	row(SuiteX25519AES128Ed25519, "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519",
		dhX25519, aes128, hkdfSHA256, ed25519Scheme{}),
	row(SuiteP256AES128P256, "MLS_128_DHKEMP256_AES128GCM_SHA256_P256",
		dhP256, aes128, hkdfSHA256, ecdsaP256),
	row(SuiteX25519ChaCha20Ed25519, "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
		dhX25519, chacha, hkdfSHA256, ed25519Scheme{}),
	row(SuiteX448AES256Ed448, "MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448",
		dhX448, aes256, hkdfSHA512, ed448Scheme{}),
	row(SuiteP521AES256P521, "MLS_256_DHKEMP521_AES256GCM_SHA512_P521",
		dhP521, aes256, hkdfSHA512, ecdsaP521),
	row(SuiteX448ChaCha20Ed448, "MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448",
		dhX448, chacha, hkdfSHA512, ed448Scheme{}),
	row(SuiteP384AES256P384, "MLS_256_DHKEMP384_AES256GCM_SHA384_P384",
		dhP384, aes256, hkdfSHA384, ecdsaP384),
)

// A kemOf is a KEM that is still to be put together with a suite's KDF and AEAD.
type kemOf func(kdf, aead) hpkeScheme

// The codes are those of RFC 9180 section 7.1.
var (
	dhP256   = goKEM(hpke.DHKEM(ecdh.P256()), nil)                    // 0x0010
	dhP384   = goKEM(hpke.DHKEM(ecdh.P384()), nil)                    // 0x0011
	dhP521   = goKEM(hpke.DHKEM(ecdh.P521()), nil)                    // 0x0012
	dhX25519 = goKEM(hpke.DHKEM(ecdh.X25519()), agreesX25519)         // 0x0020
	dhX448   = func(_ kdf, a aead) hpkeScheme { return &x448HPKE{a} } // 0x0021, with its own KDF in both suites
)

func goKEM(kem hpke.KEM, agrees func([]byte) error) kemOf {
	return func(k kdf, a aead) hpkeScheme {
		return &goHPKE{kem: kem, kdf: k.forHPKE, aead: a.forHPKE, agrees: agrees}
	}
}

func row(id Suite, name string, kem kemOf, a aead, k kdf, signature signatureScheme) *suite {
	return &suite{id: id, name: name, hpke: kem(k, a), aead: a, kdf: k, signature: signature}
}

func table(rows ...*suite) map[Suite]*suite {
	out := make(map[Suite]*suite, len(rows))
	for _, r := range rows {
		out[r.id] = r
	}
	return out
}

// Suites lists the suites that this package implements, in ascending order. Every KeyPackage
// and group made here announces them all.
func Suites() []Suite { return slices.Sorted(maps.Keys(suites)) }

// Supported reports whether this package implements s.
func (s Suite) Supported() bool { return suites[s] != nil }

// String is the name in RFC 9420 section 17.1, or the number of a suite that is not there.
func (s Suite) String() string {
	if row := suites[s]; row != nil {
		return row.name
	}
	return fmt.Sprintf("suite %#04x", uint16(s))
}

func (s Suite) lookup() (*suite, error) {
	if row := suites[s]; row != nil {
		return row, nil
	}
	return nil, fmt.Errorf("%w: %v", ErrUnsupported, s)
}

func newAESGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sum hashes the concatenation of parts.
func (s *suite) sum(parts ...[]byte) []byte {
	h := s.hash()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
