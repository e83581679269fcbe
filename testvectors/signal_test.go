package testvectors_test

import (
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// Signals: clientlib/PROTOCOL.md.

type leafSignal struct {
	kind    byte
	leaf    uint32
	counter uint64
	by      pair
}

func (s leafSignal) signed(e groupEpoch) []byte {
	return join([]byte{1, s.kind}, e.queue, u32(s.leaf), u64(s.counter))
}

// signature is SignWithLabel (RFC 9420 section 5.1.2) of suite 1.
func (s leafSignal) signature(e groupEpoch) []byte {
	return s.by.sign(join(opaque([]byte("MLS 1.0 sealpost signal 1")), opaque(s.signed(e))))
}

func (s leafSignal) body(signature []byte) []byte {
	return join([]byte{1, s.kind}, u32(s.leaf), u64(s.counter), opaque(signature))
}

func signalKey(e groupEpoch) []byte { return exporter(e.exporterSecret, "sealpost signal 1", e.queue) }

func signalAAD(e groupEpoch) []byte { return join([]byte{1}, e.queue, []byte{0}) }

// sealSignal encloses a body and zeros in 256 bytes.
func sealSignal(e groupEpoch, nonce, body, aad []byte) []byte {
	aead, err := chacha20poly1305.NewX(signalKey(e))
	if err != nil {
		panic(err) // keys have 32 bytes
	}
	plain := append(append([]byte{}, body...), make([]byte, 256-envelopeExtra-len(body))...)
	return join(nonce, e.hint(nonce), aead.Seal(nil, nonce, plain, aad))
}

func signalMembers(e groupEpoch, name string) object {
	return object{{"name", name}, {"cipher_suite", 1}, {"exporter_secret", e.exporterSecret}, {"queue", e.queue},
		{"signal_key", signalKey(e)}, {"hint_key", e.hintKey}}
}

func (s leafSignal) vector(e groupEpoch, name string) object {
	nonce := random("signal nonce "+name, 24)
	return append(signalMembers(e, name), object{
		{"kind", s.kind}, {"leaf", s.leaf}, {"counter", s.counter}, {"leaf_seed", s.by.seed}, {"leaf_key", s.by.public},
		{"signed", s.signed(e)}, {"signature", s.signature(e)}, {"nonce", nonce}, {"aad", signalAAD(e)},
		{"body", s.body(s.signature(e))}, {"sealed", sealSignal(e, nonce, s.body(s.signature(e)), signalAAD(e))}}...)
}

func signalVectors(*testing.T) []object {
	e, other, elsewhere := newEpoch("one", someQueue), newEpoch("two", someQueue), newEpoch("one", random("another queue", 32))
	s := leafSignal{1, 3, 1800000000000, keyPair("leaf")}
	nonce := random("signal nonce", 24)
	sealed := func(body []byte) []byte { return sealSignal(e, nonce, body, signalAAD(e)) }
	good := sealed(s.body(s.signature(e)))
	refused := func(name, class string, sealed []byte) object {
		return append(signalMembers(e, name), member{"leaf_key", s.by.public}, member{"sealed", sealed}, member{"error", class})
	}
	full := s.body(s.signature(e))
	return []object{
		s.vector(e, "typing"),
		leafSignal{4, 0, 1, keyPair("another leaf")}.vector(e, "away, of the first leaf"),
		leafSignal{77, 1 << 20, 1 << 50, keyPair("leaf")}.vector(other, "a kind of a later version"),
		refused("of another epoch", "other_epoch", sealSignal(other, nonce, full, signalAAD(other))),
		refused("of another queue", "other_epoch", sealSignal(elsewhere, nonce, full, signalAAD(elsewhere))),
		refused("a bit of the ciphertext changed", "bad_signal", flipped(good, 40)),
		refused("sealed as an entry", "bad_signal", sealSignal(e, nonce, full, e.aad(1))),
		refused("a later version", "bad_signal", sealed(append([]byte{2}, full[1:]...))),
		refused("padding that is not zero", "bad_signal", sealed(append(full[:len(full):len(full)], 0, 1))),
		refused("a signature longer than there is room for", "bad_signal", sealed(append(full[:14:14], 0x7f, 0xff))),
		refused("signed by another leaf", "bad_signature", sealed(s.body(keyPair("another leaf").sign(s.signed(e))))),
		refused("signed without its label", "bad_signature", sealed(s.body(s.by.sign(s.signed(e))))),
		refused("signed for another group", "bad_signature", sealed(s.body(s.signature(elsewhere)))),
		refused("without a signature", "bad_signature", sealed(s.body(nil))),
	}
}
