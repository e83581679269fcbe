// Package sealedfile is the format in which a file leaves its device: encrypted, padded, and
// named by the hash of its sealed bytes (clientlib/PROTOCOL.md, "Sealed files").
//
// Start with [Seal] and [Open]. Both stream: whatever the file's size, they hold one segment of
// 64 KiB. [Open] gives out no byte of a file before the hash of all its sealed bytes was right,
// so what a relay or a disk changed, cut off or added is never shown, not even its beginning.
//
// Nothing is compressed, since sizes would then tell of contents (ATTACKS C11). How large a
// file is remains visible in steps of 3 to 6 percent. Out of scope: where sealed bytes are
// kept, how they travel, and the file's name and type, which stand in the message with the key.
package sealedfile

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"golang.org/x/crypto/chacha20poly1305"
)

// The format's constants.
const (
	segment  = 64 << 10 // bytes of a sealed segment; the last one may be shorter
	tag      = chacha20poly1305.Overhead
	content  = segment - tag // bytes of the stream in a segment
	trailer  = 8             // the content's length, at the end of the stream
	minSize  = 1 << 10       // bytes of the smallest sealed file
	sizeBits = 40            // a sealed file has at most 2^40 bytes, so that no sum of sizes overflows
)

// MaxSize is the largest sealed size in bytes that the format has. Relays take far less.
const MaxSize = 1 << sizeBits

// bound is every segment's associated data: the format's name and version, length first, and
// the segment's size. A file of another format or version opens under no key.
const bound = "\x0fsealpost file 1" + "\x00\x01\x00\x00"

// Errors, by what the caller does next.
var (
	// ErrDamaged: these are not the bytes that the hash names, or not as many. Fetch them again.
	ErrDamaged = errors.New("sealedfile: not the file that the hash names")
	// ErrTooLarge: larger than the caller or the format allows. Nothing of use was written.
	ErrTooLarge = errors.New("sealedfile: file is too large")

	// The rest is final: the hash was right, so whoever sealed the file made it so, or the key
	// is another file's.

	// ErrSegment: a segment does not open.
	ErrSegment = errors.New("sealedfile: segment does not open")
	// ErrLength: the length inside is not the length that the message tells.
	ErrLength = errors.New("sealedfile: length differs from the one inside")
	// ErrPadding: the padding is not zero. No honest client uses that channel.
	ErrPadding = errors.New("sealedfile: padding is not zero")
)

// Info is what opens one sealed file. It travels inside encrypted messages and nowhere else.
type Info struct {
	Key   Key
	Hash  [32]byte // SHA-256 of the sealed bytes; the file's name everywhere outside
	Plain int64    // bytes of the content
}

// Size returns how many bytes the sealed file has, or 0 if there is no file of i.Plain bytes.
func (i Info) Size() int64 {
	size, err := SealedSize(i.Plain)
	if err != nil {
		return 0
	}
	return size
}

// SealedSize returns how many bytes a file of plain bytes has when it is sealed: Padmé of what
// length, tags and content need, at least 1 KiB. It grows by at most 12 percent, for files above
// 64 KiB by at most 3. It fails with [ErrTooLarge] for what the format does not hold, and for a
// negative plain.
func SealedSize(plain int64) (int64, error) {
	if plain < 0 || plain > MaxSize {
		return 0, ErrTooLarge
	}
	stream := plain + trailer
	segments := (stream + content - 1) / content
	size := padme(max(stream+segments*tag, minSize))
	if size > MaxSize {
		return 0, ErrTooLarge
	}
	return size, nil
}

// padme rounds n up so that it tells its magnitude and a few bits more (Nikitin and others,
// "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019). From 64
// KiB on the result is a multiple of 2 KiB, so a last segment always has room for a tag.
func padme(n int64) int64 {
	e := bits.Len64(uint64(n)) - 1
	mask := int64(1)<<(e-bits.Len(uint(e))) - 1
	return (n + mask) &^ mask
}

// streamSize returns how many bytes of content, padding and trailer a sealed size holds.
func streamSize(size int64) int64 {
	return size - (size+segment-1)/segment*tag
}

// nonce of a segment (STREAM of Hoang, Reyhanitabar, Rogaway and Vizár, 2015): its number and
// whether it is the last, so segments cannot be moved, repeated, left out or cut off.
func nonce(number uint64, last bool) []byte {
	n := make([]byte, chacha20poly1305.NonceSize)
	binary.BigEndian.PutUint64(n[3:], number)
	if last {
		n[11] = 1
	}
	return n
}
