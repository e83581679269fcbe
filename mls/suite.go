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
// Suites 4 and 6 (X448, Ed448) are not among them.
const (
	SuiteX25519AES128Ed25519   Suite = 0x0001
	SuiteP256AES128P256        Suite = 0x0002
	SuiteX25519ChaCha20Ed25519 Suite = 0x0003
	SuiteP521AES256P521        Suite = 0x0005
	SuiteP384AES256P384        Suite = 0x0007
)

// DefaultSuite is the one to choose where nothing demands another. The suites with ECDSA are
// for groups with others who have no Ed25519: their signatures can be changed into other
// valid ones (see [Suite.Verify]).
const DefaultSuite = SuiteX25519AES128Ed25519

// suiteNames are the registered names, also of suites that are not in the table.
var suiteNames = map[Suite]string{
	1: "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519",
	2: "MLS_128_DHKEMP256_AES128GCM_SHA256_P256",
	3: "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
	4: "MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448",
	5: "MLS_256_DHKEMP521_AES256GCM_SHA512_P521",
	6: "MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448",
	7: "MLS_256_DHKEMP384_AES256GCM_SHA384_P384",
}

// A suite is one row of the table: all that differs between cipher suites.
type suite struct {
	id   Suite
	kem  hpke.KEM
	kdf  hpke.KDF
	aead hpke.AEAD // for HPKE

	hash    func() hash.Hash
	nh      int // KDF.Nh and the hash's size, bytes
	newAEAD func(key []byte) (cipher.AEAD, error)
	nk, nn  int // AEAD key and nonce, bytes

	signature signatureScheme
	// checkKey refuses public keys that parse and yet agree on no secret. An insider's leaf
	// with such a key would make every other member's path commit fail. It is nil where there
	// are none: the NIST curves have prime order, and infinity does not parse.
	checkKey func(pub []byte) error
}

// suites is the table. A new suite is a new row.
var suites = map[Suite]*suite{
	SuiteX25519AES128Ed25519: {
		id: SuiteX25519AES128Ed25519,
		// RFC 9180 codes 0x0020, 0x0001, 0x0001.
		kem: hpke.DHKEM(ecdh.X25519()), kdf: hpke.HKDFSHA256(), aead: hpke.AES128GCM(),
		hash: sha256.New, nh: sha256.Size,
		newAEAD: newAESGCM, nk: 16, nn: 12,
		signature: ed25519Scheme{},
		checkKey:  checkX25519,
	},
	SuiteP256AES128P256: {
		id: SuiteP256AES128P256,
		// RFC 9180 codes 0x0010, 0x0001, 0x0001.
		kem: hpke.DHKEM(ecdh.P256()), kdf: hpke.HKDFSHA256(), aead: hpke.AES128GCM(),
		hash: sha256.New, nh: sha256.Size,
		newAEAD: newAESGCM, nk: 16, nn: 12,
		signature: ecdsaScheme{curve: elliptic.P256(), hash: sha256.New},
	},
	SuiteX25519ChaCha20Ed25519: {
		id: SuiteX25519ChaCha20Ed25519,
		// RFC 9180 codes 0x0020, 0x0001, 0x0003.
		kem: hpke.DHKEM(ecdh.X25519()), kdf: hpke.HKDFSHA256(), aead: hpke.ChaCha20Poly1305(),
		hash: sha256.New, nh: sha256.Size,
		newAEAD: chacha20poly1305.New, nk: 32, nn: 12,
		signature: ed25519Scheme{},
		checkKey:  checkX25519,
	},
	SuiteP521AES256P521: {
		id: SuiteP521AES256P521,
		// RFC 9180 codes 0x0012, 0x0003, 0x0002.
		kem: hpke.DHKEM(ecdh.P521()), kdf: hpke.HKDFSHA512(), aead: hpke.AES256GCM(),
		hash: sha512.New, nh: sha512.Size,
		newAEAD: newAESGCM, nk: 32, nn: 12,
		signature: ecdsaScheme{curve: elliptic.P521(), hash: sha512.New},
	},
	SuiteP384AES256P384: {
		id: SuiteP384AES256P384,
		// RFC 9180 codes 0x0011, 0x0002, 0x0002.
		kem: hpke.DHKEM(ecdh.P384()), kdf: hpke.HKDFSHA384(), aead: hpke.AES256GCM(),
		hash: sha512.New384, nh: sha512.Size384,
		newAEAD: newAESGCM, nk: 32, nn: 12,
		signature: ecdsaScheme{curve: elliptic.P384(), hash: sha512.New384},
	},
}

// Suites lists the suites that this package implements, in ascending order. Every KeyPackage
// and group made here announces them all.
func Suites() []Suite { return slices.Sorted(maps.Keys(suites)) }

// Supported reports whether this package implements s.
func (s Suite) Supported() bool { return suites[s] != nil }

// String is the name in RFC 9420 section 17.1, or the number of a suite that is not there.
func (s Suite) String() string {
	if name := suiteNames[s]; name != "" {
		return name
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
