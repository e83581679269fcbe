// Package backup is the file that a backup of a server is: the records of its stores as they
// are sealed on disk, and files, in one sealed stream that shows its size and nothing else.
//
// Start with [NewWriter] and [Read]; [Whole] tells without a key whether a copy is complete.
// Nothing is held in memory but one chunk, whatever the size.
//
//	magic     "sealpost backup 1\n"
//	salt      32 random bytes
//	check     16 bytes from HKDF(key, salt): tells another key from damage
//	chunk     uint32 length, with the top bit in the last chunk, then as many bytes: 64 KiB or
//	          less under ChaCha20-Poly1305 and a key from HKDF(key, salt), with a nonce that
//	          is the chunk's number and whether it is the last one; repeated
//	hash      SHA-256 of everything before
//
// In the chunks stand items one after the other: a store's name, a record, a file with its
// bytes, and in the end how many of them there were. A file that was cut, joined, changed or
// continued is refused, by hash and by seal.
//
// Out of scope: what the stores are, and where files go. An older copy in place of a newer one
// is a whole backup: whoever restores looks at the date.
package backup

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"
)

// The format's constants.
const (
	magic     = "sealpost backup 1\n"
	family    = "sealpost backup " // what every version begins with
	saltSize  = 32
	checkSize = 16
	chunkSize = 64 << 10 // bytes of plaintext in a full chunk
	lastFlag  = 1 << 31  // in a chunk's length
)

// The kinds of items.
const (
	itemStore  = 1 // uint8 length, name
	itemRecord = 2 // uint16 length, key, uint32 length, value
	itemFile   = 3 // uint8 length, name, uint64 size, bytes
	itemEnd    = 4 // uint64 records, uint64 files
)

// Our own limits, each with its reason.
const (
	maxName   = 255
	maxKey    = 1 << 10 // the stores' are under 64 bytes
	maxRecord = 1 << 21 // what a store seals is below 1 MiB: whoever reads allocates no more
)

// Errors of a file that is read, by what an operator does next.
var (
	// ErrFormat: it is no backup, or one that a newer program made.
	ErrFormat = errors.New("this is no backup that this program can read")
	// ErrDamaged: it was cut, changed or continued. Take another copy.
	ErrDamaged = errors.New("the backup is cut or damaged")
	// ErrKey: it was made under another storage key.
	ErrKey = errors.New("the backup was made under another storage key")
)

// Summary is what a backup holds.
type Summary struct {
	Records uint64
	Files   uint64
	Bytes   uint64   // of the whole file
	Sum     [32]byte // SHA-256 of all but itself
}

// header returns the beginning of a file under key, and what seals its chunks.
func header(key [32]byte, salt []byte) ([]byte, cipher.AEAD, error) {
	derive := func(label string, n int) ([]byte, error) {
		return hkdf.Key(sha256.New, key[:], salt, family+label, n)
	}
	check, err := derive("check", checkSize)
	if err != nil {
		return nil, nil, err
	}
	chunks, err := derive("chunks", chacha20poly1305.KeySize)
	if err != nil {
		return nil, nil, err
	}
	seal, err := chacha20poly1305.New(chunks)
	if err != nil {
		return nil, nil, err
	}
	return append(append([]byte(magic), salt...), check...), seal, nil
}

// nonce is that of the n-th chunk. The key is this file's alone, so it never comes twice.
func nonce(n uint64, last bool) []byte {
	b := make([]byte, chacha20poly1305.NonceSize)
	binary.BigEndian.PutUint64(b, n)
	if last {
		b[len(b)-1] = 1
	}
	return b
}
