package mls

import "crypto/sha3"

// A profile is the suites of another stack under the numbers that it gives them, as long as
// IANA has given none. To use one is to name the number, as in Suite(0x004e). A number has one
// meaning here, and one that two stacks use for different things is the first one's.
type profile struct {
	stack string
	same  map[Suite]Suite // by the stack's number, the suite with the same algorithms
	own   []*suite        // what only this stack has
}

var profiles = []profile{
	{stack: "mlspp", same: map[Suite]Suite{
		0x0008: SuiteMLKEM768X25519AES256Ed25519,
		0x0009: SuiteMLKEM768P256AES256P256,
		0x000a: SuiteMLKEM1024P384AES256P384,
	}},
	// From 2026-09-10 on. Its release 0.9.0 has the numbers and derives X-Wing's keys as
	// ts-mls does, so that it understands nobody of the draft.
	{stack: "OpenMLS", same: map[Suite]Suite{
		0x0042: SuiteMLKEM1024AES256P384,
		0x004e: SuiteMLKEM768X25519AES256Ed25519,
		0x004f: SuiteMLKEM768X25519AES128Ed25519,
		0x0050: SuiteMLKEM768AES256P256,
		0x0051: SuiteMLKEM768AES256MLDSA65,
		0x0052: SuiteMLKEM768X25519ChaCha20MLDSA44,
		0x0907: SuiteMLKEM1024AES256MLDSA87,
		0xf042: SuiteMLKEM768AES256Ed25519,
	}},
	// Version 1, with suites of no draft, of which these are the two with X-Wing and AES.
	{stack: "ts-mls", own: []*suite{
		row(0x0053, "MLS_256_XWING_AES256GCM_SHA512_Ed25519", xWing, aes256, hkdfSHA512, ed25519Scheme{}),
		row(0x0057, "MLS_256_XWING_AES256GCM_SHA512_MLDSA87", xWing, aes256, hkdfSHA512, mldsa87Scheme),
	}},
}

func (p profile) add(to map[Suite]*suite) {
	for id, same := range p.same {
		r := *to[same]
		r.id, r.stack = id, p.stack
		to[id] = &r
	}
	for _, r := range p.own {
		r.stack = p.stack
		to[r.id] = r
	}
}

// xWing is mlkem768X25519 with the key derivation of draft-connolly-cfrg-xwing-kem. The draft
// of HPKE has taken over KEM and number, and derives keys with a label instead.
func xWing(k kdf, a aead) hpkeScheme {
	h := mlkem768X25519(k, a).(*goHPKE)
	h.deriveSeed = func(ikm []byte) []byte { return sha3.SumSHAKE256(ikm, 32) }
	return h
}
