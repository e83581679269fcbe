package mls

import (
	"crypto/hkdf"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/sealpost/sealpost/internal/wire"
)

const labelPrefix = "MLS 1.0 "

// labelled encodes struct { opaque label<V>; opaque content<V>; }, the shape of SignContent,
// EncryptContext and RefHashInput.
func labelled(label string, content []byte) []byte {
	w := wire.NewWriter(make([]byte, 0, len(label)+len(content)+8))
	w.Bytes([]byte(label))
	w.Bytes(content)
	return mustFinish(w)
}

// scratch lends writers for what is encoded only to be hashed or signed.
var scratch = sync.Pool{New: func() any { return new(wire.Writer) }}

// keptScratch is the largest content in bytes whose buffer is lent again.
const keptScratch = 1 << 20

func giveBack(w *wire.Writer) {
	if w.Len() <= keptScratch {
		w.Reset()
		scratch.Put(w)
	}
}

// written is what use makes of what content writes, and does not keep.
func written[T any](content func(*wire.Writer), use func([]byte) T) T {
	w := scratch.Get().(*wire.Writer)
	defer giveBack(w)
	content(w)
	return use(mustFinish(w))
}

// withLabelled is written with the shape of labelled.
func withLabelled[T any](label string, content func(*wire.Writer), use func([]byte) T) T {
	return written(func(w *wire.Writer) {
		w.Bytes([]byte(label))
		w.Nested(content)
	}, use)
}

// mustFinish returns what w wrote. Encoding fails only for a vector of 1 GiB, which no value
// decoded from a message or made from a bounded parameter can hold.
func mustFinish(w *wire.Writer) []byte {
	b, err := w.Finish()
	if err != nil {
		panic("mls: encoding: " + err.Error())
	}
	return b
}

// refHash is RefHash (RFC 9420 section 5.2); label carries no prefix here, callers give it
// in full.
func (s *suite) refHash(label string, value []byte) []byte {
	return s.sum(labelled(label, value))
}

// signWithLabel is SignWithLabel (section 5.1.2).
func (s *suite) signWithLabel(k SignaturePrivateKey, label string, content []byte) ([]byte, error) {
	return s.signWritten(k, label, func(w *wire.Writer) { w.Raw(content) })
}

// signWritten is signWithLabel of what content writes.
func (s *suite) signWritten(k SignaturePrivateKey, label string, content func(*wire.Writer)) (sig []byte, err error) {
	if k.suite != s.id {
		return nil, errors.New("mls: signature key is of another suite")
	}
	sig = withLabelled(labelPrefix+label, content, func(b []byte) (sig []byte) {
		sig, err = k.sign(b)
		return sig
	})
	return sig, err
}

// verifyWithLabel is VerifyWithLabel (section 5.1.2).
func (s *suite) verifyWithLabel(pub []byte, label string, content, signature []byte) error {
	return s.verifyWritten(pub, label, func(w *wire.Writer) { w.Raw(content) }, signature)
}

// verifyWritten is verifyWithLabel of what content writes.
func (s *suite) verifyWritten(pub []byte, label string, content func(*wire.Writer), signature []byte) error {
	return withLabelled(labelPrefix+label, content, func(b []byte) error { return s.signature.verify(pub, b, signature) })
}

// hpkeCiphertext is HPKECiphertext (section 7.6).
type hpkeCiphertext struct{ kemOutput, ciphertext []byte }

func writeHPKECiphertext(w *wire.Writer, c hpkeCiphertext) {
	w.Bytes(c.kemOutput)
	w.Bytes(c.ciphertext)
}

func readHPKECiphertext(r *wire.Reader) hpkeCiphertext {
	return hpkeCiphertext{kemOutput: r.Bytes(), ciphertext: r.Bytes()}
}

// encryptWithLabel is EncryptWithLabel (section 5.1.3).
func (s *suite) encryptWithLabel(pub []byte, label string, context, plaintext []byte) (hpkeCiphertext, error) {
	return s.hpke.seal(pub, labelled(labelPrefix+label, context), plaintext)
}

// decryptWithLabel is DecryptWithLabel (section 5.1.3).
func (s *suite) decryptWithLabel(priv *hpkePrivate, label string, context []byte, c hpkeCiphertext) ([]byte, error) {
	return priv.key.open(c, labelled(labelPrefix+label, context))
}

// extract is KDF.Extract.
func (s *suite) extract(salt, ikm []byte) secret {
	out, err := hkdf.Extract(s.hash, ikm, salt)
	if err != nil {
		panic("mls: hkdf: " + err.Error()) // only in FIPS-only mode, with another hash
	}
	return out
}

// expandWithLabel is ExpandWithLabel (section 8). The length is at most 255 hashes; callers
// that take it from outside check that first.
func (s *suite) expandWithLabel(key []byte, label string, context []byte, length int) secret {
	w := wire.NewWriter(make([]byte, 0, 16+len(label)+len(context)))
	w.Uint16(uint16(length))
	w.Bytes([]byte(labelPrefix + label))
	w.Bytes(context)
	out, err := s.expand(key, mustFinish(w), length)
	if err != nil {
		panic("mls: hkdf: " + err.Error()) // length is above 255 hashes
	}
	return out
}

// expand is KDF.Expand; more than 255 hashes is an error.
func (s *suite) expand(prk, info []byte, length int) (secret, error) {
	return hkdf.Expand(s.hash, prk, string(info), length)
}

// deriveSecret is DeriveSecret (section 8).
func (s *suite) deriveSecret(key []byte, label string) secret {
	return s.expandWithLabel(key, label, nil, s.nh)
}

// deriveTreeSecret is DeriveTreeSecret (section 9.1).
func (s *suite) deriveTreeSecret(key []byte, label string, generation uint32, length int) secret {
	return s.expandWithLabel(key, label, binary.BigEndian.AppendUint32(nil, generation), length)
}

// mac is the suite's MAC, HMAC over its hash.
func (s *suite) mac(key, data []byte) []byte {
	h := hmac.New(s.hash, key)
	h.Write(data)
	return h.Sum(nil)
}

// verifyMAC compares in constant time, and only tags of full length: a truncated tag is a
// guess with better odds (ATTACKS A21).
func (s *suite) verifyMAC(key, data, tag []byte) bool {
	return len(tag) == s.nh && hmac.Equal(s.mac(key, data), tag)
}
