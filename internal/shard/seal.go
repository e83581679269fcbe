package shard

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

func (Key) String() string               { return "redacted" }
func (Key) GoString() string             { return "redacted" }
func (Key) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte("redacted")) }
func (Key) MarshalText() ([]byte, error) { return []byte("redacted"), nil }

// vault holds what is derived from the storage key. Static after newVault, safe for
// concurrent use.
type vault struct {
	values   cipher.AEAD
	namers   sync.Pool // of *namer, which are costly to begin with
	keyCheck [16]byte  // in each mark slot: tells a wrong key from damage
}

func newVault(k Key) (*vault, error) {
	derive := func(label string) ([]byte, error) {
		return hkdf.Key(sha256.New, k[:], nil, "sealpost shard "+label, 32)
	}
	valueKey, err := derive("values")
	if err != nil {
		return nil, err
	}
	v := new(vault)
	if v.values, err = chacha20poly1305.NewX(valueKey); err != nil {
		return nil, err
	}
	nameKey, err := derive("names")
	if err != nil {
		return nil, err
	}
	v.namers.New = func() any { return &namer{mac: hmac.New(sha256.New, nameKey)} }
	check, err := derive("key check")
	if err != nil {
		return nil, err
	}
	copy(v.keyCheck[:], check)
	return v, nil
}

// seal encrypts a value under a random nonce, which at 24 bytes cannot repeat by accident,
// and binds it to its database key, so that values cannot be exchanged on disk. It appends to out.
func (v *vault) seal(out, key, value []byte) []byte {
	const n = chacha20poly1305.NonceSizeX
	out = slices.Grow(out, n+len(value)+chacha20poly1305.Overhead)
	out = out[:len(out)+n]
	nonce := out[len(out)-n:]
	_, _ = rand.Read(nonce) // never fails: the process ends instead
	return v.values.Seal(out, nonce, value, key)
}

func (v *vault) open(key, sealed []byte) ([]byte, error) {
	const n = chacha20poly1305.NonceSizeX
	if len(sealed) < n {
		return nil, ErrCorrupt
	}
	value, err := v.values.Open(nil, sealed[:n], sealed[n:], key)
	if err != nil {
		return nil, ErrCorrupt
	}
	return value, nil
}

// Name returns the database key prefix of a thing: its kind (1 to 255; 0 is the store's
// own), then 20 bytes of an HMAC over kind and ids under a key derived from the storage
// key. Without that key nobody can tell which id a record belongs to, nor match two names.
// A machine appends what it wants in clear and ordered, such as a sequence number.
func (s *Store) Name(kind byte, ids ...[]byte) []byte {
	n := s.vault.namers.Get().(*namer)
	defer s.vault.namers.Put(n)
	n.of = append(n.of[:0], kind)
	for _, id := range ids {
		n.of = append(binary.BigEndian.AppendUint32(n.of, uint32(len(id))), id...)
	}
	n.mac.Reset()
	n.mac.Write(n.of)
	out := make([]byte, 1, 1+sha256.Size)
	out[0] = kind
	return n.mac.Sum(out)[: 1+nameSize : 1+nameSize]
}

// namer is an HMAC under the name key, and what it is of.
type namer struct {
	mac hash.Hash
	of  []byte
}
