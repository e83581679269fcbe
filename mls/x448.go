package mls

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cloudflare/circl/dh/x448"
)

// x448HPKE is HPKE with DHKEM(X448, HKDF-SHA512) and HKDF-SHA512 (RFC 9180), which the
// standard library lacks and into which no KEM from outside fits.
type x448HPKE struct{ aead aead }

// x448KEM is the KEM's suite_id.
const x448KEM = "KEM\x00\x21"

var errLowOrder = errors.New("X448 key of low order")

// suiteID is that of the key schedule.
func (h *x448HPKE) suiteID() string {
	return string(binary.BigEndian.AppendUint16([]byte("HPKE\x00\x21\x00\x03"), h.aead.forHPKE.ID()))
}

// hpkeExtract and hpkeExpand are LabeledExtract and LabeledExpand (RFC 9180 section 4) with
// HKDF-SHA512.
func hpkeExtract(suiteID string, salt []byte, label string, ikm []byte) []byte {
	prk, err := hkdf.Extract(sha512.New, slices.Concat([]byte("HPKE-v1"), []byte(suiteID), []byte(label), ikm), salt)
	if err != nil {
		panic("mls: hkdf: " + err.Error()) // only in FIPS-only mode, with another hash
	}
	return prk
}

func hpkeExpand(suiteID string, prk []byte, label string, info []byte, length int) []byte {
	input := binary.BigEndian.AppendUint16(nil, uint16(length))
	input = slices.Concat(input, []byte("HPKE-v1"), []byte(suiteID), []byte(label), info)
	out, err := hkdf.Expand(sha512.New, prk, string(input), length)
	if err != nil {
		panic("mls: hkdf: " + err.Error()) // every length here is at most one hash
	}
	return out
}

// x448Key is a private key as it was drawn, before clamping, and its public key.
type x448Key struct {
	scheme       *x448HPKE
	private, pub x448.Key
}

func (h *x448HPKE) generate() (hpkeKey, error) {
	var b [x448.Size]byte
	_, _ = rand.Read(b[:]) // never fails, by the documentation of crypto/rand
	return h.parse(b[:])
}

func (h *x448HPKE) parse(private []byte) (hpkeKey, error) {
	if len(private) != x448.Size {
		return nil, errors.New("X448 private key has the wrong length")
	}
	k := &x448Key{scheme: h, private: x448.Key(private)}
	x448.KeyGen(&k.pub, &k.private)
	return k, nil
}

func (h *x448HPKE) derive(ikm []byte) (hpkeKey, error) {
	return h.parse(hpkeExpand(x448KEM, hpkeExtract(x448KEM, nil, "dkp_prk", ikm), "sk", nil, x448.Size))
}

// check agrees on something with the key: a point of low order gives the all-zero output
// with every scalar, which circl refuses as RFC 7748 section 6.2 asks.
func (h *x448HPKE) check(public []byte) error {
	var probe x448Key
	_, err := probe.agree(public)
	return err
}

// agree is DH of RFC 9180.
func (k *x448Key) agree(public []byte) ([]byte, error) {
	if len(public) != x448.Size {
		return nil, errors.New("X448 public key has the wrong length")
	}
	var shared x448.Key
	pub := x448.Key(public)
	if !x448.Shared(&shared, &k.private, &pub) {
		return nil, errLowOrder
	}
	return shared[:], nil
}

// schedule is ExtractAndExpand of the KEM (RFC 9180 section 4.1) and the first half of
// KeySchedule in mode base (section 5.1): the secret and the key_schedule_context.
func (h *x448HPKE) schedule(dh, enc, recipient, info []byte) (prk, ctx []byte) {
	shared := hpkeExpand(x448KEM, hpkeExtract(x448KEM, nil, "eae_prk", dh), "shared_secret",
		slices.Concat(enc, recipient), sha512.Size)
	const modeBase = 0
	id := h.suiteID()
	ctx = slices.Concat([]byte{modeBase}, hpkeExtract(id, nil, "psk_id_hash", nil), hpkeExtract(id, nil, "info_hash", info))
	return hpkeExtract(id, shared, "secret", nil), ctx
}

// cipher is the AEAD for the one message, and its nonce.
func (h *x448HPKE) cipher(prk, ctx []byte) (c cipher.AEAD, nonce []byte, err error) {
	id := h.suiteID()
	c, err = h.aead.newAEAD(hpkeExpand(id, prk, "key", ctx, h.aead.nk))
	return c, hpkeExpand(id, prk, "base_nonce", ctx, h.aead.nn), err
}

// exporter is Export (RFC 9180 section 5.3).
func (h *x448HPKE) exporter(prk, ctx, context []byte, length int) []byte {
	id := h.suiteID()
	return hpkeExpand(id, hpkeExpand(id, prk, "exp", ctx, sha512.Size), "sec", context, length)
}

// encapsulate agrees on a key schedule with the owner of a public key.
func (h *x448HPKE) encapsulate(public, info []byte) (enc, prk, ctx []byte, err error) {
	key, err := h.generate()
	if err != nil {
		return nil, nil, nil, err
	}
	ephemeral := key.(*x448Key)
	dh, err := ephemeral.agree(public)
	if err != nil {
		return nil, nil, nil, err
	}
	enc = ephemeral.public()
	prk, ctx = h.schedule(dh, enc, public, info)
	return enc, prk, ctx, nil
}

// decapsulate is the recipient's side of encapsulate.
func (k *x448Key) decapsulate(enc, info []byte) (prk, ctx []byte, err error) {
	dh, err := k.agree(enc)
	if err != nil {
		return nil, nil, err
	}
	prk, ctx = k.scheme.schedule(dh, enc, k.pub[:], info)
	return prk, ctx, nil
}

func (h *x448HPKE) seal(public, info, plaintext []byte) (hpkeCiphertext, error) {
	enc, prk, ctx, err := h.encapsulate(public, info)
	if err != nil {
		return hpkeCiphertext{}, err
	}
	c, nonce, err := h.cipher(prk, ctx)
	if err != nil {
		return hpkeCiphertext{}, err
	}
	return hpkeCiphertext{kemOutput: enc, ciphertext: c.Seal(nil, nonce, plaintext, nil)}, nil
}

func (k *x448Key) open(sealed hpkeCiphertext, info []byte) ([]byte, error) {
	prk, ctx, err := k.decapsulate(sealed.kemOutput, info)
	if err != nil {
		return nil, err
	}
	c, nonce, err := k.scheme.cipher(prk, ctx)
	if err != nil {
		return nil, err
	}
	return c.Open(nil, nonce, sealed.ciphertext, nil)
}

func (h *x448HPKE) export(public, context []byte, length int) (kemOutput, exported []byte, err error) {
	enc, prk, ctx, err := h.encapsulate(public, nil)
	if err != nil {
		return nil, nil, err
	}
	return enc, h.exporter(prk, ctx, context, length), nil
}

func (k *x448Key) export(kemOutput, context []byte, length int) ([]byte, error) {
	prk, ctx, err := k.decapsulate(kemOutput, nil)
	if err != nil {
		return nil, err
	}
	return k.scheme.exporter(prk, ctx, context, length), nil
}

func (k *x448Key) public() []byte { return bytes.Clone(k.pub[:]) }

func (k *x448Key) Bytes() ([]byte, error) { return bytes.Clone(k.private[:]), nil }
