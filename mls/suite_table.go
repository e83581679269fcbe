package mls

import (
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/sha512"

	"golang.org/x/crypto/chacha20poly1305"
)

// The cipher suites of RFC 9420 section 17.1, named after KEM, AEAD and signature; the hash
// stands in the registered name: see [Suite.String].
const (
	SuiteX25519AES128Ed25519   Suite = 0x0001
	SuiteP256AES128P256        Suite = 0x0002
	SuiteX25519ChaCha20Ed25519 Suite = 0x0003
	SuiteX448AES256Ed448       Suite = 0x0004
	SuiteP521AES256P521        Suite = 0x0005
	SuiteX448ChaCha20Ed448     Suite = 0x0006
	SuiteP384AES256P384        Suite = 0x0007
)

// The post-quantum suites of draft-ietf-mls-pq-ciphersuites-06. The draft leaves their numbers
// to IANA; until then these are of the range for private use, in the draft's order. What is
// encrypted in them stays secret from whoever records it for a quantum computer; only the
// three with ML-DSA also keep such a computer from signing.
const (
	SuiteMLKEM768X25519AES128Ed25519 Suite = 0xf501 + iota
	SuiteMLKEM768X25519AES256Ed25519
	SuiteMLKEM768P256AES128P256
	SuiteMLKEM768P256AES256P256
	SuiteMLKEM1024P384AES256P384
	SuiteMLKEM768AES256Ed25519
	SuiteMLKEM768AES256P256
	SuiteMLKEM1024AES256P384
	SuiteMLKEM768X25519ChaCha20MLDSA44
	SuiteMLKEM768AES256MLDSA65
	SuiteMLKEM1024AES256MLDSA87
)

// DefaultSuite is the one that everybody has: RFC 9420 section 17.1 demands it of every
// implementation. Where all members have the post-quantum suites, as they do who use this
// package, [SuiteMLKEM768X25519AES256Ed25519] also keeps secrets from a quantum computer that
// comes later; messages have the same size, and only keys and commits grow. The suites with
// ECDSA are for groups with others who have no Ed25519: their signatures can be changed into
// other valid ones (see [Suite.Verify]).
const DefaultSuite = SuiteX25519AES128Ed25519

// What the rows are made of, with the codes of RFC 9180 section 7 and draft-ietf-hpke-pq.
var (
	dhP256   = goKEM(hpke.DHKEM(ecdh.P256()), nil)                    // 0x0010
	dhP384   = goKEM(hpke.DHKEM(ecdh.P384()), nil)                    // 0x0011
	dhP521   = goKEM(hpke.DHKEM(ecdh.P521()), nil)                    // 0x0012
	dhX25519 = goKEM(hpke.DHKEM(ecdh.X25519()), x25519Key)            // 0x0020
	dhX448   = func(_ kdf, a aead) hpkeScheme { return &x448HPKE{a} } // 0x0021, whose KDF both suites have

	mlkem768       = goKEM(hpke.MLKEM768(), mlkem768Key)             // 0x0041
	mlkem1024      = goKEM(hpke.MLKEM1024(), mlkem1024Key)           // 0x0042
	mlkem768P256   = goKEM(hpke.MLKEM768P256(), nil)                 // 0x0050
	mlkem1024P384  = goKEM(hpke.MLKEM1024P384(), nil)                // 0x0051
	mlkem768X25519 = goKEM(hpke.MLKEM768X25519(), mlkem768X25519Key) // 0x647a, X-Wing

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
	row(SuiteX25519AES128Ed25519, "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519", dhX25519, aes128, hkdfSHA256, ed25519Scheme{}),
	row(SuiteP256AES128P256, "MLS_128_DHKEMP256_AES128GCM_SHA256_P256", dhP256, aes128, hkdfSHA256, ecdsaP256),
	row(SuiteX25519ChaCha20Ed25519, "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519", dhX25519, chacha, hkdfSHA256, ed25519Scheme{}),
	row(SuiteX448AES256Ed448, "MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448", dhX448, aes256, hkdfSHA512, ed448Scheme{}),
	row(SuiteP521AES256P521, "MLS_256_DHKEMP521_AES256GCM_SHA512_P521", dhP521, aes256, hkdfSHA512, ecdsaP521),
	row(SuiteX448ChaCha20Ed448, "MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448", dhX448, chacha, hkdfSHA512, ed448Scheme{}),
	row(SuiteP384AES256P384, "MLS_256_DHKEMP384_AES256GCM_SHA384_P384", dhP384, aes256, hkdfSHA384, ecdsaP384),

	row(SuiteMLKEM768X25519AES128Ed25519, "MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519", mlkem768X25519, aes128, hkdfSHA256, ed25519Scheme{}),
	row(SuiteMLKEM768X25519AES256Ed25519, "MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519", mlkem768X25519, aes256, hkdfSHA384, ed25519Scheme{}),
	row(SuiteMLKEM768P256AES128P256, "MLS_128_MLKEM768P256_AES128GCM_SHA256_P256", mlkem768P256, aes128, hkdfSHA256, ecdsaP256),
	row(SuiteMLKEM768P256AES256P256, "MLS_128_MLKEM768P256_AES256GCM_SHA384_P256", mlkem768P256, aes256, hkdfSHA384, ecdsaP256),
	row(SuiteMLKEM1024P384AES256P384, "MLS_192_MLKEM1024P384_AES256GCM_SHA384_P384", mlkem1024P384, aes256, hkdfSHA384, ecdsaP384),
	row(SuiteMLKEM768AES256Ed25519, "MLS_128_MLKEM768_AES256GCM_SHA384_Ed25519", mlkem768, aes256, hkdfSHA384, ed25519Scheme{}),
	row(SuiteMLKEM768AES256P256, "MLS_128_MLKEM768_AES256GCM_SHA384_P256", mlkem768, aes256, hkdfSHA384, ecdsaP256),
	row(SuiteMLKEM1024AES256P384, "MLS_192_MLKEM1024_AES256GCM_SHA384_P384", mlkem1024, aes256, hkdfSHA384, ecdsaP384),
	row(SuiteMLKEM768X25519ChaCha20MLDSA44, "MLS_128_MLKEM768X25519_CHACHA20POLY1305_SHA384_MLDSA44", mlkem768X25519, chacha, hkdfSHA384, mldsa44Scheme),
	row(SuiteMLKEM768AES256MLDSA65, "MLS_192_MLKEM768_AES256GCM_SHA384_MLDSA65", mlkem768, aes256, hkdfSHA384, mldsa65Scheme),
	row(SuiteMLKEM1024AES256MLDSA87, "MLS_256_MLKEM1024_AES256GCM_SHA384_MLDSA87", mlkem1024, aes256, hkdfSHA384, mldsa87Scheme),
)

// A kemOf is a KEM that is still to be put together with a suite's KDF and AEAD.
type kemOf func(kdf, aead) hpkeScheme

func goKEM(kem hpke.KEM, valid func([]byte) error) kemOf {
	return func(k kdf, a aead) hpkeScheme {
		return &goHPKE{kem: kem, kdf: k.forHPKE, aead: a.forHPKE, valid: valid}
	}
}

func row(id Suite, name string, kem kemOf, a aead, k kdf, signature signatureScheme) *suite {
	return &suite{id: id, algorithms: id, name: name, hpke: kem(k, a), aead: a, kdf: k, signature: signature}
}

// table has the rows, and those of other stacks.
func table(rows ...*suite) map[Suite]*suite {
	out := make(map[Suite]*suite, len(rows))
	for _, r := range rows {
		out[r.id] = r
	}
	for _, p := range profiles {
		p.add(out)
	}
	return out
}
