package testvectors_test

import (
	"fmt"
	"testing"
)

// Account chains: keyserver/PROTOCOL.md section 2.

type chainEntry struct {
	kind                byte
	prev                []byte
	by, device          pair
	nonce               []byte
	suites              []uint16
	bySig, deviceSig    []byte
	signedBy, consentBy *pair // nil: by and device
}

func (e chainEntry) signed() []byte {
	return join(opaque([]byte("sealpost account entry 1")), e.content())
}

func (e chainEntry) content() []byte {
	b := join([]byte{1, e.kind}, e.prev, e.by.public, e.device.public, e.nonce)
	if e.kind == 3 {
		return b
	}
	var suites []byte
	for _, s := range e.suites {
		suites = append(suites, u16(s)...)
	}
	return join(b, opaque(suites))
}

func (e *chainEntry) bytes() []byte {
	signer, consent := e.by, e.device
	if e.signedBy != nil {
		signer = *e.signedBy
	}
	if e.consentBy != nil {
		consent = *e.consentBy
	}
	e.bySig = signer.sign(e.signed())
	if e.kind < 3 {
		e.deviceSig = consent.sign(e.signed())
	}
	return join(e.content(), e.bySig, e.deviceSig)
}

// accountChain is a chain as it grows.
type accountChain struct {
	entries []chainEntry
	bytes   [][]byte
}

func (c *accountChain) add(e chainEntry) *accountChain {
	if e.kind != 1 && e.prev == nil {
		e.prev = hash(c.bytes[len(c.bytes)-1])
	}
	c.bytes = append(c.bytes, e.bytes())
	c.entries = append(c.entries, e)
	return c
}

func rootEntry(recovery, device pair) chainEntry {
	return chainEntry{kind: 1, by: recovery, device: device, nonce: random("account nonce", 16), suites: []uint16{1, 0xf502}}
}

func newChain(recovery, device pair) *accountChain {
	return new(accountChain).add(rootEntry(recovery, device))
}

func (c *accountChain) vector(name string, devices []pair, suites [][]uint16, removed []pair) object {
	publics := func(list []pair) [][]byte {
		out := make([][]byte, len(list))
		for i, p := range list {
			out[i] = p.public
		}
		return out
	}
	var entries []object
	for i, e := range c.entries {
		o := object{{"kind", e.kind}}
		if e.kind != 1 {
			o = append(o, member{"prev", e.prev})
		}
		o = append(o, member{"by", e.by.public})
		if e.kind != 4 {
			o = append(o, member{"device", e.device.public})
		}
		if e.kind == 1 {
			o = append(o, member{"nonce", e.nonce})
		}
		if e.kind != 3 {
			o = append(o, member{"suites", append([]uint16{}, e.suites...)})
		}
		o = append(o, member{"signed", e.signed()}, member{"by_seed", e.by.seed}, member{"by_signature", e.bySig})
		if e.kind < 3 {
			o = append(o, member{"device_seed", e.device.seed}, member{"device_signature", e.deviceSig})
		}
		entries = append(entries, append(o, member{"hash", hash(c.bytes[i])}))
	}
	return object{{"name", name}, {"chain", c.bytes}, {"entries", entries}, {"account", hash(c.bytes[0])},
		{"recovery", c.entries[0].by.public}, {"devices", publics(devices)}, {"suites", suites}, {"removed", publics(removed)},
		{"head", hash(c.bytes[len(c.bytes)-1])}}
}

func badChain(name string, chain ...[]byte) object {
	return object{{"name", name}, {"chain", chain}, {"error", "chain"}}
}

func accountVectors(*testing.T) []object {
	recovery, phone, laptop, tablet := keyPair("recovery"), keyPair("phone"), keyPair("laptop"), keyPair("tablet")
	two := newChain(recovery, phone).add(chainEntry{kind: 2, by: phone, device: laptop})
	states := chainEntry{kind: 4, by: laptop, suites: []uint16{1, 2, 0xf502}}
	stated := newChain(recovery, phone).add(chainEntry{kind: 2, by: phone, device: laptop, suites: []uint16{1}}).add(states)
	full := newChain(recovery, phone).add(chainEntry{kind: 2, by: phone, device: laptop}).
		add(chainEntry{kind: 2, by: laptop, device: tablet}).
		add(chainEntry{kind: 3, by: tablet, device: phone}).
		add(chainEntry{kind: 3, by: laptop, device: laptop}).
		add(chainEntry{kind: 3, by: recovery, device: tablet})
	return append([]object{
		newChain(recovery, phone).vector("one device", []pair{phone}, [][]uint16{{1, 0xf502}}, nil),
		two.vector("two devices, one of which states no suite", []pair{phone, laptop}, [][]uint16{{1, 0xf502}, {}}, nil),
		stated.vector("a device that states its suites anew", []pair{phone, laptop}, [][]uint16{{1, 0xf502}, {1, 2, 0xf502}}, nil),
		full.vector("devices removed by another, by themselves and by the recovery key", nil, [][]uint16{}, []pair{phone, laptop, tablet}),
	}, badChains(recovery, phone, laptop, tablet)...)
}

func badChains(recovery, phone, laptop, tablet pair) []object {
	root := newChain(recovery, phone).bytes[0]
	after := func(name string, e chainEntry) object {
		return badChain(name, newChain(recovery, phone).add(e).bytes...)
	}
	add := chainEntry{kind: 2, by: phone, device: laptop}
	wrongPrev, unsigned, unwilling := add, add, add
	wrongPrev.prev = random("another entry", 32)
	unsigned.signedBy, unwilling.consentBy = &laptop, &phone
	rootUnsigned, rootUnwilling := rootEntry(recovery, phone), rootEntry(recovery, phone)
	rootUnsigned.signedBy, rootUnwilling.consentBy = &phone, &recovery
	second := newChain(recovery, phone).add(add)
	returned := newChain(recovery, phone).add(add).add(chainEntry{kind: 3, by: phone, device: laptop}).add(add)
	crowd := newChain(recovery, phone)
	for i := range 16 {
		crowd.add(chainEntry{kind: 2, by: phone, device: keyPair(fmt.Sprint("device ", i))})
	}
	long := newChain(recovery, phone)
	for i := range 32 {
		device := keyPair(fmt.Sprint("device ", i))
		long.add(chainEntry{kind: 2, by: phone, device: device}).add(chainEntry{kind: 3, by: phone, device: device})
	}
	cases := []object{
		badChain("no entry"),
		badChain("65 entries", long.bytes...),
		badChain("begins with a device", second.bytes[1]),
		badChain("a second root", root, root),
		badChain("an entry twice", append(second.bytes, second.bytes[1])...),
		badChain("an entry left out", append([][]byte{root}, newChain(recovery, phone).add(add).
			add(chainEntry{kind: 2, by: laptop, device: tablet}).bytes[2])...),
		badChain("a root that its recovery key did not sign", new(accountChain).add(rootUnsigned).bytes...),
		badChain("a root that its device did not sign", new(accountChain).add(rootUnwilling).bytes...),
		badChain("a root whose recovery key is the device", newChain(phone, phone).bytes...),
		after("an entry after another one", wrongPrev),
		after("a device that nobody of the account signed", unsigned),
		after("a device that did not sign itself", unwilling),
		after("a device added by a stranger", chainEntry{kind: 2, by: tablet, device: laptop}),
		after("a device added by itself", chainEntry{kind: 2, by: laptop, device: laptop}),
		after("a device added by the recovery key", chainEntry{kind: 2, by: recovery, device: laptop}),
		after("the recovery key as a device", chainEntry{kind: 2, by: phone, device: recovery}),
		after("a device that is in the account already", chainEntry{kind: 2, by: phone, device: phone}),
		after("a removal by a stranger", chainEntry{kind: 3, by: tablet, device: phone}),
		after("a removal of a stranger", chainEntry{kind: 3, by: phone, device: tablet}),
		badChain("a removed device comes back", returned.bytes...),
		badChain("17 devices", crowd.bytes...),
		badChain("a bit of a signature changed", root, flipped(second.bytes[1], -1)),
		badChain("an entry of version 2", root, join([]byte{2}, second.bytes[1][1:])),
		badChain("an entry of kind 5", root, join([]byte{1, 5}, second.bytes[1][2:])),
		after("suites stated by a stranger", chainEntry{kind: 4, by: tablet, suites: []uint16{1}}),
		after("suites stated by the recovery key", chainEntry{kind: 4, by: recovery, suites: []uint16{1}}),
		after("suites that another device signed", chainEntry{kind: 4, by: phone, suites: []uint16{1}, signedBy: &tablet}),
		after("suites in another order", chainEntry{kind: 4, by: phone, suites: []uint16{2, 1}}),
		after("a suite twice", chainEntry{kind: 4, by: phone, suites: []uint16{1, 1}}),
		after("13 suites", chainEntry{kind: 4, by: phone, suites: []uint16{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}}),
		badChain("an entry of no bytes", root, nil),
		badChain("a byte after an entry", root, append(second.bytes[1][:len(second.bytes[1]):len(second.bytes[1])], 0)),
	}
	return append(cases, badChain("an entry cut short", root, second.bytes[1][:len(second.bytes[1])-1]))
}
