package testvectors_test

import (
	"crypto/hkdf"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha256"
	"crypto/sha3"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// xWing is a key pair of X-Wing (draft-connolly-cfrg-xwing-kem): ML-KEM-768 and X25519, both
// from one seed.
type xWing struct {
	seed   []byte
	ml     *mlkem.EncapsulationKey768
	public []byte
}

func newXWing(t *testing.T, name string) xWing {
	t.Helper()
	seed := random("contact "+name, 32)
	expanded := sha3.SumSHAKE256(seed, 96)
	ml, err := mlkem.NewDecapsulationKey768(expanded[:64])
	if err != nil {
		t.Fatal(err)
	}
	x := dh(expanded[64:], basePoint)
	return xWing{seed, ml.EncapsulationKey(), join(ml.EncapsulationKey().Bytes(), x)}
}

// basePoint is X25519's (RFC 7748 section 4.1).
var basePoint = append([]byte{9}, make([]byte, 31)...)

// encapsulate is X-Wing's EncapsulateDerand.
func (k xWing) encapsulate(t *testing.T, mlRandom, ephemeral []byte) (shared, enc []byte) {
	t.Helper()
	ssM, ctM, err := mlkemtest.Encapsulate768(k.ml, mlRandom)
	if err != nil {
		t.Fatal(err)
	}
	public := k.public[mlkem.EncapsulationKeySize768:]
	ctX, ssX := dh(ephemeral, basePoint), dh(ephemeral, public)
	sum := sha3.Sum256(join(ssM, ssX, ctX, public, []byte(`\.//^\`)))
	return sum[:], join(ctM, ctX)
}

// hpkeSeal is single-shot base mode (RFC 9180 section 6.1) with X-Wing (0x647a), HKDF-SHA256
// (1) and ChaCha20-Poly1305 (3), from the KEM's shared secret on.
func hpkeSeal(t *testing.T, shared, info, plain []byte) []byte {
	t.Helper()
	suite := join([]byte("HPKE"), u16(0x647a), u16(1), u16(3))
	extract := func(salt []byte, label string, ikm []byte) []byte {
		out, err := hkdf.Extract(sha256.New, join([]byte("HPKE-v1"), suite, []byte(label), ikm), salt)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	schedule := join([]byte{0}, extract(nil, "psk_id_hash", nil), extract(nil, "info_hash", info))
	secret := extract(shared, "secret", nil)
	derive := func(label string, n int) []byte {
		return expand(secret, join(u16(uint16(n)), []byte("HPKE-v1"), suite, []byte(label), schedule), n)
	}
	aead, err := chacha20poly1305.New(derive("key", 32))
	if err != nil {
		t.Fatal(err)
	}
	return aead.Seal(nil, derive("base_nonce", 12), plain, nil)
}

const sealedExtra = 1120 + 16 // X-Wing's ciphertext and the AEAD's tag

// invite is an invitation, sealed or about to be: clientlib/PROTOCOL.md, Invitation.
type invite struct {
	name        string
	to          xWing
	inbox, for_ []byte // whose inbox it lies in, and for whose it was sealed
	fields      []field
}

func invitationOf(name string, to xWing, welcome []byte) invite {
	inbox := random("inbox", 32)
	return invite{name: name, to: to, inbox: inbox, for_: inbox, fields: []field{
		text("relay", relayURI), text("key_server", keyServerURI), fixed("queue", someQueue),
		fixed("position", here.bytes()), vector("ticket_seed", random("ticket", 32)),
		vector("key_package_ref", random("reference", 32)), vector("welcome", welcome),
		fixed("index", random("index", 32)), vector("index_key", random("index key", 32)),
	}}
}

func text(name, s string) field { return field{name, opaque([]byte(s)), s} }

func (v invite) content() []byte { return append([]byte{1}, wireOf(v.fields)...) }

func (v invite) plain() []byte {
	content, size := v.content(), 8192
	for size < sealedExtra+4+len(content) {
		size *= 2
	}
	return append(join(u32(uint32(len(content))), content), make([]byte, size-sealedExtra-4-len(content))...)
}

func (v invite) randomness() (ml, ephemeral []byte) {
	return random("encapsulation "+v.name, 32), random("ephemeral "+v.name, 32)
}

func (v invite) seal(t *testing.T, plain []byte) []byte {
	t.Helper()
	shared, enc := v.to.encapsulate(t, random("encapsulation "+v.name, 32), random("ephemeral "+v.name, 32))
	return join(enc, hpkeSeal(t, shared, join([]byte("sealpost invitation 1"), v.for_), plain))
}

func (v invite) members() object {
	return object{{"name", v.name}, {"contact_seed", v.to.seed}, {"contact_key", v.to.public}, {"inbox", v.inbox}}
}

func (v invite) vector(t *testing.T) object {
	t.Helper()
	ml, ephemeral := v.randomness()
	return append(v.members(), object{
		{"encapsulation", object{{"ml_kem_random", ml}, {"x25519_private", ephemeral}}},
		{"fields", valuesOf(v.fields)}, {"content", v.content()}, {"sealed", v.seal(t, v.plain())}}...)
}

func (v invite) refused(t *testing.T, plain []byte) object {
	t.Helper()
	return append(v.members(), member{"sealed", v.seal(t, plain)}, member{"error", "refused"})
}

func invitationVectors(t *testing.T) []object {
	device, other := newXWing(t, "device"), newXWing(t, "another device")
	plainOf := func(content []byte) []byte {
		return append(join(u32(uint32(len(content))), content), make([]byte, 8192-sealedExtra-4-len(content))...)
	}
	good := invitationOf("to a device", device, random("welcome", 2000))
	cases := []object{good.vector(t), invitationOf("with a long Welcome, in 16,384 bytes", device, random("long welcome", 7500)).vector(t)}
	bad := func(name string, change func(*invite) []byte) {
		v := invitationOf(name, device, random("welcome", 200))
		plain := change(&v)
		cases = append(cases, v.refused(t, plain))
	}
	bad("for another inbox", func(v *invite) []byte { v.for_ = random("another inbox", 32); return v.plain() })
	bad("padding that is not zero", func(v *invite) []byte { return flipped(v.plain(), -1) })
	bad("a length beyond the end", func(v *invite) []byte { p := v.plain(); copy(p, u32(uint32(len(p)-3))); return p })
	bad("a later version", func(v *invite) []byte { return plainOf(append([]byte{2}, v.content()[1:]...)) })
	bad("a byte more than the fields", func(v *invite) []byte { return plainOf(append(v.content(), 7)) })
	bad("cut short", func(v *invite) []byte { c := v.content(); return plainOf(c[:len(c)-1]) })
	bad("a ticket of 31 bytes", func(v *invite) []byte { v.fields[4] = vector("ticket_seed", random("ticket", 31)); return v.plain() })
	bad("an index key of 33 bytes", func(v *invite) []byte { v.fields[8] = vector("index_key", random("k", 33)); return v.plain() })
	misdirected := invitationOf("for another device", other, random("welcome", 200)).refused(t, good.plain())
	misdirected[1].value, misdirected[2].value = device.seed, device.public
	altered := good.members()
	altered[0].value = "a bit of the ciphertext changed"
	altered = append(altered, member{"sealed", flipped(good.seal(t, good.plain()), -1)}, member{"error", "refused"})
	short := good.members()
	short[0].value = "shorter than an encapsulated key"
	short = append(short, member{"sealed", random("short", 512)}, member{"error", "refused"})
	return append(cases, misdirected, altered, short)
}
