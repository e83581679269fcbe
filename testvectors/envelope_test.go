package testvectors_test

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// expand is HKDF-Expand with SHA-256 (RFC 5869).
func expand(key, info []byte, n int) []byte {
	out, err := hkdf.Expand(sha256.New, key, string(info), n)
	if err != nil {
		panic(err) // at most 8,160 bytes are asked for
	}
	return out
}

// expandWithLabel is RFC 9420 section 8, exporter is section 8.5, both of suite 1.
func expandWithLabel(key []byte, label string, context []byte, n int) []byte {
	return expand(key, join(u16(uint16(n)), opaque([]byte("MLS 1.0 "+label)), opaque(context)), n)
}

func exporter(secret []byte, label string, context []byte) []byte {
	return expandWithLabel(expandWithLabel(secret, label, nil, 32), "exported", hash(context), 32)
}

// groupEpoch is what an epoch gives a queue: clientlib/PROTOCOL.md, Exporter labels.
type groupEpoch struct {
	exporterSecret, queue           []byte
	envelopeKey, hintKey, writeSeed []byte
}

func newEpoch(name string, queue []byte) groupEpoch {
	e := groupEpoch{exporterSecret: random("exporter secret "+name, 32), queue: queue}
	e.envelopeKey = exporter(e.exporterSecret, "sealpost envelope 1", queue)
	e.hintKey = exporter(e.exporterSecret, "sealpost hint 1", queue)
	e.writeSeed = exporter(e.exporterSecret, "sealpost writer 1", queue)
	return e
}

func (e groupEpoch) hint(nonce []byte) []byte {
	m := hmac.New(sha256.New, e.hintKey)
	m.Write(nonce)
	return m.Sum(nil)[:8]
}

func (e groupEpoch) aad(kind byte) []byte { return join([]byte{1}, e.queue, []byte{kind}) }

// sealPlain seals length, content and padding as they are given.
func (e groupEpoch) sealPlain(nonce []byte, kind byte, plain []byte) []byte {
	aead, err := chacha20poly1305.NewX(e.envelopeKey)
	if err != nil {
		panic(err) // keys have 32 bytes
	}
	return join(nonce, e.hint(nonce), aead.Seal(nil, nonce, plain, e.aad(kind)))
}

const envelopeExtra = 24 + 8 + 16 // nonce, hint, tag

// padded is the plaintext that makes an envelope of the smallest size.
func padded(content []byte) []byte {
	size := 512
	for size < envelopeExtra+4+len(content) {
		size *= 2
	}
	return append(join(u32(uint32(len(content))), content), make([]byte, size-envelopeExtra-4-len(content))...)
}

func (e groupEpoch) members(name string, kind byte) object {
	writer := ed25519.NewKeyFromSeed(e.writeSeed).Public().(ed25519.PublicKey)
	return object{{"name", name}, {"cipher_suite", 1}, {"exporter_secret", e.exporterSecret}, {"queue", e.queue},
		{"envelope_key", e.envelopeKey}, {"hint_key", e.hintKey}, {"writer_seed", e.writeSeed}, {"writer_key", []byte(writer)},
		{"kind", kind}}
}

func (e groupEpoch) vector(name string, kind byte, content []byte) object {
	nonce, plain := random("nonce "+name, 24), padded(content)
	return append(e.members(name, kind), object{{"nonce", nonce}, {"hint", e.hint(nonce)}, {"aad", e.aad(kind)}, {"content", content},
		{"plaintext", plain[:4+len(content)]}, {"padding", len(plain) - 4 - len(content)},
		{"envelope", e.sealPlain(nonce, kind, plain)}}...)
}

func (e groupEpoch) refused(name string, kind byte, class string, envelope []byte) object {
	return append(e.members(name, kind), member{"envelope", envelope}, member{"error", class})
}

func envelopeVectors(*testing.T) []object {
	e, other := newEpoch("one", someQueue), newEpoch("two", someQueue)
	elsewhere := newEpoch("one", random("another queue", 32))
	content, nonce := random("content", 100), random("nonce", 24)
	good := e.sealPlain(nonce, 1, padded(content))
	damaged := func(plain []byte) []byte { return e.sealPlain(nonce, 1, plain) }
	beyond := append(u32(uint32(512-envelopeExtra-4+1)), make([]byte, 512-envelopeExtra-4)...)
	huge := append(u32(1<<32-1), make([]byte, 512-envelopeExtra-4)...)
	return []object{
		e.vector("a message", 1, content),
		e.vector("a commit", 2, random("commit", 900)),
		e.vector("nothing", 1, nil),
		e.vector("the longest that 512 bytes hold", 1, random("longest", 460)),
		e.vector("a byte more, in 1,024", 1, random("a byte more", 461)),
		e.vector("content that ends in zeros", 1, append(random("zeros", 20), 0, 0, 0)),
		e.vector("an unknown kind", 9, content),
		other.vector("the next epoch", 1, content),
		elsewhere.vector("the same epoch for another queue", 1, content),
		other.refused("of another epoch", 1, "other_epoch", good),
		elsewhere.refused("of another queue", 1, "other_epoch", good),
		e.refused("a bit of the nonce changed", 1, "other_epoch", flipped(good, 0)),
		e.refused("a bit of the hint changed", 1, "other_epoch", flipped(good, 24)),
		e.refused("random bytes", 1, "other_epoch", random("no envelope", 512)),
		e.refused("a message presented as a commit", 2, "damaged", good),
		e.refused("a bit of the ciphertext changed", 1, "damaged", flipped(good, 32)),
		e.refused("a bit of the tag changed", 1, "damaged", flipped(good, -1)),
		e.refused("padding that is not zero", 1, "damaged", damaged(flipped(padded(content), -1))),
		e.refused("padding whose first byte is not zero", 1, "damaged", damaged(flipped(padded(content), 4+100))),
		e.refused("a length beyond the end", 1, "damaged", damaged(beyond)),
		e.refused("a length of 4 GiB", 1, "damaged", damaged(huge)),
		e.refused("256 bytes", 1, "damaged", e.sealPlain(nonce, 1, padded(content)[:256-envelopeExtra])),
		e.refused("600 bytes", 1, "damaged", e.sealPlain(nonce, 1, append(padded(content), make([]byte, 88)...))),
		e.refused("no bytes", 1, "damaged", nil),
	}
}
