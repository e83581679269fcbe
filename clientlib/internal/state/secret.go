package state

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
)

// Labels of the two keys that are derived from the caller's with HKDF-SHA-256 (RFC 5869).
const (
	labelPages = "sealpost state v1 pages"
	labelMAC   = "sealpost state v1 mac"
)

// MACSize is the size of a MAC in bytes: HMAC-SHA-256 truncated to 128 bits (RFC 2104 section 5).
const MACSize = 16

// secret is a derived key. It is never printed.
type secret [KeySize]byte

// Format keeps the key out of every print.
func (secret) Format(s fmt.State, _ rune) { io.WriteString(s, "redacted") }

func deriveKeys(key [KeySize]byte) (pages, mac secret, err error) {
	for label, out := range map[string]*secret{labelPages: &pages, labelMAC: &mac} {
		b, err := hkdf.Key(sha256.New, key[:], nil, label, KeySize)
		if err != nil {
			return pages, mac, fmt.Errorf("state: deriving keys: %w", err)
		}
		copy(out[:], b)
	}
	return pages, mac, nil
}

// macer computes MACs under one key. It is used under the DB's lock.
type macer struct{ h hash.Hash }

func newMACer(key secret) *macer { return &macer{hmac.New(sha256.New, key[:])} }

// sum is HMAC(len(label), label, len(field), field, ...), lengths as 64 bits big-endian, so
// that no two lists of fields have the same input.
func (m *macer) sum(label string, fields ...[]byte) []byte {
	m.h.Reset()
	var size [8]byte
	write := func(n int) {
		binary.BigEndian.PutUint64(size[:], uint64(n))
		m.h.Write(size[:])
	}
	write(len(label))
	io.WriteString(m.h, label)
	for _, f := range fields {
		write(len(f))
		m.h.Write(f)
	}
	return m.h.Sum(make([]byte, 0, sha256.Size))[:MACSize:MACSize]
}
