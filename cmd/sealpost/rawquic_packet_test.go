package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"

	"github.com/quic-go/quic-go/quicvarint"
)

// Packets of QUIC version 1 (RFC 9000, RFC 9001) as a client that keeps no rules makes them:
// libraries send no frames that harm. Suites with AES-128-GCM and SHA-256 only.

// initialSalt is that of QUIC version 1 (RFC 9001 section 5.2).
var initialSalt = []byte{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}

var errPacket = errors.New("not a packet that we can read")

// expandLabel is HKDF-Expand-Label of TLS 1.3 without a context.
func expandLabel(secret []byte, label string, size int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(info, byte(len("tls13 ")+len(label))), "tls13 "+label...)
	b, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), size)
	if err != nil {
		panic(err) // the sizes are ours
	}
	return b
}

// packetKey protects the packets of one level in one direction.
type packetKey struct {
	aead   cipher.AEAD
	iv     []byte
	header cipher.Block
	next   uint64 // of the packets opened, the largest number and one
}

func newPacketKey(secret []byte) *packetKey {
	block, err := aes.NewCipher(expandLabel(secret, "quic key", 16))
	if err != nil {
		panic(err)
	}
	k := &packetKey{iv: expandLabel(secret, "quic iv", 12)}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		panic(err)
	}
	if k.header, err = aes.NewCipher(expandLabel(secret, "quic hp", 16)); err != nil {
		panic(err)
	}
	return k
}

// initialKeys are those that everybody can compute from the first destination.
func initialKeys(destination []byte) (client, server *packetKey) {
	secret, err := hkdf.Extract(sha256.New, destination, initialSalt)
	if err != nil {
		panic(err)
	}
	return newPacketKey(expandLabel(secret, "client in", 32)), newPacketKey(expandLabel(secret, "server in", 32))
}

func (k *packetKey) nonce(number uint64) []byte {
	n := append([]byte(nil), k.iv...)
	for i := range 8 {
		n[4+i] ^= byte(number >> (56 - 8*i))
	}
	return n
}

// mask protects the header of b, or unprotects it; the packet number is at so many bytes.
func (k *packetKey) mask(b []byte, at int) []byte {
	var m [aes.BlockSize]byte
	k.header.Encrypt(m[:], b[at+4:at+4+aes.BlockSize])
	if b[0]&0x80 != 0 {
		m[0] &= 0x0f
	} else {
		m[0] &= 0x1f
	}
	return m[:5]
}

// seal makes a packet of a header, which lacks the packet number, and frames.
func (k *packetKey) seal(header []byte, number uint64, frames []byte) []byte {
	at := len(header)
	b := binary.BigEndian.AppendUint32(header, uint32(number))
	b = k.aead.Seal(b, k.nonce(number), frames, b)
	m := k.mask(b, at)
	b[0] ^= m[0]
	for i := range 4 {
		b[at+i] ^= m[1+i]
	}
	return b
}

// open returns the frames of a packet, whose number is cut short (RFC 9000 appendix A.3).
func (k *packetKey) open(b []byte, at int) ([]byte, error) {
	if len(b) < at+4+aes.BlockSize {
		return nil, errPacket
	}
	b = append([]byte(nil), b...)
	m := k.mask(b, at)
	b[0] ^= m[0]
	size := int(b[0]&3) + 1
	var number uint64
	for i := range size {
		b[at+i] ^= m[1+i]
		number = number<<8 | uint64(b[at+i])
	}
	window := uint64(1) << (8 * size)
	number |= k.next &^ (window - 1)
	switch {
	case number+window/2 <= k.next:
		number += window
	case number > k.next+window/2 && number >= window:
		number -= window
	}
	plain, err := k.aead.Open(nil, k.nonce(number), b[at+size:], b[:at+size])
	if err == nil {
		k.next = max(k.next, number+1)
	}
	return plain, err
}

// header is a packet's of a level, up to the packet number; size is that of what is sealed.
func header(level tls.QUICEncryptionLevel, to, from []byte, size int) []byte {
	first := map[tls.QUICEncryptionLevel]byte{
		tls.QUICEncryptionLevelInitial: 0xc3, tls.QUICEncryptionLevelHandshake: 0xe3, tls.QUICEncryptionLevelApplication: 0x43,
	}[level]
	b := []byte{first}
	if level == tls.QUICEncryptionLevelApplication {
		return append(b, to...)
	}
	b = append(b, 0, 0, 0, 1)
	b = append(append(b, byte(len(to))), to...)
	b = append(append(b, byte(len(from))), from...)
	if level == tls.QUICEncryptionLevelInitial {
		b = append(b, 0) // no token
	}
	return append(b, 0x40|byte((4+size+16)>>8), byte(4+size+16))
}

// frame is one that was received. Of most only the type is kept.
type frame struct {
	typ    uint64
	offset uint64 // of CRYPTO
	data   []byte // the same
}

// parseFrames returns the frames of a packet, up to the first that we do not know.
func parseFrames(b []byte) (all []frame) {
	next := func() (n uint64) {
		v, size, err := quicvarint.Parse(b)
		if err != nil {
			b = nil
			return 0
		}
		b = b[size:]
		return v
	}
	skip := func(n uint64) (cut []byte) {
		n = min(n, uint64(len(b)))
		cut, b = b[:n], b[n:]
		return cut
	}
	for len(b) > 0 {
		f := frame{typ: next()}
		switch f.typ {
		case 0x00, 0x01, 0x1e: // PADDING, PING, HANDSHAKE_DONE
		case 0x02, 0x03: // ACK
			next()
			next()
			ranges := next()
			next()
			for range min(ranges, 64) {
				next()
				next()
			}
		case 0x06:
			f.offset = next()
			f.data = skip(next())
		case 0x07: // NEW_TOKEN
			skip(next())
		case 0x10, 0x12, 0x13, 0x19: // MAX_DATA, MAX_STREAMS, RETIRE_CONNECTION_ID
			next()
		case 0x18: // NEW_CONNECTION_ID
			next()
			next()
			skip(next() + 16)
		case 0x1a, 0x1b: // PATH_CHALLENGE, PATH_RESPONSE
			skip(8)
		default:
			b = nil // it is the last that we look at
		}
		all = append(all, f)
	}
	return all
}
