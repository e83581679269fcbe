// Package edkey verifies Ed25519 signatures for everything in Sealpost that believes one. Start
// with [Verify].
package edkey

import "crypto/ed25519"

// Verify is [ed25519.Verify] (RFC 8032 section 5.1.7), but keys of small order verify nothing:
// everybody can make signatures for them, and one that fits many messages. A key of another
// length verifies nothing either. It may be called from any goroutine.
func Verify(key, message, signature []byte) bool {
	if len(key) != ed25519.PublicKeySize {
		return false
	}
	y := [32]byte(key)
	y[31] &= 0x7f // the sign of x changes nothing about the order
	return !smallOrder[y] && ed25519.Verify(key, message, signature)
}

// smallOrder has the encodings of the eight points of small order without the sign, canonical or not.
var smallOrder = map[[32]byte]bool{
	{}:  true, // y = 0, order 4
	{1}: true, // y = 1, order 1
	{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	}: true, // order 8
	{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	}: true, // order 8
	nearPrime(0xec): true, // y = p-1, order 2
	nearPrime(0xed): true, // y = p, which is 0
	nearPrime(0xee): true, // y = p+1, which is 1
}

// nearPrime is 2^255-256 and a bit more, little-endian; p is 2^255-19.
func nearPrime(low byte) (y [32]byte) {
	for i := range y {
		y[i] = 0xff
	}
	y[0], y[31] = low, 0x7f
	return y
}
