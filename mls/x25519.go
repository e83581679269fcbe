package mls

import "errors"

// lowOrder25519 are the values of RFC 7748's u with which every scalar agrees on zero, since
// clamped scalars are multiples of the cofactor: the torsion of Curve25519 (0, 1 and two of
// order 8) and of its twist (0 and -1), and the two of them that have a second encoding.
var lowOrder25519 = map[[32]byte]bool{
	{}:  true, // 0
	{1}: true, // 1
	{
		0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
	}: true, // of order 8
	{
		0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
		0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
	}: true, // of order 8
	nearPrime25519(0xec): true, // p-1, or -1
	nearPrime25519(0xed): true, // p, or 0
	nearPrime25519(0xee): true, // p+1, or 1
}

// nearPrime25519 is 2^255-256 and a bit more, little-endian; p is 2^255-19.
func nearPrime25519(low byte) (u [32]byte) {
	for i := range u {
		u[i] = 0xff
	}
	u[0], u[31] = low, 0x7f
	return u
}

// x25519Key refuses what is no key, and keys that agree on no secret. To look those up is as good
// as to try one out, and costs a thousandth: whoever joins checks every key of the tree.
func x25519Key(public []byte) error {
	if len(public) != 32 {
		return errors.New("no X25519 key")
	}
	u := [32]byte(public)
	u[31] &= 0x7f // which X25519 ignores
	if lowOrder25519[u] {
		return errors.New("X25519 key of low order")
	}
	return nil
}
